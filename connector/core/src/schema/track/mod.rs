//! What statements do to definitions: tables and databases are followed from one statement to the next.
//!
//! Nothing that is published rests on a statement's text alone: a definition that was computed here must still be packed as
//! the table map of its rows says. What is not understood, down to a single clause, leaves the definitions that it may touch
//! *unproven*; a wrong guess would be worse than none (I6, I7).

mod alter;
mod collations;
mod column;
mod create;
mod defaults;
mod follow;
mod keys;
mod parser;
mod tracker;
mod types;
mod words;

use self::collations::Collation;
pub(crate) use self::collations::collation_name;
use self::create::CharsetOption;
pub(super) use self::parser::Parser;
pub use self::tracker::{Known, Tracker};
pub(super) use self::words::{Rules, Word, words};
use crate::decode::CharsetCollations;
use crate::selection::TableName;

/// A statement, or a part of one, is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(pub(crate) &'static str);

/// How a server shows definitions, and what it takes for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Display widths of integers are shown (before MySQL 8.0.19).
    pub shows_widths: bool,
    /// Types have the names of before MySQL 8.0.
    pub has_old_names: bool,
    /// `DEFAULT_GENERATED` is shown (MySQL 8.0).
    pub tells_expressions: bool,
    /// JSON is text there.
    pub is_mariadb: bool,
    /// It is a MariaDB server with VECTOR (since 11.7).
    pub has_vectors: bool,
    /// The default collation of `utf8mb4`, unless the session has another.
    pub utf8mb4_collation: u64,
}

impl Dialect {
    /// The dialect of a server, by `@@version`, such as `8.0.31` or `11.8.2-MariaDB-log`.
    #[must_use]
    pub fn of_version(version: &str) -> Self {
        let is_mariadb = version.contains("MariaDB");
        let numbers = version.split(|c: char| !c.is_ascii_digit());
        let mut numbers = numbers.map(|number| number.parse::<u64>().unwrap_or(0));
        let number = [(); 3].map(|()| numbers.next().unwrap_or(0));
        let is_from = |from: [u64; 3]| !is_mariadb && number >= from;
        Self {
            shows_widths: !is_from([8, 0, 19]),
            has_old_names: !is_from([8, 0, 11]),
            tells_expressions: is_from([8, 0, 0]),
            is_mariadb,
            has_vectors: is_mariadb && number >= [11, 7, 0],
            utf8mb4_collation: if is_from([8, 0, 1]) { 255 } else { 45 },
        }
    }
}

/// What a statement rests on beside its text.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) dialect: Dialect,
    pub(crate) sql_mode: u64,
    /// The database in use.
    pub(crate) database: String,
    /// Literals are in UTF-8 all the way (`collation_connection`).
    pub(crate) has_utf8_literals: bool,
    /// `collation_server`: what a database gets that says nothing.
    pub(crate) server_collation: Option<u64>,
    /// `default_collation_for_utf8mb4`
    pub(crate) utf8mb4_collation: Option<u64>,
    /// `character_set_collations`
    pub(crate) charset_collations: CharsetCollations,
    /// `explicit_defaults_for_timestamp`
    pub(crate) explicit_timestamps: Option<bool>,
    /// Names of tables and databases are in lower case (`lower_case_table_names` 1).
    pub(crate) folds_names: bool,
}

impl Environment {
    /// A name of a table or database, as the server keeps it.
    /// How the server folds others than ASCII is its own affair.
    fn fold(&self, name: String) -> Result<String, NotUnderstood> {
        match self.folds_names {
            true if !name.is_ascii() => Err(NotUnderstood("a name may be folded otherwise")),
            true => Ok(name.to_ascii_lowercase()),
            false => Ok(name),
        }
    }
}

/// A table's name; without a database, that of the one in use.
fn qualified(p: &mut Parser, environment: &Environment) -> Result<TableName, NotUnderstood> {
    let (database, table) = p.qualified()?;
    let database = database.unwrap_or_else(|| environment.database.clone());
    Ok(TableName {
        database: environment.fold(database)?,
        table: environment.fold(table)?,
    })
}

fn database_name(p: &mut Parser, environment: &Environment) -> Result<String, NotUnderstood> {
    environment.fold(p.name()?)
}

/// Reads the options of a database; returns its collation. `standard` is what it has if nothing is said.
fn database_options(
    p: &mut Parser,
    standard: Option<u64>,
    environment: &Environment,
) -> Result<Option<u64>, NotUnderstood> {
    let mut option = CharsetOption::default();
    while !p.is_done() {
        if option.read(p)? {
            continue;
        }
        p.take("DEFAULT");
        if p.take_all(&["READ", "ONLY"]) || p.take_one(&["ENCRYPTION", "COMMENT"]) {
            p.take_sign('=');
            p.skip_value()?;
        } else {
            return Err(NotUnderstood("an option of a database is not known"));
        }
    }
    let standard = standard.and_then(Collation::of_number);
    let collation = option.resolve(standard, environment)?;
    Ok(collation.map(|collation| collation.number))
}

#[cfg(test)]
mod tests;
