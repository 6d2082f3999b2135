//! What a statement that was logged as text may do to what is published.
//!
//! A tolerant tokenizer: it knows comments, quotes and version comments, and judges a statement by its first
//! words and by the names in it. A text that is not understood stops nothing by itself (I7): it ends every
//! definition, so that the next table map of each table is read anew.

use crate::decode::Statement;
use crate::selection::{Selection, TableName};

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
    let database = String::from_utf8_lossy(statement.database);
    let mut tokens = Tokens::new(statement.text);
    let Some(Token::Word(first)) = tokens.next() else {
        // An opening parenthesis begins a SELECT; anything else is not known.
        return rows_effect(&database, statement.text, selection);
    };
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| first.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(&[
        "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "SELECT", "WITH",
    ]) || is(&["VALUES", "TABLE", "IMPORT", "HANDLER", "EXECUTE"])
    {
        rows_effect(&database, statement.text, selection)
    } else if is(&["TRUNCATE"]) {
        truncated_table(&mut tokens, &database)
            .map_or(StatementEffect::Definition, StatementEffect::Truncate)
    } else if is(&["CREATE"]) && fills_a_table(&mut tokens) {
        rows_effect(&database, statement.text, selection)
    } else if is(&["ROLLBACK"]) {
        StatementEffect::RollbackToSavepoint
    } else if is(&["SAVEPOINT", "RELEASE", "XA", "BEGIN", "COMMIT"]) {
        StatementEffect::None
    } else if may_define(statement.text) {
        StatementEffect::Definition
    } else {
        StatementEffect::None
    }
}

/// True unless a statement is one that leaves every table's definition as it is: it changes rows, belongs to a
/// transaction, or is about accounts or about something else than tables, whatever tables it names.
#[must_use]
pub fn may_define(text: &[u8]) -> bool {
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
    let is = |found: &[u8], words: &[&str]| {
        words
            .iter()
            .any(|word| found.eq_ignore_ascii_case(word.as_bytes()))
    };
    let mut tokens = Tokens::new(text);
    match tokens.next() {
        Some(Token::Word(first)) if is(first, &ON_OBJECTS) => is_on_a_table(tokens),
        Some(Token::Word(first)) => !is(first, &CHANGE_ROWS) && !is(first, &OTHERS),
        Some(_) | None => true,
    }
}

/// What kind of object a statement is on, as far as that is what tables are made of: the first of these words says so.
fn is_on_a_table(tokens: Tokens<'_>) -> bool {
    const TABLES: [&str; 6] = ["TABLE", "TABLES", "DATABASE", "SCHEMA", "INDEX", "KEY"];
    const NO_TABLES: [&str; 7] = [
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
        let is = |words: &[&str]| {
            words
                .iter()
                .any(|each| word.eq_ignore_ascii_case(each.as_bytes()))
        };
        if is(&TABLES) {
            return true;
        }
        if is(&NO_TABLES) {
            return false;
        }
    }
    true
}

/// `CREATE TABLE … SELECT` in STATEMENT format. In ROW format the server logs the table alone, and then rows.
fn fills_a_table(tokens: &mut Tokens<'_>) -> bool {
    let is = |token: &Token<'_>, word: &str| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word.as_bytes()));
    let mut tokens = tokens.skip_while(|token| is(token, "TEMPORARY"));
    tokens.next().is_some_and(|token| is(&token, "TABLE"))
        && tokens.any(|token| is(&token, "SELECT") || is(&token, "TABLE"))
}

/// DML text halts only if it may touch a selected table: if it ran in such a database or names one.
fn rows_effect(database: &str, text: &[u8], selection: &Selection) -> StatementEffect {
    let names_one = || {
        Tokens::new(text).any(|token| match token {
            Token::Word(name) | Token::Quoted(name) => {
                std::str::from_utf8(name).is_ok_and(|name| selection.may_select_in(name))
            }
            Token::Text | Token::Other(_) => false,
        })
    };
    if selection.may_select_in(database) || names_one() {
        StatementEffect::Rows(first_table(text, database))
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
fn first_table(text: &[u8], database: &str) -> TableName {
    let is_before = |token: &Token<'_>| match token {
        Token::Word(word) => BEFORE_A_TABLE
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known.as_bytes())),
        Token::Text | Token::Other(_) => true,
        Token::Quoted(_) => false,
    };
    let mut tokens = Tokens::new(text).skip_while(is_before);
    let first = tokens.next().and_then(name).unwrap_or_default();
    match (tokens.next(), tokens.next().and_then(name)) {
        (Some(Token::Other(b'.')), Some(table)) => TableName::new(&first, &table),
        _ => TableName::new(database, &first),
    }
}

