//! Statements as text, and what of their status variables decides how the text is read.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/statement_events.h`, `Query_event`.

use super::Item;
use crate::input::{Input, Truncated};
use crate::value::Charset;

/// A statement as text: DDL, or DML that was logged in STATEMENT format.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The database that was selected when it ran; empty if none.
    pub database: &'a [u8],
    /// The text, in the client's character set. It may hold literals: never log it (I9).
    pub text: &'a [u8],
    /// True if a backslash escapes what follows it in texts: always but with the mode NO_BACKSLASH_ESCAPES.
    pub has_escapes: bool,
    /// Which bytes of the text begin a character of two, whose second may look like ASCII.
    pub pairs: Pairs,
    /// True if it is a source transaction of its own: no [`Item::End`] follows.
    pub ends_transaction: bool,
}

/// Character sets in which a byte that looks like ASCII may be the second of a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pairs {
    /// In none of the others.
    #[default]
    None,
    /// sjis, cp932.
    Sjis,
    /// gbk, gb18030 (of whose four bytes each two are like this), big5.
    Wide,
}

impl Pairs {
    fn of_collation(number: u64) -> Self {
        match Charset::of_collation(number) {
            Some(Charset::Sjis | Charset::Cp932) => Self::Sjis,
            Some(Charset::Gbk | Charset::Gb18030 | Charset::Big5) => Self::Wide,
            Some(_) | None => Self::None,
        }
    }

    /// Bytes of the character that a byte begins.
    #[must_use]
    pub fn length(self, first: u8) -> usize {
        let is_first = match self {
            Self::None => false,
            Self::Sjis => matches!(first, 0x81..=0x9f | 0xe0..=0xfc),
            Self::Wide => matches!(first, 0x81..=0xfe),
        };
        1 + usize::from(is_first)
    }
}

pub(super) fn statement<'a>(
    status: &[u8],
    database: &'a [u8],
    text: &'a [u8],
    ends_transaction: bool,
) -> Item<'a> {
    const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
    let (mode, collation) = mode_and_collation(status);
    Item::Statement(Statement {
        database,
        text,
        has_escapes: mode & NO_BACKSLASH_ESCAPES == 0,
        pairs: Pairs::of_collation(collation),
        ends_transaction,
    })
}

/// `sql_mode` and the number of the client's collation, from the status variables of a query; 0 for what is not there.
fn mode_and_collation(status: &[u8]) -> (u64, u64) {
    const FLAGS2: u8 = 0;
    const SQL_MODE: u8 = 1;
    const AUTO_INCREMENT: u8 = 3;
    const CHARSET: u8 = 4;
    const CATALOG: u8 = 6;
    let (mut mode, mut collation) = (0, 0);
    let mut status = Input::new(status);
    while let Ok(variable) = status.u8() {
        let read = match variable {
            FLAGS2 | AUTO_INCREMENT => status.u32().map(drop),
            SQL_MODE => status.u64().map(|found| mode = found),
            CATALOG => catalog(&mut status),
            CHARSET => status.u16().map(|found| collation = u64::from(found)),
            // What follows the character set does not matter.
            _ => break,
        };
        if read.is_err() {
            break;
        }
    }
    (mode, collation)
}

fn catalog(status: &mut Input<'_>) -> Result<(), Truncated> {
    let length = usize::from(status.u8()?);
    status.take(length).map(drop)
}
