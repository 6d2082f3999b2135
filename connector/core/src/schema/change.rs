//! What a statement does to the schema, as consumers are told.
//!
//! Grammar: MySQL manual, "Data Definition Statements". Unlike a definition, this is a description for people and tools: a
//! statement of which a name is not understood is told all the same.

use std::borrow::Cow;

use super::tokens::{Token, Tokens};
use super::track::Parser;
use super::track::{Rules, Word, words};
use crate::decode::Statement;
use crate::selection::{Selection, TableName, helped_table, lower_case};
use crate::value::Charset;

/// A change of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// `CREATE`, `ALTER`, `DROP`, `RENAME` or `TRUNCATE`.
    pub kind: &'static str,
    /// What it is done to, in the order of the statement; a table that is renamed is followed by its new name.
    pub objects: Vec<SchemaObject>,
    /// The tables whose definitions it may change.
    pub tables: Vec<TableName>,
    /// The text holds a password.
    pub holds_password: bool,
}

/// A named part of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaObject {
    /// `TABLE`, `VIEW`, `INDEX`, `TRIGGER`, `PROCEDURE`, `FUNCTION`, `EVENT`, `DATABASE`, `SEQUENCE` or `PACKAGE`.
    pub kind: &'static str,
    /// Its database; of a database its own name.
    pub database: String,
    /// Its name.
    pub name: String,
}

/// The words for kinds of objects, and what each stands for.
const OBJECTS: [(&str, &str); 15] = [
    ("TABLE", TABLE),
    ("TABLES", TABLE),
    ("DATABASE", DATABASE),
    ("SCHEMA", DATABASE),
    ("INDEX", INDEX),
    ("KEY", INDEX),
    ("VIEW", VIEW),
    ("VIEWS", VIEW),
    ("TRIGGER", TRIGGER),
    ("PROCEDURE", PROCEDURE),
    ("FUNCTION", FUNCTION),
    ("EVENT", EVENT),
    ("SEQUENCE", "SEQUENCE"),
    ("SEQUENCES", "SEQUENCE"),
    ("PACKAGE", PACKAGE),
];
const TABLE: &str = "TABLE";
const DATABASE: &str = "DATABASE";
const INDEX: &str = "INDEX";
const VIEW: &str = "VIEW";
const TRIGGER: &str = "TRIGGER";
const PROCEDURE: &str = "PROCEDURE";
const FUNCTION: &str = "FUNCTION";
const EVENT: &str = "EVENT";
const PACKAGE: &str = "PACKAGE";

/// Accounts, whose statements are nobody's business, and what belongs to no schema.
const NO_OBJECTS: [&str; 9] = [
    "USER",
    "ROLE",
    "SERVER",
    "INSTANCE",
    "TABLESPACE",
    "LOGFILE",
    "RESOURCE",
    "REFERENCE",
    "TEMPORARY",
];

const ANSI_QUOTES: u64 = 4;

impl SchemaChange {
    /// What a statement does; `None` for statements that change no schema, for those on accounts, and for those on tables
    /// that only their session sees.
    #[must_use]
    pub fn of(statement: &Statement<'_>, is_mariadb: bool, folds_names: bool) -> Option<Self> {
        // Most statements are others, and some are large.
        let first = Tokens::of(statement).next();
        if !matches!(first, Some(Token::Word(word)) if kind_of(word).is_some()) {
            return None;
        }
        let text = readable_text(statement);
        let rules = Rules {
            has_escapes: statement.has_escapes,
            has_ansi_quotes: statement.session.sql_mode & ANSI_QUOTES != 0,
            is_mariadb,
        };
        // One of which a word is not understood is told all the same.
        let (words, holds_password) = match words(&text, rules) {
            Ok(words) => {
                let holds_password = holds_password(&words);
                (words, holds_password)
            }
            Err(_) => (rough_words(statement), may_hold_password(&text)),
        };
        let mut reader = Reader {
            words: Parser::new(words),
            database: String::from_utf8_lossy(statement.database).into_owned(),
            folds_names,
            is_mariadb,
            change: SchemaChange {
                kind: "",
                objects: Vec::new(),
                tables: Vec::new(),
                holds_password,
            },
        };
        reader.read()?;
        Some(reader.change)
    }

