//! Which tables may statements touch that come later in the binlog?
//!
//! A description that the server gives of a table is of now, while its rows are of some place before. It holds for them
//! if no statement between the two may have changed the table. Statements are not understood for that, only searched for
//! names: a table whose name is nowhere in them is not touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::position::{FileOffset, Position};
use crate::selection::TableName;

/// The words in the text of a statement, in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    words: BTreeSet<String>,
}

impl Mentions {
    /// The words of a text. It is in the character set of the client that sent it, in each of which ASCII characters
    /// are themselves; what else a byte of it may be is not looked at.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let words = text
            .split(|byte| !is_word(*byte))
            .filter(|word| !word.is_empty());
        // Right behind the version of a comment that is executed a name may begin: `/*!80000t*/`.
        let words = words.flat_map(|word| {
            let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let behind = (5..=6)
                .filter(move |length| digits >= *length)
                .filter_map(|length| word.get(length..))
                .filter(|rest| !rest.is_empty());
            std::iter::once(word).chain(behind)
        });
        Self {
            words: words
                .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
                .collect(),
        }
    }

    /// True if the statement may touch the table.
    #[must_use]
    pub fn may_touch(&self, table: &TableName) -> bool {
        let named = Named::of(table);
        let place = |word: &str| self.words.contains(word).then_some(());
        named.table.is_empty() || named.last_place(place).is_some()
    }
}

/// The words that a statement must have to touch a table: those of the table's name, or of a statement on its database.
struct Named {
    table: Vec<String>,
    database: Vec<String>,
}

impl Named {
    fn of(table: &TableName) -> Self {
        Self {
            table: words_of(&table.table),
            database: words_of(&table.database),
        }
    }

    /// The last place where all words of the table stand, or all of a statement on its database.
    fn last_place<P: Ord + Copy>(&self, place: impl Fn(&str) -> Option<P>) -> Option<P> {
        // All words have stood in one statement only if none of them stood last before it.
        let all = |words: &mut dyn Iterator<Item = &str>| {
            let mut last: Option<P> = None;
            for word in words {
                let found = place(word)?;
                last = Some(last.map_or(found, |last| last.min(found)));
            }
            last
        };
        let of_table = all(&mut self.table.iter().map(String::as_str));
        let on_database = |word| {
            let words = self.database.iter().map(String::as_str);
            all(&mut std::iter::once(word).chain(words))
        };
        of_table
            .max(on_database("database"))
            .max(on_database("schema"))
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
    /// The place up to which statements were looked at.
    position: Position,
    words: BTreeMap<String, FileOffset>,
    /// The last statement.
    last: Option<FileOffset>,
    /// The last statement whose words were forgotten.
    forgotten: Option<FileOffset>,
    words_max: usize,
}

impl LookAhead {
    /// Nothing was looked at yet after a position; at most `words_max` words will be kept.
    #[must_use]
    pub fn new(position: Position, words_max: usize) -> Self {
        Self {
            from: position.at().clone(),
            position,
            words: BTreeMap::new(),
            last: None,
            forgotten: None,
            words_max,
        }
    }

    /// True if everything from a place on was looked at, up to where it ends.
    #[must_use]
    pub fn covers(&self, place: &FileOffset) -> bool {
        self.from <= *place && *place <= *self.position.at()
    }

    /// The place up to which statements were looked at.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Takes note that all was looked at up to a position.
    pub fn reached(&mut self, position: &Position) {
        self.position.clone_from(position);
    }

    /// Takes note of a statement that may change definitions.
    pub fn note(&mut self, at: &FileOffset, text: &[u8]) {
        for word in Mentions::of(text).words {
            self.words.insert(word, at.clone());
        }
        self.last = Some(at.clone());
        if self.words.len() > self.words_max {
            self.words.clear();
            self.forgotten = Some(at.clone());
        }
    }

    /// The last statement that may touch a table; `None` if none does.
    #[must_use]
    pub fn last_touch(&self, table: &TableName) -> Option<&FileOffset> {
        let named = Named::of(table);
        let found = match named.table.is_empty() {
            true => self.last.as_ref(),
            false => named.last_place(|word| self.words.get(word)),
        };
        found.max(self.forgotten.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        LookAhead::new(Position::File { at: at(4) }, words_max)
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
        ] {
            let mentions = Mentions::of(text.as_bytes());
            assert_eq!(mentions.may_touch(&table(name)), touches, "{text}, {name}");
        }
        // A name that begins with another character may be in every statement.
        let mentions = Mentions::of("ALTER TABLE x".as_bytes());
        assert!(mentions.may_touch(&table("表")));
        // In sjis the last byte of "ア" is an "A".
        let mentions = Mentions::of(b"ALTER TABLE x\x83At ADD c INT");
        assert!(mentions.may_touch(&table("xアt")));
    }

    #[test]
    fn the_last_statement_on_each_table_is_known() {
        let mut ahead = ahead(100);
        assert!(ahead.covers(&at(4)) && !ahead.covers(&at(5)));
        assert_eq!(ahead.last_touch(&table("t")), None);
        assert_eq!(ahead.last_touch(&table("表")), None);
        ahead.note(&at(10), b"ALTER TABLE t ADD c INT");
        ahead.note(&at(20), b"ALTER TABLE u ADD c INT");
        ahead.note(&at(30), b"ALTER TABLE `my-u` ADD c INT");
        ahead.reached(&Position::File { at: at(40) });
        assert!(ahead.covers(&at(40)) && !ahead.covers(&at(41)) && !ahead.covers(&at(3)));
        assert_eq!(ahead.last_touch(&table("t")), Some(&at(10)));
        assert_eq!(ahead.last_touch(&table("u")), Some(&at(30)));
        assert_eq!(ahead.last_touch(&table("my-u")), Some(&at(30)));
        assert_eq!(ahead.last_touch(&table("my-t")), Some(&at(10)));
        assert_eq!(ahead.last_touch(&table("v")), None);
        assert_eq!(ahead.last_touch(&table("表")), Some(&at(30)));
        ahead.note(&at(50), b"DROP DATABASE shop");
        assert_eq!(ahead.last_touch(&table("v")), Some(&at(50)));
        assert_eq!(ahead.last_touch(&TableName::new("hr", "v")), None);
    }

    #[test]
    fn of_words_that_are_too_many_nothing_is_said_to_be_untouched() {
        let mut ahead = ahead(4);
        ahead.note(&at(10), b"ALTER TABLE t ADD c INT");
        assert_eq!(ahead.last_touch(&table("v")), Some(&at(10)));
        ahead.note(&at(20), b"ALTER TABLE u");
        assert_eq!(ahead.last_touch(&table("v")), Some(&at(10)));
        assert_eq!(ahead.last_touch(&table("u")), Some(&at(20)));
    }
}
