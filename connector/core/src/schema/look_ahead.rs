//! Which tables may statements touch that come later in the binlog?
//!
//! A description that the server gives of a table is of now, while its rows are of some place before. It holds for them
//! if no statement between the two may have changed the table. Statements are not understood for that, only searched for
//! names: a table whose name is nowhere in them is not touched.

use std::collections::{BTreeMap, BTreeSet};

use super::statement::is_on_a_database;

use crate::decode::Statement;
use crate::position::FileOffset;
use crate::selection::TableName;

/// The longest word that can be a name, or a part of one: 64 characters, behind the six digits of a version.
const WORD_BYTES_MAX: usize = 70;
/// More words in one statement are not told apart.
const MENTIONS_MAX: usize = 100_000;
/// Begins what is no word of a text: see [`words`].
const PIECE: char = '~';
/// Begins the words of a statement on a database.
const ON_DATABASE: char = '@';

/// The words in the text of a statement, in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    words: BTreeSet<String>,
    /// There were too many.
    is_anything: bool,
}

impl Mentions {
    /// The words of a statement. `folds` says whether the server compares names without case.
    #[must_use]
    pub fn of(statement: &Statement<'_>, folds: bool) -> Self {
        let mut mentions = Self::default();
        words(statement, folds, |word| {
            if mentions.words.len() < MENTIONS_MAX {
                mentions.words.insert(word);
            } else {
                mentions.is_anything = true;
            }
        });
        mentions
    }

    /// True if the statement may touch the table.
    #[must_use]
    pub fn may_touch(&self, table: &TableName) -> bool {
        let named = Named::of(table);
        let place = |word: &str| self.words.contains(word).then_some(());
        self.is_anything || named.is_anywhere() || named.last_place(place).is_some()
    }

    /// True if all tables that the statement may touch are there with their names: neither as those of a database nor in pieces.
    fn are_of_few(&self) -> bool {
        let is_name = |word: &String| !word.starts_with([PIECE, ON_DATABASE]);
        !self.is_anything && self.words.iter().all(is_name)
    }
}

/// Tables by a word of their names, so that a statement need not be compared with each of thousands.
#[derive(Debug, Default)]
pub struct TablesByWord {
    tables: BTreeMap<String, BTreeSet<TableName>>,
}

impl TablesByWord {
    /// Adds a table.
    pub fn insert(&mut self, table: TableName) {
        let word = word_of(&table);
        self.tables.entry(word).or_default().insert(table);
    }

    /// Takes a table out.
    pub fn remove(&mut self, table: &TableName) {
        let word = word_of(table);
        if let Some(tables) = self.tables.get_mut(&word) {
            tables.remove(table);
            if tables.is_empty() {
                self.tables.remove(&word);
            }
        }
    }

    /// Takes out the tables that a statement may touch.
    pub fn take_touched(&mut self, mentions: &Mentions) -> Vec<TableName> {
        let touched: Vec<TableName> = match mentions.are_of_few() {
            true => (mentions.words.iter().map(String::as_str))
                .chain(std::iter::once(""))
                .filter_map(|word| self.tables.get(word))
                .flatten()
                .filter(|table| mentions.may_touch(table))
                .cloned()
                .collect(),
            false => (self.tables.values().flatten())
                .filter(|table| mentions.may_touch(table))
                .cloned()
                .collect(),
        };
        touched.iter().for_each(|table| self.remove(table));
        touched
    }
}

/// The word that a statement with the table's name has; the longest, as that is in the fewest names. Empty for a name that
/// may be in each statement.
fn word_of(table: &TableName) -> String {
    let words = words_of(&table.table).into_iter();
    words.max_by_key(String::len).unwrap_or_default()
}

/// Calls a function for each word of a statement. The text is in the character set of the client that sent it, in each
/// of which ASCII characters are themselves; what else a byte of it may be is not looked at.
///
/// Where the server compares names without case, İ is an i and K (the sign of kelvin) a k. So of texts that may have
/// these, also the pieces between such letters are words, of a kind of their own.
fn words(statement: &Statement<'_>, folds: bool, mut each: impl FnMut(String)) {
    let text = statement.text;
    let on_database = is_on_a_database(statement);
    let may_fold = |text: &str| text.contains(['\u{130}', '\u{212a}']);
    let has_pieces = folds && std::str::from_utf8(text).map_or(true, may_fold);
    if has_pieces {
        each(PIECE.to_string());
    }
    for word in text.split(|byte| !is_word(*byte)) {
        // Right behind the version of a comment that is executed a name may begin: `/*!80000t*/`.
        let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let behind = (5..=6)
            .filter(|length| digits >= *length)
            .filter_map(|length| word.get(length..));
        for word in std::iter::once(word).chain(behind) {
            if word.is_empty() || word.len() > WORD_BYTES_MAX {
                continue;
            }
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            if on_database {
                each(format!("{ON_DATABASE}{word}"));
            }
            if has_pieces {
                pieces(&word).for_each(&mut each);
            }
            each(word);
        }
    }
}

