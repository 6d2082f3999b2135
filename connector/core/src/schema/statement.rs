//! What a statement that was logged as text may do to what is published.
//!
//! A statement is judged by its first words and by the names in it. A text that is not understood stops nothing by
//! itself (I7): it ends every definition, so that the next table map of each table is read anew.

use super::tokens::{Token, Tokens};
use crate::decode::Statement;
use crate::selection::{Selection, TableName};
use crate::value::Charset;

/// What a statement may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementEffect {
    /// Nothing that concerns rows or definitions.
    None,
    /// It may change definitions.
    Definition,
    /// It empties a table.
    Truncate(TableName),
    /// It changes rows, logged in STATEMENT format, and may touch a selected table. It names this one first.
    Rows(TableName),
    /// It takes back a part of the transaction it is in.
    RollbackToSavepoint,
}

/// Judges a statement.
#[must_use]
pub fn effect(statement: &Statement<'_>, selection: &Selection) -> StatementEffect {
    let mut tokens = Tokens::of(statement);
    let Some(Token::Word(first)) = tokens.next() else {
        // An opening parenthesis begins a SELECT; anything else is not known.
        return rows_effect(statement, selection);
    };
    let is = |words: &[&str]| is_one_of(first, words);
    if is(&[
        "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "SELECT", "WITH", "EXECUTE",
    ]) {
        rows_effect(statement, selection)
    } else if is(&["TRUNCATE"]) {
        truncated_table(&mut tokens, statement)
            .map_or(StatementEffect::Definition, StatementEffect::Truncate)
    } else if is(&["CREATE"]) && fills_a_table(&mut tokens) {
        rows_effect(statement, selection)
    } else if is(&["ROLLBACK"]) {
        StatementEffect::RollbackToSavepoint
    } else if is(&["SAVEPOINT", "RELEASE", "XA", "BEGIN", "COMMIT"]) {
        StatementEffect::None
    } else if may_define(statement) {
        StatementEffect::Definition
    } else {
        StatementEffect::None
    }
}

/// True unless a statement is one that leaves every table's definition as it is: it changes rows, belongs to a
/// transaction, or is about accounts or about something else than tables, whatever tables it names.
#[must_use]
pub fn may_define(statement: &Statement<'_>) -> bool {
    const CHANGE_ROWS: [&str; 14] = [
        "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "DO", "SELECT", "WITH", "VALUES", "TABLE",
        "HANDLER", "TRUNCATE", "BEGIN", "COMMIT",
    ];
    const OTHERS: [&str; 10] = [
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "XA",
        "GRANT",
        "REVOKE",
        "SET",
        "ANALYZE",
        "OPTIMIZE",
        "FLUSH",
    ];
    const ON_OBJECTS: [&str; 4] = ["CREATE", "ALTER", "DROP", "RENAME"];
    let mut tokens = Tokens::of(statement);
    match tokens.next() {
        Some(Token::Word(first)) if is_one_of(first, &ON_OBJECTS) => is_on_a_table(tokens),
        Some(Token::Word(first)) => !is_one_of(first, &CHANGE_ROWS) && !is_one_of(first, &OTHERS),
        Some(_) | None => true,
    }
}

/// What tables are made of.
/// A sequence of MariaDB may take the place of a table.
const TABLES: [&str; 7] = [
    "TABLE", "TABLES", "DATABASE", "SCHEMA", "INDEX", "KEY", "SEQUENCE",
];

/// What kind of object a statement is on, as far as that is what tables are made of: the first of these words says so.
fn is_on_a_table(tokens: Tokens<'_>) -> bool {
    const NO_TABLES: [&str; 8] = [
        "PACKAGE",
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "EVENT",
        "USER",
        "ROLE",
    ];
    for token in tokens {
        let Token::Word(word) = token else { continue };
        if is_one_of(word, &TABLES) {
            return true;
        }
        if is_one_of(word, &NO_TABLES) {
            return false;
        }
    }
    true
}

