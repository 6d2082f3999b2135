//! Statements as text, and what of their status variables decides how the text is read.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/statement_events.h`, `Query_event`.

use super::Item;
use crate::input::{Input, Truncated};
use crate::value::Charset;

/// A statement as text: DDL, or DML that was logged in STATEMENT format.
#[derive(Debug, Clone, Copy, Default)]
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
    /// The server that wrote it is a MariaDB server.
    pub is_mariadb: bool,
    /// The session that ran it.
    pub session: Session,
}

/// What of a session decides what a statement does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Session {
    /// `sql_mode`, in bits.
    pub sql_mode: u64,
    /// Number of the client's collation, whose character set the text is in.
    pub client_collation: Option<u64>,
    /// Number of `collation_connection`, whose character set literals are converted to.
    pub connection_collation: Option<u64>,
    /// Number of `collation_server`: what a new database gets that says nothing.
    pub server_collation: Option<u64>,
    /// Number of `default_collation_for_utf8mb4` (MySQL 8.0).
    pub utf8mb4_collation: Option<u64>,
    /// `character_set_collations`, where the statement uses it (MariaDB).
    pub charset_collations: Option<CharsetCollations>,
    /// `explicit_defaults_for_timestamp`, where a TIMESTAMP is defined.
    pub explicit_timestamps: Option<bool>,
}

/// Which collation character sets have that are named alone (MariaDB): pairs of numbers, the first of which is the collation
/// that the character set has otherwise. Only those of Unicode can be chosen.
pub type CharsetCollations = [(u16, u16); 8];

impl Statement<'_> {
    /// The text, where it is certain what its bytes stand for. A statement that the server wrote itself, such as CREATE TABLE …
    /// SELECT, is UTF-8 whatever the event says of the client: so what is not ASCII is certain only of clients of UTF-8.
    #[must_use]
    pub fn certain_text(&self) -> Option<&str> {
        let charset = (self.session.client_collation).and_then(Charset::of_collation);
        let is_utf8 = matches!(charset, Some(Charset::Utf8mb3 | Charset::Utf8mb4));
        // In swe7 some bytes of ASCII are other characters.
        let is_ascii = self.text.is_ascii() && charset != Some(Charset::Swe7);
        let text = std::str::from_utf8(self.text).ok();
        text.filter(|_| is_utf8 || is_ascii)
    }
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
    is_mariadb: bool,
) -> Item<'a> {
    const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
    let session = session(status, is_mariadb);
    Item::Statement(Statement {
        database,
        text,
        has_escapes: session.sql_mode & NO_BACKSLASH_ESCAPES == 0,
        pairs: Pairs::of_collation(session.client_collation.unwrap_or(0)),
        ends_transaction,
        is_mariadb,
        session,
    })
}

/// The session, from the status variables of a query. They stand in the order of the event's source; behind one that is not
/// known nothing can be read.
fn session(status: &[u8], is_mariadb: bool) -> Session {
    let mut session = Session::default();
    let mut status = Input::new(status);
    while let Ok(Some(())) = variable(&mut status, &mut session, is_mariadb) {}
    session
}

/// Reads one status variable; `None` at the end, and for one that is not known.
fn variable(
    status: &mut Input<'_>,
    session: &mut Session,
    is_mariadb: bool,
) -> Result<Option<()>, Truncated> {
    const MORE_DATABASES_THAN_ARE_NAMED: u8 = 254;
    /// Of the flags of MariaDB; MySQL has another variable.
    const EXPLICIT_DEFAULTS_FOR_TIMESTAMP: u32 = 1 << 24;
    match status.u8()? {
        0 => {
            let is_explicit = status.u32()? & EXPLICIT_DEFAULTS_FOR_TIMESTAMP != 0;
            session.explicit_timestamps = (is_mariadb && is_explicit).then_some(true);
        }
        3 | 10 => status.take(4).map(drop)?,
        1 => session.sql_mode = status.u64()?,
        2 => catalog(status, 1)?,
        4 => {
            session.client_collation = Some(u64::from(status.u16()?));
            session.connection_collation = Some(u64::from(status.u16()?));
            session.server_collation = Some(u64::from(status.u16()?));
        }
        5 | 6 => catalog(status, 0)?,
        7 | 8 => status.take(2).map(drop)?,
        9 | 17 => status.take(8).map(drop)?,
        11 => {
            catalog(status, 0)?;
            catalog(status, 0)?;
        }
        12 => match status.u8()? {
            MORE_DATABASES_THAN_ARE_NAMED => {}
            count => (0..count).try_for_each(|_| terminated(status))?,
        },
        13 => status.take(3).map(drop)?,
        16 => session.explicit_timestamps = Some(status.u8()? != 0),
        18 => session.utf8mb4_collation = Some(u64::from(status.u16()?)),
        19 | 20 => status.take(1).map(drop)?,
        // These are MariaDB's own.
        128 => status.take(3).map(drop)?,
        129 => status.take(8).map(drop)?,
        130 => status.take(2).map(drop)?,
        131 => session.charset_collations = Some(charset_collations(status)?),
        _ => return Ok(None),
    }
    Ok(Some(()))
}

fn charset_collations(status: &mut Input<'_>) -> Result<CharsetCollations, Truncated> {
    let mut pairs = CharsetCollations::default();
    let mut slots = pairs.iter_mut();
    for _ in 0..status.u8()? {
        let pair = (status.u16()?, status.u16()?);
        if let Some(slot) = slots.next() {
            *slot = pair;
        }
    }
    Ok(pairs)
}

/// Passes a text with its length in front, and so many bytes behind it.
fn catalog(status: &mut Input<'_>, behind: usize) -> Result<(), Truncated> {
    let length = usize::from(status.u8()?);
    status.take(length + behind).map(drop)
}

/// Passes a text that ends with a zero byte.
fn terminated(status: &mut Input<'_>) -> Result<(), Truncated> {
    while status.u8()? != 0 {}
    Ok(())
}