/// What stands between the letters that others may stand for.
fn pieces(word: &str) -> impl Iterator<Item = String> {
    let pieces = word.split(['i', 'k']).filter(|piece| !piece.is_empty());
    pieces.map(|piece| format!("{PIECE}{piece}"))
}

/// The words that a statement must have to touch a table: those of the table's name, the same in pieces, or those of a
/// statement on its database.
struct Named {
    alternatives: [Vec<String>; 4],
}

impl Named {
    fn of(table: &TableName) -> Self {
        let in_pieces = |words: &[String]| {
            let all = words
                .iter()
                .flat_map(|word| pieces(word).collect::<Vec<_>>());
            std::iter::once(PIECE.to_string()).chain(all).collect()
        };
        let (name, database) = (words_of(&table.table), words_of(&table.database));
        let on_database = |kind: &str| {
            let words = std::iter::once(kind).chain(database.iter().map(String::as_str));
            words.map(|word| format!("{ON_DATABASE}{word}")).collect()
        };
        Self {
            alternatives: [
                in_pieces(&name),
                on_database("database"),
                on_database("schema"),
                name,
            ],
        }
    }

    /// The last place where all words of one of the alternatives stand. A name without a word is in every statement.
    fn last_place<P: Ord + Copy>(&self, place: impl Fn(&str) -> Option<P>) -> Option<P> {
        // All words have stood in one statement only if none of them stood last before it.
        let all = |words: &Vec<String>| {
            let mut last: Option<P> = None;
            for word in words {
                let found = place(word)?;
                last = Some(last.map_or(found, |last| last.min(found)));
            }
            last
        };
        self.alternatives.iter().filter_map(all).max()
    }