    /// Where tools for online schema changes put another table in the place of one, all that concerns anybody is that the
    /// table is altered.
    #[must_use]
    pub fn as_logical(mut self) -> Self {
        if !matches!(self.kind, "RENAME" | "ALTER") {
            return self;
        }
        let pairs: Vec<_> = self.objects.chunks_exact(2).map(<[_]>::to_vec).collect();
        let is_of = |helper: &SchemaObject, table: &SchemaObject| {
            helped_table(&helper.name) == Some(table.name.as_str())
        };
        let altered = pairs.iter().find_map(|pair| match pair.as_slice() {
            [from, to] if is_of(from, to) => Some(to.clone()),
            _ => None,
        });
        let Some(table) = altered else { return self };
        let concerns = |pair: &[SchemaObject]| match pair {
            [from, to] => [from, to]
                .iter()
                .all(|name| **name == table || is_of(name, &table)),
            _ => false,
        };
        if pairs.iter().all(|pair| concerns(pair)) {
            self.kind = "ALTER";
            self.tables = vec![TableName::new(&table.database, &table.name)];
            self.objects = vec![table];
        }
        self
    }

    /// The database that it belongs to: that of its first object, or else the one that was in use.
    #[must_use]
    pub fn database(&self, in_use: &str) -> String {
        let first = self.objects.first();
        first.map_or_else(|| in_use.to_owned(), |object| object.database.clone())
    }

    /// True if it is of something that is selected. What belongs to a database as a whole is if any of its tables may be.
    #[must_use]
    pub fn is_selected(&self, selection: &Selection, in_use: &str) -> bool {
        let is_a_tools = |object: &SchemaObject| {
            selection.without_helpers
                && object.kind == TRIGGER
                && object.name.starts_with("pt_osc_")
        };
        if self.objects.iter().any(is_a_tools) {
            return false;
        }
        if !self.tables.is_empty() {
            return self.tables.iter().any(|table| selection.selects(table));
        }
        if self.objects.is_empty() {
            return selection.may_select_in(in_use);
        }
        self.objects.iter().any(|object| match object.kind {
            VIEW => selection.selects(&TableName::new(&object.database, &object.name)),
            _ => selection.may_select_in(&object.database),
        })
    }
}

/// The text of a statement, as far as its characters are known: what is not is U+FFFD.
#[must_use]
pub fn readable_text<'a>(statement: &Statement<'a>) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(statement.text) {
        return Cow::Borrowed(text);
    }
    let charset = (statement.session.client_collation).and_then(Charset::of_collation);
    match charset.and_then(|charset| charset.decode(statement.text).ok()) {
        Some(text) => Cow::Owned(text),
        None => String::from_utf8_lossy(statement.text),
    }
}

/// The word that a statement begins with, if it may change the schema.
fn kind_of(word: &[u8]) -> Option<&'static str> {
    let mut kinds = KINDS.into_iter();
    kinds.find(|kind| word.eq_ignore_ascii_case(kind.as_bytes()))
}

const KINDS: [&str; 5] = ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"];

/// The words as far as anybody can tell them.
fn rough_words(statement: &Statement<'_>) -> Vec<Word> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = Tokens::of(statement).map(|token| match token {
        Token::Word(bytes) => Word::Bare(lossy(bytes)),
        Token::Quoted(bytes) => Word::Quoted(lossy(bytes)),
        Token::Text => Word::Text(String::new()),
        Token::Other(byte) => Word::Sign(char::from(byte)),
    });
    words.collect()
}

/// The same of a text whose words are not understood.
fn may_hold_password(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut secrets = ["password", "identified", "connection"].into_iter();
    secrets.any(|secret| text.contains(secret))
}