/// The table of `TRUNCATE [TABLE] [database.]table`.
fn truncated_table(tokens: &mut Tokens<'_>, database: &str) -> Option<TableName> {
    let mut first = tokens.next()?;
    if matches!(&first, Token::Word(word) if word.eq_ignore_ascii_case(b"TABLE")) {
        first = tokens.next()?;
    }
    let first = name(first)?;
    match tokens.next() {
        Some(Token::Other(b'.')) => Some(TableName::new(&first, &name(tokens.next()?)?)),
        Some(_) | None => Some(TableName::new(database, &first)),
    }
}

fn name(token: Token<'_>) -> Option<String> {
    match token {
        Token::Word(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        Token::Quoted(bytes) => Some(std::str::from_utf8(bytes).ok()?.replace("``", "`")),
        Token::Text | Token::Other(_) => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a [u8]),
    /// A name in backticks, or in double quotes, which are names with ANSI_QUOTES.
    Quoted(&'a [u8]),
    /// A literal in single quotes.
    Text,
    /// Any other byte.
    Other(u8),
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Drops white space and comments. Of a version comment only the marks are dropped: the server ran
    /// its content.
    fn skip_blank(&mut self) {
        loop {
            let until =
                |end: &[u8]| find(self.rest, end).map_or(self.rest.len(), |i| i + end.len());
            let count = match self.rest {
                [byte, ..] if byte.is_ascii_whitespace() => 1,
                [b'#', ..] | [b'-', b'-', b' ' | b'\t' | b'\n' | b'\r', ..] => until(b"\n"),
                [b'/', b'*', b'!' | b'M', ..] => version_mark(self.rest),
                [b'/', b'*', ..] => until(b"*/"),
                [b'*', b'/', ..] => 2,
                _ => return,
            };
            self.skip(count);
        }
    }

    /// The inside of a quoted token that begins at the front; a doubled quote is one, a backslash escapes
    /// in texts.
    fn quoted(&mut self, quote: u8) -> &'a [u8] {
        let inside = self.rest.get(1..).unwrap_or_default();
        let mut index = 0;
        while let Some(byte) = inside.get(index) {
            if *byte == quote {
                if inside.get(index + 1) != Some(&quote) {
                    break;
                }
                index += 1;
            } else if *byte == b'\\' && quote != b'`' {
                index += 1;
            }
            index += 1;
        }
        self.skip(index + 2);
        inside.get(..index).unwrap_or(inside)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let first = *self.rest.first()?;
        Some(match first {
            b'`' | b'"' => Token::Quoted(self.quoted(first)),
            b'\'' => {
                self.quoted(first);
                Token::Text
            }
            _ if is_word(first) => {
                let length = self.rest.iter().take_while(|byte| is_word(**byte)).count();
                let word = self.rest.get(..length).unwrap_or_default();
                self.skip(length);
                Token::Word(word)
            }
            _ => {
                self.skip(1);
                Token::Other(first)
            }
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// Length of `/*!`, `/*!80000` or `/*M!100100`; of a plain comment that begins with M, all of it.
fn version_mark(text: &[u8]) -> usize {
    let mark = match text {
        [b'/', b'*', b'M', b'!', ..] => 4,
        [b'/', b'*', b'!', ..] => 3,
        _ => return find(text, b"*/").map_or(text.len(), |index| index + 2),
    };
    let digits = text
        .iter()
        .skip(mark)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    mark + digits.min(6)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(database: &str, text: &str, expected: &StatementEffect) {
        let selection = Selection {
            databases: ["shop".to_owned()].into(),
            ..Selection::default()
        };
        let statement = Statement {
            database: database.as_bytes(),
            text: text.as_bytes(),
            ends_transaction: true,
        };
        assert_eq!(&effect(&statement, &selection), expected, "{text}");
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
            "something else",
        ] {
            assert!(may_define(text.as_bytes()), "{text}");
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
            "XA START 'x'",
        ] {
            assert!(!may_define(text.as_bytes()), "{text}");
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
            assert!(may_define(text.as_bytes()), "{text}");
        }
        for text in [
            "BEGIN",
            "insert INTO t VALUES (1)",
            "TRUNCATE t",
            "/* a */ UPDATE t SET a = 1",
            "XA START 'x'",
            "SAVEPOINT `a`",
        ] {
            assert!(!may_define(text.as_bytes()), "{text}");
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