    /// True if nothing of the name is known in a statement.
    fn is_anywhere(&self) -> bool {
        let [.., name] = &self.alternatives;
        name.is_empty()
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

/// The words of a name up to its first character that is not ASCII, in lower case. That may stand for anything in a
/// statement, and its last byte may be a letter (`sjis`, `gbk`): a name that begins with it is in each of them.
fn words_of(name: &str) -> Vec<String> {
    let ascii = name.split(|c: char| !c.is_ascii()).next();
    ascii
        .unwrap_or_default()
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$')))
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect()
}

/// What statements mention between two places of the binlog. For each word only the last place counts, as questions
/// are asked of places that follow one another.
#[derive(Debug)]
pub struct LookAhead {
    from: FileOffset,
    /// Up to where statements were looked at.
    place: FileOffset,
    words: BTreeMap<String, FileOffset>,
    /// The last statement.
    last: Option<FileOffset>,
    /// The last statement whose words were forgotten.
    forgotten: Option<FileOffset>,
    words_max: usize,
    folds: bool,
}

impl LookAhead {
    /// Nothing was looked at yet behind a place; at most `words_max` words will be kept. `folds` says whether the server
    /// compares names without case.
    #[must_use]
    pub fn new(from: FileOffset, words_max: usize, folds: bool) -> Self {
        Self {
            place: from.clone(),
            from,
            words: BTreeMap::new(),
            last: None,
            forgotten: None,
            words_max,
            folds,
        }
    }

    /// True if everything from a place on was looked at, up to where it ends.
    #[must_use]
    pub fn covers(&self, place: &FileOffset) -> bool {
        self.from <= *place && *place <= self.place
    }

    /// Up to where statements were looked at.
    #[must_use]
    pub fn place(&self) -> &FileOffset {
        &self.place
    }

    /// Takes note that all was looked at up to a place.
    pub fn reached(&mut self, place: &FileOffset) {
        self.place.clone_from(place);
    }

    /// Takes note of a statement that may change definitions.
    pub fn note(&mut self, at: &FileOffset, statement: &Statement<'_>) {
        self.last = Some(at.clone());
        words(statement, self.folds, |word| {
            self.words.insert(word, at.clone());
            if self.words.len() > self.words_max {
                self.words.clear();
                self.forgotten = Some(at.clone());
            }
        });
    }

    /// The last statement that may touch a table; `None` if none does.
    #[must_use]
    pub fn last_touch(&self, table: &TableName) -> Option<&FileOffset> {
        let named = Named::of(table);
        let found = match named.is_anywhere() {
            true => self.last.as_ref(),
            false => named.last_place(|word| self.words.get(word)),
        };
        found.max(self.forgotten.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Pairs;

    fn table(name: &str) -> TableName {
        TableName::new("shop", name)
    }

    fn at(offset: u64) -> FileOffset {
        FileOffset {
            file: "binlog.000001".into(),
            offset,
        }
    }

    fn ahead(words_max: usize) -> LookAhead {
        LookAhead::new(at(4), words_max, true)
    }

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

    #[test]
    fn a_statement_touches_the_tables_that_it_names() {
        for (text, name, touches) in [
            ("ALTER TABLE t ADD c INT", "t", true),
            ("alter table `T` add c int", "t", true),
            ("ALTER TABLE shop.t ADD c INT", "t", true),
            ("RENAME TABLE old TO t, t2 TO old", "t", true),
            ("ALTER TABLE t2 ADD c INT", "t", false),
            ("ALTER TABLE tt ADD t_c INT", "t", false),
            ("CREATE TABLE a$t (id INT)", "t", false),
            ("CREATE TABLE a$t (id INT)", "a$t", true),
            ("ALTER TABLE `my-table` ADD c INT", "my-table", true),
            ("ALTER TABLE `my` ADD c INT", "my-table", true),
            ("ALTER TABLE `your-tables` ADD c INT", "my-table", false),
            ("DROP DATABASE shop", "t", true),
            ("ALTER SCHEMA `Shop` CHARACTER SET gbk", "t", true),
            ("DROP DATABASE stock", "t", false),
            ("ALTER TABLE größe ADD c INT", "größe", true),
            ("ALTER TABLE u /* t */ ADD c INT", "t", true),
            ("ALTER TABLE /*!50001t*/ ADD c INT", "t", true),
            ("ALTER TABLE /*!800001t*/ ADD c INT", "1t", true),
            ("ALTER TABLE \u{e4}t ADD c INT", "t", true),
            // On a database, whatever else stands there.
            (
                "CREATE TABLE database_of_shop (shop INT COMMENT 'the schema of shop')",
                "t",
                false,
            ),
            ("CREATE DATABASE other COMMENT 'shop'", "t", true),
            ("/*!50000 DROP */ DATABASE shop", "t", true),
            // Letters that the server takes for an i and a k.
            (
                "ALTER TABLE S\u{130}PAR\u{130}\u{15e} ADD c INT",
                "sipari\u{15f}",
                true,
            ),
            ("ALTER TABLE \u{212a}\u{130}ND ADD c INT", "kind", true),
            ("ALTER TABLE S\u{130}PAR ADD c INT", "kind", false),
            ("ALTER TABLE SPAR ADD c INT", "sipar", false),
            ("ALTER TABLE x COMMENT '\u{130}'", "ik", true),
            ("ALTER TABLE x COMMENT 'i'", "ik", false),
            (
                "ALTER TABLE x COMMENT 'l’adresse qui n’est pas vérifiée'",
                "link",
                false,
            ),
        ] {
            let mentions = Mentions::of(&statement(text.as_bytes()), true);
            assert_eq!(mentions.may_touch(&table(name)), touches, "{text}, {name}");
        }
        // A name that begins with another character may be in every statement.
        let mentions = Mentions::of(&statement("ALTER TABLE x".as_bytes()), true);
        assert!(mentions.may_touch(&table("表")));
        // In sjis the last byte of "ア" is an "A".
        let mentions = Mentions::of(&statement(b"ALTER TABLE x\x83At ADD c INT"), true);
        assert!(mentions.may_touch(&table("xアt")));
    }

    #[test]
    fn tables_by_word_are_touched_as_each_of_them_is() {
        let names = [
            "t", "my-table", "table", "a-b", "größe", "表", "sipari", "kind",
        ];
        for text in [
            "ALTER TABLE t ADD c INT",
            "ALTER TABLE `my-table` ADD c INT",
            "ALTER TABLE `a` ADD b INT",
            "ALTER TABLE größe ADD c INT",
            "DROP DATABASE shop",
            "DROP DATABASE stock",
            "ALTER TABLE \u{212a}\u{130}ND ADD c INT",
            "DROP TABLE `sipari`, kind",
        ] {
            let mut tables = TablesByWord::default();
            names.iter().for_each(|name| tables.insert(table(name)));
            tables.insert(table("gone"));
            tables.remove(&table("gone"));
            let mentions = Mentions::of(&statement(text.as_bytes()), true);
            let (is, is_not): (Vec<_>, Vec<_>) = names
                .map(table)
                .into_iter()
                .partition(|table| mentions.may_touch(table));
            let mut touched = tables.take_touched(&mentions);
            touched.sort_by_key(|touched| is.iter().position(|table| table == touched));
            assert_eq!(touched, is, "{text}");
            let mut rest: Vec<TableName> = tables.tables.into_values().flatten().collect();
            rest.sort_by_key(|rest| is_not.iter().position(|table| table == rest));
            assert_eq!(rest, is_not, "{text}");
        }
        let many: String = (0..=MENTIONS_MAX)
            .map(|number| format!("w{number} "))
            .collect();
        let mut tables = TablesByWord::default();
        tables.insert(table("t"));
        let mentions = Mentions::of(&statement(many.as_bytes()), true);
        assert_eq!(tables.take_touched(&mentions), [table("t")]);
    }

    #[test]
    fn letters_stand_for_others_only_where_names_are_compared_without_case() {
        let text = "ALTER TABLE S\u{130}PAR ADD c INT".as_bytes();
        for folds in [true, false] {
            let mentions = Mentions::of(&statement(text), folds);
            assert_eq!(mentions.may_touch(&table("sipar")), folds);
            // In latin5 it is a byte that is not UTF-8.
            let mentions = Mentions::of(&statement(b"ALTER TABLE S\xddPAR"), folds);
            assert_eq!(mentions.may_touch(&table("sipar")), folds);
        }
    }

    #[test]
    fn memory_has_a_bound() {
        let word = "w".repeat(71);
        let mentions = Mentions::of(&statement(format!("ALTER TABLE {word} x").as_bytes()), true);
        assert_eq!(mentions.words.len(), 3);
        let many: String = (0..MENTIONS_MAX)
            .map(|number| format!("w{number} "))
            .collect();
        let mentions = Mentions::of(&statement(many.as_bytes()), true);
        assert!(!mentions.is_anything && !mentions.may_touch(&table("t")));
        let mentions = Mentions::of(&statement(format!("{many} and more").as_bytes()), true);
        assert!(mentions.words.len() == MENTIONS_MAX && mentions.may_touch(&table("t")));
        let mut ahead = ahead(1000);
        ahead.note(&at(10), &statement(many.as_bytes()));
        assert!(ahead.words.len() <= 1000);
        assert_eq!(ahead.last_touch(&table("t")), Some(&at(10)));
    }

    #[test]
    fn the_last_statement_on_each_table_is_known() {
        let mut ahead = ahead(100);
        assert!(ahead.covers(&at(4)) && !ahead.covers(&at(5)));
        assert_eq!(ahead.last_touch(&table("t")), None);
        assert_eq!(ahead.last_touch(&table("表")), None);
        ahead.note(&at(10), &statement(b"ALTER TABLE t ADD c INT"));
        ahead.note(&at(20), &statement(b"ALTER TABLE u ADD c INT"));
        ahead.note(&at(30), &statement(b"ALTER TABLE `my-u` ADD c INT"));
        ahead.reached(&at(40));
        assert!(ahead.covers(&at(40)) && !ahead.covers(&at(41)) && !ahead.covers(&at(3)));
        assert_eq!(ahead.last_touch(&table("t")), Some(&at(10)));
        assert_eq!(ahead.last_touch(&table("u")), Some(&at(30)));
        assert_eq!(ahead.last_touch(&table("my-u")), Some(&at(30)));
        assert_eq!(ahead.last_touch(&table("my-t")), Some(&at(10)));
        assert_eq!(ahead.last_touch(&table("v")), None);
        assert_eq!(ahead.last_touch(&table("表")), Some(&at(30)));
        ahead.note(&at(50), &statement(b"DROP DATABASE shop"));
        assert_eq!(ahead.last_touch(&table("v")), Some(&at(50)));
        assert_eq!(ahead.last_touch(&TableName::new("hr", "v")), None);
    }

    #[test]
    fn what_stands_in_two_statements_is_in_neither() {
        let mut ahead = ahead(100);
        ahead.note(&at(10), &statement(b"CREATE DATABASE tenant"));
        ahead.note(&at(20), &statement(b"ALTER TABLE shop.other ADD c INT"));
        ahead.note(
            &at(30),
            &statement(b"ALTER TABLE shop.u COMMENT 'the database'"),
        );
        assert_eq!(ahead.last_touch(&table("t")), None);
        ahead.note(&at(40), &statement(b"DROP SCHEMA shop"));
        assert_eq!(ahead.last_touch(&table("t")), Some(&at(40)));
    }

    #[test]
    fn of_words_that_are_too_many_nothing_is_said_to_be_untouched() {
        let mut ahead = ahead(4);
        ahead.note(&at(10), &statement(b"ALTER TABLE t ADD c INT"));
        assert_eq!(ahead.last_touch(&table("v")), Some(&at(10)));
        ahead.note(&at(20), &statement(b"ALTER TABLE u"));
        assert_eq!(ahead.last_touch(&table("v")), Some(&at(10)));
        assert_eq!(ahead.last_touch(&table("u")), Some(&at(20)));
    }
}