/// True if a password may stand in the text: that of a FEDERATED table's CONNECTION, of an account that a routine makes, or in
/// a text of options for an engine.
fn holds_password(words: &[Word]) -> bool {
    let tells = |word: &Word| match word {
        Word::Bare(word) => word.eq_ignore_ascii_case("IDENTIFIED"),
        Word::Text(text) => text.to_ascii_lowercase().contains("password"),
        Word::Quoted(_) | Word::Number(_) | Word::Bits(_) | Word::Sign(_) => false,
    };
    words.iter().any(tells) || has_secret_option(words)
}

/// An option that is a secret, with its value.
fn has_secret_option(words: &[Word]) -> bool {
    const OPTIONS: [&str; 4] = [
        "CONNECTION",
        "PASSWORD",
        "MASTER_PASSWORD",
        "SOURCE_PASSWORD",
    ];
    let is_option = |words: &[Word]| match words {
        [Word::Bare(word), Word::Sign('='), Word::Text(_), ..]
        | [Word::Bare(word), Word::Text(_), ..] => OPTIONS
            .iter()
            .any(|option| word.eq_ignore_ascii_case(option)),
        _ => false,
    };
    (0..words.len()).any(|at| words.get(at..).is_some_and(is_option))
}

struct Reader {
    words: Parser,
    /// The one in use.
    database: String,
    folds_names: bool,
    is_mariadb: bool,
    change: SchemaChange,
}

impl Reader {
    fn read(&mut self) -> Option<()> {
        self.words.take_settings();
        self.change.kind = KINDS.into_iter().find(|kind| self.words.take(kind))?;
        let object = self.object_kind()?;
        self.words.take_all(&["IF", "NOT", "EXISTS"]);
        self.words.take_all(&["IF", "EXISTS"]);
        // What is not understood of the rest is not told; the statement is.
        let _understood = self.names(object);
        Some(())
    }

