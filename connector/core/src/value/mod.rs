//! Column types: how a value is packed in the binlog, and what Avro gets for it.
//!
//! One file per family. Each copies a packed value straight into Avro binary; there is no value in between.

mod decimal;
mod integer;
mod temporal;
mod text;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use decimal::Decimal;
pub use integer::Integer;
pub use temporal::Temporal;
pub use text::{Charset, Text};

use crate::decode::ColumnMetadata;
use crate::input::{Input, Truncated};

/// The type of a column, as far as its values need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "lowercase")]
pub enum ColumnType {
    /// TINYINT to BIGINT.
    Integer(Integer),
    /// DECIMAL and NUMERIC.
    Decimal(Decimal),
    /// CHAR, VARCHAR and the TEXT types.
    Text(Text),
    /// DATETIME and TIMESTAMP.
    Temporal(Temporal),
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It was appended.
    Value,
    /// It is a zero or impossible date, which no Avro type can hold: nothing was appended.
    Invalid,
}

/// A packed value makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The image ends inside of it.
    #[error("the row ends inside of it")]
    Truncated,
    /// Text that is not valid in the column's character set.
    #[error("its text is not valid in the column's character set")]
    Text,
    /// A decimal with digits that cannot be.
    #[error("its digits are not those of a DECIMAL")]
    Decimal,
}

impl From<Truncated> for ValueError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// A column has a type that is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("type {0} is not published by this version")]
pub struct UnsupportedType(pub &'static str);

impl ColumnType {
    /// The type that a table map describes.
    ///
    /// # Errors
    /// [`UnsupportedType`] with the type's SQL name.
    pub fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        match column.type_number {
            1 | 2 | 3 | 8 | 9 => Ok(Self::Integer(Integer::from_metadata(column))),
            246 => Decimal::from_metadata(column).map(Self::Decimal),
            15 | 249..=252 | 253 | 254 => Text::from_metadata(column).map(Self::Text),
            17 | 18 => Temporal::from_metadata(column).map(Self::Temporal),
            4 => Err(UnsupportedType("FLOAT")),
            5 => Err(UnsupportedType("DOUBLE")),
            7 => Err(UnsupportedType("TIMESTAMP in the format before MySQL 5.6")),
            10 | 14 => Err(UnsupportedType("DATE")),
            11 | 19 => Err(UnsupportedType("TIME")),
            12 => Err(UnsupportedType("DATETIME in the format before MySQL 5.6")),
            13 => Err(UnsupportedType("YEAR")),
            16 => Err(UnsupportedType("BIT")),
            242 => Err(UnsupportedType("VECTOR")),
            245 => Err(UnsupportedType("JSON")),
            255 => Err(UnsupportedType("GEOMETRY")),
            _ => Err(UnsupportedType("of an unknown number")),
        }
    }

    /// The type in SQL, for `mysql.type`.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Integer(integer) => integer.sql(),
            Self::Decimal(decimal) => decimal.sql(),
            Self::Text(text) => text.sql(),
            Self::Temporal(temporal) => temporal.sql(),
        }
    }

    /// The Avro type of a value that is not null.
    #[must_use]
    pub fn avro(&self) -> Value {
        match self {
            Self::Integer(integer) => integer.avro(),
            Self::Decimal(decimal) => decimal.avro(),
            Self::Text(_) => Value::from("string"),
            Self::Temporal(temporal) => temporal.avro(),
        }
    }

    /// MySQL's implicit default of a NOT NULL column, as an Avro default.
    #[must_use]
    pub fn implicit_default(&self) -> Value {
        match self {
            Self::Integer(integer) => integer.implicit_default(),
            Self::Decimal(_) => Value::from("\0"),
            Self::Text(_) => Value::from(""),
            // Zero dates are null in Avro, see `may_be_invalid`.
            Self::Temporal(_) => Value::Null,
        }
    }

    /// True if values exist that Avro cannot hold, so that the field is nullable even if the column is not.
    #[must_use]
    pub fn may_be_invalid(&self) -> bool {
        matches!(self, Self::Temporal(_))
    }

    /// Copies one packed value, not null, into Avro binary.
    #[inline]
    pub(crate) fn copy(
        &self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Written, ValueError> {
        match self {
            Self::Integer(integer) => integer.copy(input, out)?,
            Self::Decimal(decimal) => decimal.copy(input, out)?,
            Self::Text(text) => text.copy(input, out)?,
            Self::Temporal(temporal) => return Ok(temporal.copy(input, out)?),
        }
        Ok(Written::Value)
    }
}

#[cfg(test)]
mod tests;