/// True for a statement on a database.
pub(super) fn is_on_a_database(statement: &Statement<'_>) -> bool {
    // CREATE OR REPLACE DATABASE; the name of the object comes after its kind.
    let mut tokens = Tokens::of(statement).take(4);
    tokens
        .any(|token| matches!(token, Token::Word(word) if is_one_of(word, &["DATABASE", "SCHEMA"])))
}

fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|each| word.eq_ignore_ascii_case(each.as_bytes()))
}

/// `CREATE TABLE … SELECT` in STATEMENT format, or `… TABLE`, or `… VALUES ROW`. In ROW format the server logs the table
/// alone, and then rows.
fn fills_a_table(tokens: &mut Tokens<'_>) -> bool {
    let is = |token: &Token<'_>, word: &str| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word.as_bytes()));
    let mut tokens = tokens.skip_while(|token| is(token, "TEMPORARY"));
    if !tokens.next().is_some_and(|token| is(&token, "TABLE")) {
        return false;
    }
    let (mut was_values, mut was_dot) = (false, false);
    tokens.any(|token| {
        let is_row_of_values = was_values && is(&token, "ROW");
        // Behind a dot any word is a name.
        let is_name = std::mem::replace(&mut was_dot, token == Token::Other(b'.'));
        was_values = is(&token, "VALUES");
        !is_name && (is(&token, "SELECT") || is(&token, "TABLE") || is_row_of_values)
    })
}

/// DML text halts only if it may touch a selected table: if it ran in such a database or names one.
fn rows_effect(statement: &Statement<'_>, selection: &Selection) -> StatementEffect {
    let database = String::from_utf8_lossy(statement.database);
    let names_one = || {
        Tokens::of(statement).any(|token| match token {
            Token::Word(name) | Token::Quoted(name) => {
                std::str::from_utf8(name).is_ok_and(|name| selection.may_select_in(name))
            }
            Token::Text | Token::Other(_) => false,
        })
    };
    if selection.may_select_in(&database) || names_one() {
        StatementEffect::Rows(first_table(statement, &database))
    } else {
        StatementEffect::None
    }
}

/// Words that stand before the first table of a statement that changes rows.
const BEFORE_A_TABLE: [&str; 22] = [
    "CREATE",
    "TEMPORARY",
    "IF",
    "NOT",
    "EXISTS",
    "INSERT",
    "REPLACE",
    "UPDATE",
    "DELETE",
    "LOAD",
    "DATA",
    "XML",
    "INTO",
    "FROM",
    "TABLE",
    "IGNORE",
    "LOCAL",
    "INFILE",
    "QUICK",
    "DELAYED",
    "LOW_PRIORITY",
    "HIGH_PRIORITY",
];

/// The first name in a statement that changes rows; good enough to tell people where to look.
fn first_table(statement: &Statement<'_>, database: &str) -> TableName {
    let is_before = |token: &Token<'_>| match token {
        Token::Word(word) => is_one_of(word, &BEFORE_A_TABLE),
        Token::Text | Token::Other(_) => true,
        Token::Quoted(_) => false,
    };
    let mut tokens = Tokens::of(statement).skip_while(is_before);
    let first = tokens.next().and_then(name).unwrap_or_default();
    match (tokens.next(), tokens.next().and_then(name)) {
        (Some(Token::Other(b'.')), Some(table)) => TableName::new(&first, &table),
        _ => TableName::new(database, &first),
    }
}

