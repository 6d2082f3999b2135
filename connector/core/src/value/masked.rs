//! Columns that a configuration leaves out or masks (`events.columns`).

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Chosen, ColumnType, Integer, ValueError, Written};
use crate::avro::binary::{read_long, write_bytes};
use crate::input::Input;
use crate::selection::{Pattern, lower_case};

/// What is done to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// It is not published at all.
    LeaveOut,
    /// SHA-256, in lower-case hexadecimal, of the salt and the value: of text in UTF-8, of bytes as they are, of integers as
    /// decimal text. It is `SHA2(CONCAT(salt, value), 256)` in SQL.
    Hash(Salt),
    /// The first so many characters of a text.
    Truncate(usize),
    /// The same text for each value.
    Fixed(Arc<str>),
}

impl Mask {
    /// True if nothing of a value is published.
    #[must_use]
    pub fn hides_values(&self) -> bool {
        matches!(self, Self::LeaveOut | Self::Fixed(_))
    }
}

/// What stands before each value that is hashed. It is a secret: without it values could be guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub Arc<[u8]>);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Columns, by patterns of their names, and what is done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRule {
    /// Of the database.
    pub database: Pattern,
    /// Of the table.
    pub table: Pattern,
    /// Of the column.
    pub column: Pattern,
    /// What is done.
    pub mask: Mask,
}

impl ColumnRule {
    /// True if the rule is for the column. In names of columns the server does not tell case.
    #[must_use]
    pub fn is_for(&self, (database, table, column): (&str, &str, &str)) -> bool {
        self.database.matches(database)
            && self.table.matches(table)
            && self.column.in_lower_case().matches(&lower_case(column))
    }

    /// True if the rule names this very table, without a pattern.
    #[must_use]
    pub fn names(&self, database: &str, table: &str) -> bool {
        self.database == Pattern::new(database) && self.table == Pattern::new(table)
    }

    /// The rule on a server that writes names of databases and tables in lower case.
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        Self {
            database: self.database.in_lower_case(),
            table: self.table.in_lower_case(),
            ..self.clone()
        }
    }
}

/// A column whose values are published otherwise, or not: only in definitions that are published, never in those that are
/// recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    inner: ColumnType,
    mask: Mask,
}

impl Masked {
    /// The type with its mask; `None` if the mask is not for such values.
    #[must_use]
    pub fn new(inner: ColumnType, mask: Mask) -> Option<Self> {
        let is_of_text = matches!(
            inner,
            ColumnType::Text(_)
                | ColumnType::Json
                | ColumnType::Identifier(_)
                | ColumnType::Chosen(Chosen::Replaced(_))
        );
        let is_for_it = match &mask {
            Mask::LeaveOut | Mask::Fixed(_) => true,
            Mask::Truncate(_) => is_of_text,
            Mask::Hash(_) => {
                is_of_text || matches!(inner, ColumnType::Binary(_)) || is_number(&inner)
            }
        };
        // What nobody will see is no reason to halt.
        let inner = match (inner, &mask) {
            (ColumnType::Text(text), Mask::LeaveOut | Mask::Fixed(_)) => {
                ColumnType::Chosen(Chosen::Replaced(text))
            }
            (ColumnType::Members(members), Mask::LeaveOut | Mask::Fixed(_)) => {
                ColumnType::Members(members.replaced(true))
            }
            (inner, _) => inner,
        };
        is_for_it.then_some(Self { inner, mask })
    }

    /// True if the column is not published at all.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.mask == Mask::LeaveOut
    }

    /// True if different values stay different: such a column may be of a key.
    #[must_use]
    pub fn tells_apart(&self) -> bool {
        matches!(self.mask, Mask::Hash(_))
    }

    pub(super) fn sql(&self) -> String {
        self.inner.sql()
    }

    /// Copies a value. Of a column that is left out the caller takes it away again.
    pub(super) fn copy(
        &self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Written, ValueError> {
        let start = out.len();
        self.inner.copy(input, out)?;
        self.mask(start, out)?;
        Ok(Written::Value)
    }

    pub(super) fn is_document(&self) -> bool {
        self.inner == ColumnType::Json
    }

    /// Masks the value that was appended.
    pub(super) fn mask(&self, start: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
        match &self.mask {
            Mask::LeaveOut => {}
            Mask::Fixed(text) => {
                out.truncate(start);
                write_bytes(out, text.as_bytes());
            }
            Mask::Hash(salt) => {
                let mut hash = Sha256::new_with_prefix(&*salt.0);
                let copied = out.get(start..).unwrap_or_default();
                let (number, rest) = read_long(copied);
                match is_number(&self.inner) {
                    true => hash.update(number.to_string()),
                    false => hash.update(rest),
                }
                out.truncate(start);
                write_bytes(out, hex(&hash.finalize()).as_bytes());
            }
            Mask::Truncate(characters) => {
                let copied = out.get(start..).unwrap_or_default();
                let (_, text) = read_long(copied);
                let text = std::str::from_utf8(text).map_err(|_| ValueError::Text)?;
                if let Some((end, _)) = text.char_indices().nth(*characters) {
                    let kept = text.get(..end).unwrap_or_default().to_owned();
                    out.truncate(start);
                    write_bytes(out, kept.as_bytes());
                }
            }
        }
        Ok(())
    }
}

/// True for values that are ints or longs in Avro.
fn is_number(column_type: &ColumnType) -> bool {
    let is_long = |integer: &Integer| integer.bytes < 8 || !integer.unsigned;
    matches!(column_type, ColumnType::Chosen(Chosen::Long))
        || matches!(column_type, ColumnType::Integer(integer) if is_long(integer))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _never_fails = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
