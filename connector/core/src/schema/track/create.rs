//! CREATE TABLE, and the options of a table.

use super::collations::Collation;
use super::column::ColumnKey;
use super::column::ColumnSpec;
use super::defaults::NULL;
use super::keys::{KeySpec, is_key_next, read_key};
use super::parser::Parser;
use super::types::charset_name;
use super::words::Word;
use super::{Environment, NotUnderstood};
use crate::schema::DescribedTable;

/// What is said of the character set of a table or database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CharsetOption {
    charset: Option<String>,
    collation: Option<String>,
}

impl CharsetOption {
    /// Reads `[DEFAULT] CHARACTER SET [=] …` or `[DEFAULT] COLLATE [=] …`, if one is there.
    pub(super) fn read(&mut self, p: &mut Parser) -> Result<bool, NotUnderstood> {
        let ahead = usize::from(p.is("DEFAULT"));
        let is_collation = p.is_at(ahead, "COLLATE");
        let is_charset = p.is_at(ahead, "CHARSET")
            || (p.is_at(ahead + 1, "SET")
                && (p.is_at(ahead, "CHARACTER") || p.is_at(ahead, "CHAR")));
        if !is_collation && !is_charset {
            return Ok(false);
        }
        p.take("DEFAULT");
        if !p.take("COLLATE") && !p.take("CHARSET") {
            p.next();
            p.next();
        }
        p.take_sign('=');
        let name = charset_name(p)?;
        match is_collation {
            true => self.collation = Some(name),
            false => self.charset = Some(name),
        }
        Ok(true)
    }

    /// What else is said of the same table would count as well.
    pub(super) fn refuse_more(&self) -> Result<(), NotUnderstood> {
        match self.is_said() {
            true => Err(NotUnderstood("a character set is said twice")),
            false => Ok(()),
        }
    }

    /// Which database's is meant is the server's own affair.
    pub(super) fn refuse_default(&self) -> Result<(), NotUnderstood> {
        let mut names = self.charset.iter().chain(&self.collation);
        match names.any(|name| name.eq_ignore_ascii_case("DEFAULT")) {
            true => Err(NotUnderstood("the character set of a database is meant")),
            false => Ok(()),
        }
    }

    pub(super) fn is_said(&self) -> bool {
        self.charset.is_some() || self.collation.is_some()
    }

    /// The collation. `standard` is that of the surroundings, if it is known.
    pub(super) fn resolve(
        &self,
        standard: Option<Collation>,
        environment: &Environment,
    ) -> Result<Option<Collation>, NotUnderstood> {
        let said = |name: &Option<String>| {
            let name = name.clone();
            name.filter(|name| !name.eq_ignore_ascii_case("DEFAULT"))
        };
        let (collation, charset) = (said(&self.collation), said(&self.charset));
        Collation::chosen(
            collation.as_deref(),
            charset.as_deref(),
            standard,
            environment,
        )
    }
}

/// What CREATE TABLE makes: columns and keys in parentheses, then options.
pub(super) fn table(
    p: &mut Parser,
    of_database: Option<Collation>,
    environment: &Environment,
) -> Result<DescribedTable, NotUnderstood> {
    let (mut columns, mut keys, mut ends_of_periods) = (Vec::new(), Vec::new(), Vec::new());
    p.expect_sign('(')?;
    loop {
        if is_key_next(p) {
            keys.extend(read_key(p)?);
        } else if p.is_one_of(&["LIKE", "SELECT"]) {
            return Err(NotUnderstood("a table is made of another"));
        } else if p.is_all(&["PERIOD", "FOR"]) {
            ends_of_periods.extend(period(p)?);
        } else {
            let column = ColumnSpec::read(p, environment)?;
            keys.extend(column.key_spec());
            columns.push(column);
        }
        if !p.take_sign(',') {
            break;
        }
    }
    p.expect_sign(')')?;
    let mut option = CharsetOption::default();
    let is_versioned = read_options(p, &mut option)?;
    let collation = option.resolve(of_database, environment)?;
    let mut table = DescribedTable {
        columns: Vec::with_capacity(columns.len()),
        keys: Vec::with_capacity(keys.len()),
        collation: collation.map(|collation| collation.number),
        is_versioned,
    };
    for column in &columns {
        table
            .columns
            .push(column.described(collation, environment)?);
    }
    for name in ends_of_periods {
        table.refuse_null(&name)?;
    }
    table.add_keys(keys)?;
    table.settle_defaults(environment);
    Ok(table)
}

