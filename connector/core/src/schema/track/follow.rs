//! Statements: which tables and databases they make, change, rename and drop.

use super::alter::Alteration;
use super::collations::Collation;
use super::create;
use super::keys::{KeySpec, read_parts, skip_algorithm, skip_options};
use super::parser::Parser;
use super::tracker::{Database, Followed, Known, Tracker};
use super::words::{Rules, words};
use super::{Environment, NotUnderstood, database_name, database_options, qualified};
use crate::decode::Statement;
use crate::schema::statement::is_on_a_database;
use crate::schema::{DescribedTable, Mentions};
use crate::selection::TableName;

pub(super) const ANSI_QUOTES: u64 = 4;

impl Tracker {
    /// Follows a statement that may define something (see [`super::may_define`]).
    ///
    /// # Errors
    /// [`NotUnderstood`]; what the statement may have touched is unproven from here on.
    pub fn follow(&mut self, statement: &Statement<'_>) -> Result<(), NotUnderstood> {
        let followed = self.try_to_follow(statement);
        if followed.is_err() {
            self.doubt(statement);
        }
        followed?.map_or(Ok(()), Err)
    }

    /// A statement that is not understood may have touched what it names.
    fn doubt(&mut self, statement: &Statement<'_>) {
        let mentions = Mentions::of(statement, true);
        let touched = self.tables.iter_mut();
        for (name, known) in touched.filter(|(name, _)| mentions.may_touch(name)) {
            *known = Known::Unproven;
            self.changed_tables.insert(name.clone());
        }
        if is_on_a_database(statement) {
            self.changed_databases
                .extend(self.databases.keys().cloned());
            self.databases.clear();
        }
        // It may have made a table.
        for database in self.databases.values_mut() {
            database.is_whole = false;
        }
    }

    fn try_to_follow(&mut self, statement: &Statement<'_>) -> Followed {
        let text = statement
            .certain_text()
            .ok_or(NotUnderstood("its characters are not known"))?;
        let environment = Environment {
            dialect: self.dialect,
            sql_mode: statement.session.sql_mode,
            database: String::from_utf8_lossy(statement.database).into_owned(),
            has_utf8_literals: (statement.session.connection_collation)
                .and_then(Collation::of_number)
                .is_some_and(Collation::is_utf8),
            server_collation: statement.session.server_collation,
            utf8mb4_collation: statement.session.utf8mb4_collation,
            charset_collations: statement.session.charset_collations.unwrap_or_default(),
            explicit_timestamps: statement.session.explicit_timestamps,
            folds_names: self.folds_names,
        };
        let rules = Rules {
            has_escapes: statement.has_escapes,
            has_ansi_quotes: statement.session.sql_mode & ANSI_QUOTES != 0,
            is_mariadb: self.dialect.is_mariadb,
        };
        let mut p = Parser::new(words(text, rules)?);
        p.take_settings();
        let p = &mut p;
        if p.take("CREATE") {
            self.create(p, &environment)
        } else if p.take("ALTER") {
            p.take_one(&["ONLINE", "OFFLINE", "IGNORE"]);
            if p.take("TABLE") {
                self.alter_table(p, &environment)
            } else if p.take_one(&["DATABASE", "SCHEMA"]) {
                self.alter_database(p, &environment)
            } else if p.take("SEQUENCE") {
                Ok(None)
            } else {
                Err(NotUnderstood("something else is altered"))
            }
        } else if p.take("DROP") {
            self.drop_object(p, &environment)
        } else if p.take("RENAME") {
            self.rename(p, &environment)
        } else {
            Err(NotUnderstood("a statement is not known"))
        }
    }