    /// The kind of the objects: the first word that names one says so.
    fn object_kind(&mut self) -> Option<&'static str> {
        if self.change.kind == "TRUNCATE" {
            self.words.take("TABLE");
            return Some(TABLE);
        }
        loop {
            let found = OBJECTS.iter().find(|(word, _)| self.words.is(word));
            if let Some((_, kind)) = found {
                self.words.next();
                if *kind == PACKAGE {
                    self.words.take("BODY");
                }
                return Some(kind);
            }
            if self.words.is_one_of(&NO_OBJECTS) {
                return None;
            }
            self.words.next()?;
        }
    }

    fn names(&mut self, kind: &'static str) -> Option<()> {
        match (self.change.kind, kind) {
            (_, DATABASE) => self.databases(),
            ("RENAME", TABLE) => loop {
                self.object(kind)?;
                while !self.words.take("TO") {
                    self.words.next()?;
                }
                self.object(kind)?;
                self.words.take_sign(',').then_some(())?;
            },
            (_, INDEX) => {
                let index = self.words.name().ok()?;
                while !self.words.take("ON") {
                    self.words.next()?;
                }
                let table = self.qualified(TABLE)?;
                let database = table.database.clone();
                self.push(INDEX, TableName::new(&database, &index));
                self.change.tables.push(table);
                Some(())
            }
            ("CREATE", TRIGGER) => {
                self.object(kind)?;
                while !self.words.take("ON") {
                    self.words.next()?;
                }
                let table = self.qualified(TABLE)?;
                self.change.tables.push(table);
                Some(())
            }
            ("DROP", _) | ("RENAME", _) => loop {
                self.object(kind)?;
                self.words.take_sign(',').then_some(())?;
            },
            ("ALTER", TABLE) => {
                self.object(kind)?;
                self.new_name(kind)
            }
            _ => self.object(kind),
        }
    }

    fn databases(&mut self) -> Option<()> {
        let is_in_use =
            self.change.kind == "ALTER" && self.words.is_database_option(self.is_mariadb);
        let name = match is_in_use {
            true => self.database.clone(),
            false => self.words.name().ok()?,
        };
        let name = self.fold(name);
        let name = TableName::new(&name, &name);
        self.push(DATABASE, name);
        Some(())
    }

    /// `ALTER TABLE … RENAME [TO | AS | =] name`, on whichever place of its clauses.
    fn new_name(&mut self, kind: &'static str) -> Option<()> {
        let mut depth = 0_usize;
        let mut begins_clause = true;
        loop {
            if depth == 0 && begins_clause && self.words.take("RENAME") {
                if !self.words.is_one_of(&["COLUMN", "INDEX", "KEY"]) {
                    self.words.take_one(&["TO", "AS"]);
                    self.words.take_sign('=');
                    return self.object(kind);
                }
                begins_clause = false;
                continue;
            }
            begins_clause = false;
            match self.words.next()? {
                Word::Sign('(') => depth += 1,
                Word::Sign(')') => depth = depth.saturating_sub(1),
                Word::Sign(',') => begins_clause = depth == 0,
                Word::Sign(_)
                | Word::Bare(_)
                | Word::Quoted(_)
                | Word::Text(_)
                | Word::Number(_)
                | Word::Bits(_) => {}
            }
        }
    }

    fn object(&mut self, kind: &'static str) -> Option<()> {
        let name = self.qualified(kind)?;
        if kind == TABLE {
            self.change.tables.push(name.clone());
        }
        self.push(kind, name);
        Some(())
    }

    fn push(&mut self, kind: &'static str, name: TableName) {
        self.change.objects.push(SchemaObject {
            kind,
            database: name.database,
            name: name.table,
        });
    }

    /// Triggers, routines and events keep their names as they are written, whatever the server does to those of tables.
    fn qualified(&mut self, kind: &str) -> Option<TableName> {
        let (database, name) = self.words.qualified().ok()?;
        let database = database.unwrap_or_else(|| self.database.clone());
        let is_as_written = [TRIGGER, PROCEDURE, FUNCTION, EVENT, PACKAGE].contains(&kind);
        Some(TableName {
            database: self.fold(database),
            table: match is_as_written {
                true => name,
                false => self.fold(name),
            },
        })
    }

    fn fold(&self, name: String) -> String {
        match self.folds_names {
            true => lower_case(&name),
            false => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Option<SchemaChange> {
        let statement = Statement {
            database: b"shop",
            text: text.as_bytes(),
            has_escapes: true,
            ..Statement::default()
        };
        SchemaChange::of(&statement, false, false)
    }

    /// Kind, objects and tables in a few words.
    fn told(text: &str) -> String {
        let Some(change) = change(text) else {
            return "nothing".to_owned();
        };
        let objects = change.objects.iter();
        let objects: Vec<String> = objects
            .map(|object| format!("{} {}.{}", object.kind, object.database, object.name))
            .collect();
        let tables: Vec<String> = change.tables.iter().map(ToString::to_string).collect();
        format!(
            "{} {} ({})",
            change.kind,
            objects.join(", "),
            tables.join(", ")
        )
    }

    #[test]
    fn a_change_says_what_is_done_to_what() {
        for (text, expected) in [
            ("CREATE TABLE t (id INT)", "CREATE TABLE shop.t (shop.t)"),
            (
                "create table if not exists `hr`.`t` like x",
                "CREATE TABLE hr.t (hr.t)",
            ),
            (
                "CREATE OR REPLACE TABLE t (id INT)",
                "CREATE TABLE shop.t (shop.t)",
            ),
            (
                "ALTER TABLE t ADD c INT, RENAME TO hr.u",
                "ALTER TABLE shop.t, TABLE hr.u (shop.t, hr.u)",
            ),
            (
                "ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX i TO j",
                "ALTER TABLE shop.t (shop.t)",
            ),
            (
                "ALTER TABLE t RENAME u",
                "ALTER TABLE shop.t, TABLE shop.u (shop.t, shop.u)",
            ),
            (
                "DROP TABLE IF EXISTS a, hr.b /* generated by server */",
                "DROP TABLE shop.a, TABLE hr.b (shop.a, hr.b)",
            ),
            (
                "RENAME TABLE a TO b, hr.c TO d",
                "RENAME TABLE shop.a, TABLE shop.b, TABLE hr.c, TABLE shop.d (shop.a, shop.b, hr.c, shop.d)",
            ),
            (
                "SET STATEMENT a = 'x', b = (SELECT 1) FOR ALTER TABLE t ADD c INT, RENAME u",
                "ALTER TABLE shop.t, TABLE shop.u (shop.t, shop.u)",
            ),
            ("CREATE SEQUENCE s", "CREATE SEQUENCE shop.s ()"),
            ("TRUNCATE t", "TRUNCATE TABLE shop.t (shop.t)"),
            ("TRUNCATE TABLE `t`", "TRUNCATE TABLE shop.t (shop.t)"),
            (
                "CREATE UNIQUE INDEX i USING BTREE ON hr.t (c)",
                "CREATE INDEX hr.i (hr.t)",
            ),
            (
                "DROP INDEX `PRIMARY` ON t",
                "DROP INDEX shop.PRIMARY (shop.t)",
            ),
            ("CREATE DATABASE IF NOT EXISTS d", "CREATE DATABASE d.d ()"),
            (
                "ALTER DATABASE comment CHARACTER SET gbk",
                "ALTER DATABASE comment.comment ()",
            ),
            (
                "ALTER DATABASE CHARACTER SET gbk",
                "ALTER DATABASE shop.shop ()",
            ),
            ("DROP SCHEMA d", "DROP DATABASE d.d ()"),
            (
                "CREATE ALGORITHM=UNDEFINED DEFINER=`user`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1 from t",
                "CREATE VIEW shop.v ()",
            ),
            ("DROP VIEW v, hr.w", "DROP VIEW shop.v, VIEW hr.w ()"),
            (
                "CREATE DEFINER=`r`@`l` TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
                "CREATE TRIGGER shop.g (shop.t)",
            ),
            ("DROP TRIGGER hr.g", "DROP TRIGGER hr.g ()"),
            (
                "CREATE DEFINER=`r`@`l` PROCEDURE p() CREATE TABLE t (id INT)",
                "CREATE PROCEDURE shop.p ()",
            ),
            (
                "ALTER DEFINER=`r`@`l` EVENT e RENAME TO f",
                "ALTER EVENT shop.e ()",
            ),
            ("DROP FUNCTION IF EXISTS f", "DROP FUNCTION shop.f ()"),
            ("CREATE TABLE", "CREATE  ()"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn a_table_that_a_tool_puts_in_the_place_of_another_is_altered() {
        for (text, expected) in [
            (
                "RENAME TABLE `shop`.`t` TO `shop`.`_t_del`, `shop`.`_t_gho` TO `shop`.`t`",
                "ALTER TABLE shop.t",
            ),
            (
                "RENAME TABLE t TO _t_20260228235959_del, _t_gho TO t",
                "ALTER TABLE shop.t",
            ),
            (
                "RENAME TABLE t TO _t_old, _t_new TO t",
                "ALTER TABLE shop.t",
            ),
            ("RENAME TABLE _t_new TO t", "ALTER TABLE shop.t"),
            ("ALTER TABLE _t_gho RENAME t", "ALTER TABLE shop.t"),
            (
                "ALTER TABLE t RENAME _t_del",
                "ALTER TABLE shop.t, TABLE shop._t_del",
            ),
            ("ALTER TABLE t ADD c INT", "ALTER TABLE shop.t"),
            (
                "RENAME TABLE t TO old, new TO t",
                "RENAME TABLE shop.t, TABLE shop.old, TABLE shop.new, TABLE shop.t",
            ),
            (
                "RENAME TABLE t TO _t_old, _t_new TO t, a TO b",
                "RENAME TABLE shop.t, TABLE shop._t_old, TABLE shop._t_new, TABLE shop.t, TABLE shop.a, TABLE shop.b",
            ),
            (
                "RENAME TABLE t TO _t_old",
                "RENAME TABLE shop.t, TABLE shop._t_old",
            ),
        ] {
            let change = change(text).unwrap().as_logical();
            let objects = change.objects.iter();
            let objects: Vec<String> = objects
                .map(|object| format!("{} {}.{}", object.kind, object.database, object.name))
                .collect();
            assert_eq!(
                format!("{} {}", change.kind, objects.join(", ")),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_change_of_the_schema_is_not_told() {
        for text in [
            "CREATE USER u IDENTIFIED BY 'secret'",
            "ALTER USER 'u'@'%' IDENTIFIED WITH x AS 'TABLE'",
            "DROP ROLE r",
            "RENAME USER a TO b",
            "GRANT ALL ON shop.* TO u",
            "SET PASSWORD FOR u = 'x'",
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD 'secret', DATABASE 'd')",
            "ALTER INSTANCE ROTATE INNODB MASTER KEY",
            "CREATE TEMPORARY TABLE t (id INT)",
            "DROP TEMPORARY TABLE t",
            "INSERT INTO t VALUES (1)",
            "SET STATEMENT a = 1 FOR INSERT INTO t VALUES (1)",
            "BEGIN",
            "",
        ] {
            assert_eq!(told(text), "nothing", "{text}");
        }
    }

    #[test]
    fn a_statement_that_holds_a_password_is_known() {
        let federated =
            "CREATE TABLE t (id INT) ENGINE=FEDERATED CONNECTION='mysql://u:secret@h/d/t'";
        assert!(change(federated).unwrap().holds_password);
        assert!(
            change("ALTER TABLE t CONNECTION 'mysql://u:secret@h/d/t'")
                .unwrap()
                .holds_password
        );
        for (text, holds) in [
            (
                "CREATE TABLE t (connection INT, `x` INT DEFAULT '1')",
                false,
            ),
            (
                "CREATE TABLE t (password VARCHAR(9) DEFAULT 'x', identified_by INT)",
                false,
            ),
            (
                "CREATE PROCEDURE p() CREATE TABLE t (id INT) CONNECTION='mysql://u:secret@h/d/t'",
                true,
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO ALTER USER u IDENTIFIED BY 'secret'",
                true,
            ),
            ("CREATE PROCEDURE p() SET PASSWORD = 'secret'", true),
            (
                "CREATE TABLE t (id INT) ENGINE=SPIDER COMMENT='user \"u\", password \"secret\"'",
                true,
            ),
        ] {
            assert_eq!(change(text).unwrap().holds_password, holds, "{text}");
        }
    }

    #[test]
    fn a_statement_of_which_a_word_is_not_understood_is_told_all_the_same() {
        for (text, expected) in [
            (r"ALTER TABLE t COMMENT 'C:\dir'", "ALTER TABLE shop.t"),
            (
                r"CREATE PROCEDURE p() SELECT '\n'",
                "CREATE PROCEDURE shop.p",
            ),
        ] {
            let statement = Statement {
                database: b"shop",
                text: text.as_bytes(),
                has_escapes: false,
                ..Statement::default()
            };
            let change = SchemaChange::of(&statement, false, false).unwrap();
            let object = &change.objects[0];
            assert_eq!(
                format!(
                    "{} {} {}.{}",
                    change.kind, object.kind, object.database, object.name
                ),
                expected
            );
        }
    }

    #[test]
    fn the_selection_decides_by_tables_and_else_by_databases() {
        let selection = Selection {
            tables: [TableName::new("shop", "t")].into(),
            ..Selection::default()
        };
        for (text, expected) in [
            ("ALTER TABLE t ADD c INT", true),
            ("ALTER TABLE u ADD c INT", false),
            ("RENAME TABLE u TO t", true),
            ("CREATE INDEX i ON t (c)", true),
            (
                "CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW SET @a = 1",
                false,
            ),
            ("CREATE VIEW v AS SELECT 1", false),
            ("DROP DATABASE shop", true),
            ("DROP DATABASE hr", false),
            ("CREATE PROCEDURE p() SELECT 1", true),
        ] {
            assert_eq!(
                change(text).unwrap().is_selected(&selection, "shop"),
                expected,
                "{text}"
            );
        }
    }
}