/// MariaDB: `PERIOD FOR name (column, column)`. Returns the columns, which are NOT NULL.
pub(super) fn period(p: &mut Parser) -> Result<[String; 2], NotUnderstood> {
    p.expect("PERIOD")?;
    p.expect("FOR")?;
    p.take_all(&["IF", "NOT", "EXISTS"]);
    p.name()?;
    p.expect_sign('(')?;
    let begin = p.name()?;
    p.expect_sign(',')?;
    let end = p.name()?;
    p.expect_sign(')')?;
    Ok([begin, end])
}

impl ColumnSpec {
    /// The key that its attributes make.
    pub(super) fn key_spec(&self) -> Option<KeySpec> {
        let key = self.key?;
        Some(KeySpec::of_column(&self.name, key == ColumnKey::Primary))
    }
}

impl DescribedTable {
    /// A column is NOT NULL from here on.
    pub(super) fn refuse_null(&mut self, name: &str) -> Result<(), NotUnderstood> {
        let index = self.column_index(name);
        let column = index.and_then(|index| self.columns.get_mut(index));
        column
            .ok_or(NotUnderstood("a period has no column"))?
            .nullable = false;
        Ok(())
    }

    /// What cannot be NULL does not have it as its default: keys may have decided that after the column was read.
    pub(super) fn settle_defaults(&mut self, environment: &Environment) {
        for column in &mut self.columns {
            let is_null = column.default.as_deref() == Some(NULL);
            if environment.dialect.is_mariadb && is_null && !column.nullable {
                column.default = None;
            }
        }
    }

    /// Adds keys, those without a name last, as names that are given come first.
    pub(super) fn add_keys(&mut self, keys: Vec<KeySpec>) -> Result<(), NotUnderstood> {
        for key in keys {
            self.add_key(key)?;
        }
        self.sort_keys();
        Ok(())
    }
}

/// Passes the options of a table up to the end, and takes note of its character set. True for one with a history (MariaDB).
fn read_options(p: &mut Parser, option: &mut CharsetOption) -> Result<bool, NotUnderstood> {
    let mut is_versioned = false;
    loop {
        p.take_sign(',');
        if p.is_done() {
            return Ok(is_versioned);
        }
        // Behind it nothing is said of columns, but perhaps what fills the table.
        if p.is_all(&["PARTITION", "BY"]) {
            return skip_partitions(p).map(|()| is_versioned);
        }
        if p.take_all(&["WITH", "SYSTEM", "VERSIONING"]) {
            is_versioned = true;
        } else if !option.read(p)? && !skip_option(p)? {
            return Err(NotUnderstood("an option of a table is not known"));
        }
    }
}

fn skip_partitions(p: &mut Parser) -> Result<(), NotUnderstood> {
    while !p.is_done() {
        if p.is_one_of(&["SELECT", "AS", "IGNORE", "REPLACE"]) {
            return Err(NotUnderstood("a table is filled"));
        }
        match p.is_sign('(') {
            true => p.skip_parentheses()?,
            false => drop(p.next()),
        }
    }
    Ok(())
}

/// Passes an option that a definition does not have; false if there is none.
pub(super) fn skip_option(p: &mut Parser) -> Result<bool, NotUnderstood> {
    /// Options with one value.
    const OPTIONS: [&str; 33] = [
        "ENGINE",
        "TYPE",
        "AUTO_INCREMENT",
        "AUTOEXTEND_SIZE",
        "AVG_ROW_LENGTH",
        "CHECKSUM",
        "TABLE_CHECKSUM",
        "COMMENT",
        "COMPRESSION",
        "CONNECTION",
        "DELAY_KEY_WRITE",
        "ENCRYPTION",
        "ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE",
        "INSERT_METHOD",
        "KEY_BLOCK_SIZE",
        "MAX_ROWS",
        "MIN_ROWS",
        "PACK_KEYS",
        "PASSWORD",
        "ROW_FORMAT",
        "STATS_AUTO_RECALC",
        "STATS_PERSISTENT",
        "STATS_SAMPLE_PAGES",
        "TABLESPACE",
        "UNION",
        "PAGE_CHECKSUM",
        "TRANSACTIONAL",
        "PAGE_COMPRESSED",
        "PAGE_COMPRESSION_LEVEL",
        "ENCRYPTED",
        "ENCRYPTION_KEY_ID",
    ];
    if p.take_all(&["DATA", "DIRECTORY"])
        || p.take_all(&["INDEX", "DIRECTORY"])
        || p.take_one(&OPTIONS)
    {
        p.take_sign('=');
        p.skip_value()?;
        if p.take("STORAGE") {
            p.name()?;
        }
        Ok(true)
    } else {
        // The end of CREATE TABLE … SELECT in ROW format.
        Ok(p.take_all(&["START", "TRANSACTION"]))
    }
}

/// A name in quotes may stand in the place of a word in a list of options.
pub(super) fn is_end_of_clause(p: &Parser) -> bool {
    p.is_done() || matches!(p.peek(), Some(Word::Sign(',')))
}