    fn create(&mut self, p: &mut Parser, environment: &Environment) -> Followed {
        let replaces = p.take_all(&["OR", "REPLACE"]);
        let is_temporary = p.take("TEMPORARY");
        if p.take("TABLE") {
            let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]);
            let name = qualified(p, environment)?;
            if is_temporary {
                // After a restart nobody knows of it.
                self.set(name.clone(), Known::Unproven);
                self.hidden.insert(name);
                return Ok(None);
            }
            if is_conditional {
                match self.table(&name) {
                    Known::Proven(_) => return Ok(None),
                    Known::Unproven => {
                        let reason = NotUnderstood("a table is made unless it is there");
                        return Ok(self.now_is(name, Err(reason)));
                    }
                    Known::Gone => {}
                }
            }
            let made = self.made(p, &name, environment);
            return Ok(self.now_is(name, made));
        }
        if p.take_one(&["DATABASE", "SCHEMA"]) {
            let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]);
            let name = database_name(p, environment)?;
            if is_conditional && !replaces {
                // It may have been there, with another collation.
                return match self.databases.contains_key(&name) {
                    true => Ok(None),
                    false => Ok(Some(NotUnderstood("a database is made unless it is there"))),
                };
            }
            self.forget_database(&name);
            let collation = database_options(p, environment.server_collation, environment)?;
            let is_whole = true;
            self.set_database(
                name,
                Database {
                    collation,
                    is_whole,
                },
            );
            return Ok(None);
        }
        if p.take("SEQUENCE") {
            return self.create_sequence(p, environment);
        }
        self.create_index(p, replaces, environment)
    }

    /// No table has the name of a sequence: one that was there is replaced.
    fn create_sequence(&mut self, p: &mut Parser, environment: &Environment) -> Followed {
        let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]);
        let name = qualified(p, environment)?;
        if !is_conditional {
            self.gone(name);
        }
        Ok(None)
    }

    fn create_index(
        &mut self,
        p: &mut Parser,
        replaces: bool,
        environment: &Environment,
    ) -> Followed {
        let is_unique = p.take("UNIQUE");
        p.take_one(&["ONLINE", "OFFLINE", "FULLTEXT", "SPATIAL", "VECTOR"]);
        p.expect("INDEX")?;
        let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]);
        let index = p.name()?;
        skip_algorithm(p)?;
        p.expect("ON")?;
        let name = qualified(p, environment)?;
        let changed = self.changed(&name, |table, _| {
            if is_conditional && table.key(&index).is_some() {
                return Ok(table.clone());
            }
            let parts = read_parts(p)?;
            skip_options(p)?;
            let mut table = table.clone();
            if replaces && table.key(&index).is_some() {
                table.drop_key(&index)?;
            }
            table.add_keys(vec![KeySpec::named(index, is_unique, parts)])?;
            Ok(table)
        });
        Ok(self.now_is(name, changed))
    }

    /// The table that CREATE TABLE makes, behind its name.
    fn made(
        &self,
        p: &mut Parser,
        name: &TableName,
        environment: &Environment,
    ) -> Result<DescribedTable, NotUnderstood> {
        let is_like = p.is("LIKE") || (p.is_sign('(') && p.is_at(1, "LIKE"));
        if !is_like {
            return create::table(p, self.collation_of(name), environment);
        }
        p.take_sign('(');
        p.expect("LIKE")?;
        let other = qualified(p, environment)?;
        match self.table(&other) {
            Known::Proven(table) if !self.hidden.contains(&other) => Ok((**table).clone()),
            Known::Proven(_) | Known::Unproven | Known::Gone => {
                Err(NotUnderstood("a table is made like one that is not known"))
            }
        }
    }

    fn alter_table(&mut self, p: &mut Parser, environment: &Environment) -> Followed {
        let is_conditional = p.take_all(&["IF", "EXISTS"]);
        let name = qualified(p, environment)?;
        if is_conditional && *self.table(&name) == Known::Gone {
            return Ok(None);
        }
        let alteration = Alteration::read(p, environment)?;
        let renamed_to = alteration.renamed_to.clone();
        if self.hidden.contains(&name) {
            let reason = NotUnderstood("a table of a session may be meant");
            let tables = std::iter::once(name).chain(renamed_to);
            tables.for_each(|table| self.set(table, Known::Unproven));
            return Ok(Some(reason));
        }
        let changed = self.changed(&name, |table, of_database| {
            alteration.apply(table, of_database, environment)
        });
        match renamed_to.filter(|to| *to != name) {
            None => Ok(self.now_is(name, changed)),
            Some(to) => {
                self.gone(name);
                Ok(self.now_is(to, changed))
            }
        }
    }

    fn drop_object(&mut self, p: &mut Parser, environment: &Environment) -> Followed {
        let is_temporary = p.take("TEMPORARY");
        if p.take_one(&["DATABASE", "SCHEMA"]) {
            p.take_all(&["IF", "EXISTS"]);
            let name = database_name(p, environment)?;
            self.forget_database(&name);
            return Ok(None);
        }
        if p.take_one(&["INDEX", "KEY"]) {
            let is_conditional = p.take_all(&["IF", "EXISTS"]);
            let index = p.name()?;
            p.expect("ON")?;
            let name = qualified(p, environment)?;
            let changed = self.changed(&name, |table, _| {
                let mut table = table.clone();
                if !is_conditional || table.key(&index).is_some() {
                    table.drop_key(&index)?;
                }
                Ok(table)
            });
            return Ok(self.now_is(name, changed));
        }
        if p.take("SEQUENCE") {
            return Ok(None);
        }
        if !p.take_one(&["TABLE", "TABLES"]) {
            return Err(NotUnderstood("something else is dropped"));
        }
        p.take_all(&["IF", "EXISTS"]);
        loop {
            let name = qualified(p, environment)?;
            match self.hidden.remove(&name) {
                // Of either it may be the one that is dropped.
                true if !is_temporary => self.set(name, Known::Unproven),
                true => {}
                false if is_temporary => {}
                false => self.gone(name),
            }
            if !p.take_sign(',') {
                return Ok(None);
            }
        }
    }

    fn rename(&mut self, p: &mut Parser, environment: &Environment) -> Followed {
        if !p.take_one(&["TABLE", "TABLES"]) {
            return Err(NotUnderstood("something else is renamed"));
        }
        let is_conditional = p.take_all(&["IF", "EXISTS"]);
        let mut renames = Vec::new();
        loop {
            let from = qualified(p, environment)?;
            if p.take_one(&["WAIT", "NOWAIT"]) && !p.is("TO") {
                p.next();
            }
            p.expect("TO")?;
            renames.push((from, qualified(p, environment)?));
            if !p.take_sign(',') {
                break;
            }
        }
        for (from, to) in renames {
            if is_conditional && *self.table(&from) == Known::Gone {
                continue;
            }
            let known = self.tables.remove(&from).unwrap_or(Known::Unproven);
            self.gone(from);
            // What is renamed was there.
            let known = if known == Known::Gone {
                Known::Unproven
            } else {
                known
            };
            self.set(to, known);
        }
        Ok(None)
    }

    fn alter_database(&mut self, p: &mut Parser, environment: &Environment) -> Followed {
        let name = match p.is_database_option(environment.dialect.is_mariadb) {
            true => environment.fold(environment.database.clone())?,
            false => database_name(p, environment)?,
        };
        let before = self.databases.get(&name).copied().unwrap_or_default();
        let collation = database_options(p, before.collation, environment)?;
        self.set_database(
            name,
            Database {
                collation,
                ..before
            },
        );
        Ok(None)
    }
}