/// The table of `TRUNCATE [TABLE] [database.]table`.
fn truncated_table(tokens: &mut Tokens<'_>, statement: &Statement<'_>) -> Option<TableName> {
    let charset = (statement.session.client_collation).and_then(Charset::of_collation);
    let name = |token| name_in(charset.unwrap_or(Charset::Utf8mb4), token);
    let mut first = tokens.next()?;
    if matches!(&first, Token::Word(word) if word.eq_ignore_ascii_case(b"TABLE")) {
        first = tokens.next()?;
    }
    let first = name(first)?;
    match tokens.next() {
        Some(Token::Other(b'.')) => Some(TableName::new(&first, &name(tokens.next()?)?)),
        Some(_) | None => {
            let database = String::from_utf8_lossy(statement.database);
            Some(TableName::new(&database, &first))
        }
    }
}

/// A name in the character set of the client that sent the statement.
fn name_in(charset: Charset, token: Token<'_>) -> Option<String> {
    match token {
        Token::Word(bytes) => charset.decode(bytes).ok(),
        Token::Quoted(bytes) => Some(charset.decode(bytes).ok()?.replace("``", "`")),
        Token::Text | Token::Other(_) => None,
    }
}

fn name(token: Token<'_>) -> Option<String> {
    match token {
        Token::Word(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        Token::Quoted(bytes) => Some(std::str::from_utf8(bytes).ok()?.replace("``", "`")),
        Token::Text | Token::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Pairs;

    fn statement(text: &[u8]) -> Statement<'_> {
        Statement {
            database: b"shop",
            text,
            has_escapes: true,
            pairs: Pairs::None,
            ends_transaction: true,
            ..Statement::default()
        }
    }

    fn check(database: &str, text: &str, expected: &StatementEffect) {
        let selection = Selection {
            databases: ["shop".to_owned()].into(),
            ..Selection::default()
        };
        let statement = Statement {
            database: database.as_bytes(),
            ..statement(text.as_bytes())
        };
        assert_eq!(&effect(&statement, &selection), expected, "{text}");
    }

    #[test]
    fn the_name_of_an_emptied_table_is_in_the_character_set_of_its_client() {
        const LATIN1: u64 = 8;
        const GBK: u64 = 28;
        let utf8: &[u8] = "TRUNCATE TABLE größe".as_bytes();
        for (client_collation, text, table) in [
            (Some(LATIN1), &b"TRUNCATE TABLE gr\xf6\xdfe"[..], "größe"),
            (Some(LATIN1), utf8, "grÃ¶ÃŸe"),
            (Some(GBK), b"TRUNCATE `\xb4\xf3`", "大"),
            (None, utf8, "größe"),
        ] {
            let mut statement = statement(text);
            statement.session.client_collation = client_collation;
            let expected = StatementEffect::Truncate(TableName::new("shop", table));
            assert_eq!(effect(&statement, &Selection::default()), expected);
        }
    }

    #[test]
    fn a_table_that_is_filled_is_told_from_one_that_is_made() {
        use StatementEffect::Definition;
        let rows = StatementEffect::Rows(TableName::new("shop", "t"));
        check(
            "shop",
            "CREATE TABLE t AS VALUES ROW(1, 2), ROW(3, 4)",
            &rows,
        );
        check(
            "shop",
            "CREATE TABLE t (id INT) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (9))",
            &Definition,
        );
        check(
            "shop",
            "CREATE TABLE t (c INT COMMENT 'it\\'s SELECT')",
            &Definition,
        );
        let selection = Selection {
            databases: ["shop".to_owned()].into(),
            ..Selection::default()
        };
        let without_escapes = Statement {
            has_escapes: false,
            ..statement(br"CREATE TABLE t (c INT) COMMENT='C:\' SELECT 'x' AS c")
        };
        assert_eq!(effect(&without_escapes, &selection), rows);
        // The second byte of the character is a backslash in sjis, and a backtick in gbk.
        for (pairs, text, expected) in [
            (
                Pairs::Sjis,
                &b"CREATE TABLE t (x INT) COMMENT='\x95\x5c' AS SELECT 1 AS a"[..],
                &rows,
            ),
            (
                Pairs::Sjis,
                b"CREATE TABLE t (a INT COMMENT '\x95\x5c', b INT COMMENT 'SELECT x')",
                &Definition,
            ),
            (
                Pairs::Wide,
                b"CREATE TABLE t (`\x81\x60` INT, `SELECT` INT)",
                &Definition,
            ),
            (
                Pairs::Wide,
                b"CREATE TABLE t (\x81\x5c INT) SELECT 1 AS a",
                &rows,
            ),
            (
                Pairs::Wide,
                b"CREATE TABLE t (c INT) COMMENT '\x81",
                &Definition,
            ),
        ] {
            let statement = Statement {
                pairs,
                ..statement(text)
            };
            assert_eq!(&effect(&statement, &selection), expected, "{text:x?}");
        }
        check("shop", "CREATE TABLE shop.table (id INT)", &Definition);
    }

    #[test]
    fn what_is_on_a_database_is_told_from_what_names_one() {
        for text in [
            "DROP DATABASE shop",
            "create schema if not exists shop",
            "CREATE OR REPLACE DATABASE shop",
            "/* x */ ALTER DATABASE CHARACTER SET gbk",
            "/*!50000 DROP */ /*!80000 DATABASE */ shop",
        ] {
            assert!(is_on_a_database(&statement(text.as_bytes())), "{text}");
        }
        for text in [
            "ALTER TABLE t ADD `schema` INT",
            "CREATE TABLE t (c INT COMMENT 'DATABASE')",
            "CREATE TABLE t (id INT, c INT, schema_of INT) COMMENT = 'x'",
        ] {
            assert!(!is_on_a_database(&statement(text.as_bytes())), "{text}");
        }
    }

    #[test]
    fn only_statements_on_tables_and_databases_may_define() {
        for text in [
            "ALTER TABLE t ADD c INT",
            "create temporary table t (id int)",
            "CREATE TABLE view (id INT)",
            "CREATE OR REPLACE TABLE t (id INT)",
            "ALTER ONLINE TABLE t ADD c INT",
            "RENAME TABLES t TO user",
            "DROP TABLE IF EXISTS `view`",
            "ALTER DATABASE shop CHARACTER SET gbk",
            "DROP INDEX `PRIMARY` ON t",
            "CREATE UNIQUE INDEX user ON t (c)",
            "/* VIEW */ ALTER /*!80000 TABLE */ t ADD c INT",
            "IMPORT TABLE FROM 't.sdi'",
            "REPAIR TABLE t",
            "ALTER INSTANCE ROTATE INNODB MASTER KEY",
            "CREATE OR REPLACE SEQUENCE t",
            "SET STATEMENT max_statement_time=5, sql_mode=CONCAT('FOR', (SELECT 1)) FOR ALTER TABLE t ADD c INT",
            "set statement a=1 for create or replace table t (id int)",
            "/*M! INSERT */ ALTER TABLE t ADD c INT",
            "something else",
        ] {
            assert!(may_define(&statement(text.as_bytes())), "{text}");
        }
        for text in [
            "GRANT SELECT ON shop.t TO `u`@`%`",
            "revoke all on t from u",
            "SET PASSWORD FOR `u`@`%`='x'",
            "CREATE USER 'u'@'%' IDENTIFIED BY 'TABLE t'",
            "RENAME USER a TO b",
            "CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=`table`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1 from t",
            "CREATE DEFINER=`root`@`localhost` TRIGGER t BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
            "CREATE DEFINER=`root`@`localhost` PROCEDURE p() CREATE TABLE t (id INT)",
            "DROP VIEW t",
            "ANALYZE TABLE t",
            "INSERT INTO t VALUES (1)",
            "SET STATEMENT a=1 FOR INSERT INTO t VALUES (1)",
            "SET STATEMENT",
            "CREATE PACKAGE p AS PROCEDURE t; END",
            "XA START 'x'",
        ] {
            assert!(!may_define(&statement(text.as_bytes())), "{text}");
        }
    }

    #[test]
    fn comments_of_mariadb_count_on_mariadb_alone() {
        let text = b"/*M!100100 INSERT INTO */ ALTER TABLE t ADD c INT";
        for (is_mariadb, expected) in [(false, true), (true, false)] {
            let statement = Statement {
                is_mariadb,
                ..statement(text)
            };
            assert_eq!(may_define(&statement), expected);
        }
    }

    #[test]
    fn a_statement_is_judged_by_its_first_words_and_its_names() {
        use StatementEffect::{Definition, None, RollbackToSavepoint};
        let rows = |database, table| StatementEffect::Rows(TableName::new(database, table));
        check("shop", "ALTER TABLE t ADD c INT", &Definition);
        check(
            "shop",
            "/* a */ -- b\n # c\n CREATE TABLE x (id INT)",
            &Definition,
        );
        check("shop", "something new", &Definition);
        check("shop", "INSERT INTO t VALUES (1)", &rows("shop", "t"));
        check(
            "shop",
            "LOAD DATA LOCAL INFILE 'x' IGNORE INTO TABLE hr.t",
            &rows("hr", "t"),
        );
        check("hr", "INSERT INTO t VALUES ('shop')", &None);
        check("hr", "INSERT INTO `shop`.t VALUES (1)", &rows("shop", "t"));
        check("hr", "update SHOP.t set a = 1", &rows("SHOP", "t"));
        check("hr", "(SELECT 1)", &None);
        check("shop", "/*!50003 DELETE */ FROM t", &rows("shop", "t"));
        check(
            "shop",
            "CREATE TABLE a (`select` INT) START TRANSACTION",
            &Definition,
        );
        check("shop", "CREATE VIEW a AS SELECT 1", &None);
        check("hr", "CREATE TABLE a SELECT 1", &None);
        check(
            "shop",
            "CREATE TEMPORARY TABLE a AS SELECT 1",
            &rows("shop", "a"),
        );
        check(
            "shop",
            "CREATE TABLE IF NOT EXISTS `a` TABLE b",
            &rows("shop", "a"),
        );
        check(
            "shop",
            "SET STATEMENT a = 1 FOR ALTER TABLE t ADD c INT",
            &Definition,
        );
        check(
            "hr",
            "SET STATEMENT a = 1 FOR DELETE FROM shop.t",
            &rows("shop", "t"),
        );
        check("shop", "SET STATEMENT a = 1 FOR SET b = 1", &None);
        check("shop", "SAVEPOINT a", &None);
        check("shop", "ROLLBACK TO a", &RollbackToSavepoint);
        check("shop", "XA END 'x'", &None);
    }

    #[test]
    fn what_may_change_a_definition_is_all_but_what_is_known_not_to() {
        for text in [
            "ALTER TABLE t ADD c INT",
            "/*!50003 CREATE */ TABLE t (id INT)",
            "CREATE TABLE t SELECT 1",
            "DROP DATABASE d",
            "something new",
            "(SELECT 1)",
            "CALL p()",
            "",
        ] {
            assert!(may_define(&statement(text.as_bytes())), "{text}");
        }
        for text in [
            "BEGIN",
            "insert INTO t VALUES (1)",
            "TRUNCATE t",
            "/* a */ UPDATE t SET a = 1",
            "XA START 'x'",
            "SAVEPOINT `a`",
        ] {
            assert!(!may_define(&statement(text.as_bytes())), "{text}");
        }
    }

    #[test]
    fn a_truncated_table_is_named() {
        for (text, database, table) in [
            ("TRUNCATE t", "shop", "t"),
            ("truncate table `a``b`", "shop", "a`b"),
            ("TRUNCATE TABLE hr . `t`", "hr", "t"),
            ("/*!40000 TRUNCATE */ TABLE hr.t ", "hr", "t"),
        ] {
            check(
                "shop",
                text,
                &StatementEffect::Truncate(TableName::new(database, table)),
            );
        }
    }
}
