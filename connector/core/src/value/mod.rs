//! Column types: how a value is packed in the binlog, and what Avro gets for it.
//!
//! One file per family. Each copies a packed value straight into Avro binary; there is no value in between.

mod binary;
mod bit;
mod charset;
mod chosen;
mod compressed;
mod decimal;
mod float;
mod geometry;
mod identifier;
mod integer;
pub(crate) mod json;
mod masked;
mod members;
mod temporal;
mod text;
mod vector;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use binary::Binary;
pub use bit::Bit;
pub use charset::Charset;
pub use chosen::{BigintUnsigned, Chosen, InvalidText, KeyDates, Tinyint1, TypeOptions};
pub use compressed::Compressed;
pub use decimal::Decimal;
pub use float::Float;
pub(crate) use geometry::GEOMETRY_RECORD;
pub use geometry::{Geometry, Shape};
pub use identifier::Identifier;
pub use integer::Integer;
pub use masked::{ColumnRule, Mask, Masked, Salt};
pub use members::{Member, Members};
pub use temporal::{Hires, Temporal};
pub use text::Text;
pub use vector::Vector;

use text::Packing;

use crate::decode::ColumnMetadata;
use crate::input::{Input, Truncated};

/// The type of a column, as far as its values need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "lowercase")]
pub enum ColumnType {
    /// TINYINT to BIGINT.
    Integer(Integer),
    /// DECIMAL and NUMERIC.
    Decimal(Decimal),
    /// FLOAT and DOUBLE.
    Float(Float),
    /// BIT.
    Bit(Bit),
    /// CHAR, VARCHAR and the TEXT types.
    Text(Text),
    /// BINARY, VARBINARY and the BLOB types.
    Binary(Binary),
    /// DATE, TIME, DATETIME, TIMESTAMP and YEAR.
    Temporal(Temporal),
    /// ENUM and SET.
    Members(Members),
    /// JSON.
    Json,
    /// GEOMETRY and its kin.
    Geometry(Geometry),
    /// VECTOR.
    Vector(Vector),
    /// UUID, INET4 and INET6.
    Identifier(Identifier),
    /// One that the configuration chose: only in definitions that are published, never in those that are recorded.
    #[serde(skip)]
    Chosen(Chosen),
    /// One that the configuration masks or leaves out, likewise.
    #[serde(skip)]
    Masked(Box<Masked>),
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
    /// An infinity, no number at all, or half of one.
    #[error("it is not a finite number")]
    NotFinite,
    /// More bits than the column has.
    #[error("it has more bits than the column")]
    Bits,
    /// More bytes than the column holds.
    #[error("it is longer than the column allows")]
    TooLong,
    /// A compressed value that cannot be inflated.
    #[error("it is compressed, and damaged or compressed in a way that is not known")]
    Compressed,
    /// A length of time that cannot be.
    #[error("it is not a TIME that the server stores")]
    Time,
    /// A number that no member of an ENUM or SET has.
    #[error("it is none of the members of the column's ENUM or SET")]
    Member,
    /// A member of an ENUM or SET whose name the server's description may not have whole.
    #[error(
        "the binlog does not name its member of the ENUM or SET (binlog_row_metadata is not FULL), and the server's description may not have it whole: a question mark stands for characters that it lacks, and names that are not text are cut off"
    )]
    LostMember,
    /// JSON that cannot be.
    #[error("its binary JSON is damaged")]
    Json,
    /// A BIGINT UNSIGNED that does not fit a long.
    #[error("it is over 9223372036854775807, which a long cannot hold")]
    OverLong,
    /// A TINYINT(1) that is no boolean.
    #[error("it is neither 0 nor 1, as a boolean is")]
    NoBoolean,
    /// A geometry without an SRID.
    #[error("it is too short for a geometry")]
    Geometry,
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
        let [real_type, _] = column.metadata.to_le_bytes();
        match column.type_number {
            1 | 2 | 3 | 8 | 9 => Ok(Self::Integer(Integer::from_metadata(column))),
            246 => Decimal::from_metadata(column).map(Self::Decimal),
            4 | 5 => Ok(Self::Float(Float::from_metadata(column))),
            16 => Bit::from_metadata(column).map(Self::Bit),
            254 if matches!(real_type, 247 | 248) => {
                Members::from_metadata(column).map(Self::Members)
            }
            15 | 140 | 141 | 249..=254 if text::is_binary(column) => {
                Packing::from_metadata(column).map(|packing| Self::Binary(Binary::new(packing)))
            }
            15 | 140 | 141 | 249..=254 => Text::from_metadata(column).map(Self::Text),
            7 | 10..=14 | 17..=19 => Temporal::from_metadata(column).map(Self::Temporal),
            245 => Ok(Self::Json),
            255 => Ok(Self::Geometry(Geometry::from_metadata(column))),
            242 => Ok(Self::Vector(Vector::from_metadata(column))),
            _ => Err(UnsupportedType("of an unknown number")),
        }
    }

    /// The type in SQL, for `mysql.type`.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Integer(integer) => integer.sql(),
            Self::Decimal(decimal) => decimal.sql(),
            Self::Float(float) => float.sql(),
            Self::Bit(bit) => bit.sql(),
            Self::Text(text) => text.sql(),
            Self::Binary(binary) => binary.sql(),
            Self::Temporal(temporal) => temporal.sql(),
            Self::Members(members) => members.sql(),
            Self::Json => "json".to_owned(),
            Self::Geometry(geometry) => geometry.sql().to_owned(),
            Self::Vector(vector) => vector.sql(),
            Self::Identifier(identifier) => identifier.sql().to_owned(),
            Self::Chosen(chosen) => chosen.sql(),
            Self::Masked(masked) => masked.sql(),
        }
    }

    /// The Avro type of a value that is not null.
    #[must_use]
    pub fn avro(&self) -> Value {
        match self {
            Self::Integer(integer) => integer.avro(),
            Self::Decimal(decimal) => decimal.avro(),
            Self::Float(float) => float.avro(),
            Self::Bit(bit) => bit.avro(),
            Self::Text(_) | Self::Json | Self::Masked(_) | Self::Identifier(_) => {
                Value::from("string")
            }
            Self::Binary(_) => Value::from("bytes"),
            Self::Temporal(temporal) => temporal.avro(),
            Self::Members(members) => members.avro(),
            Self::Geometry(_) => Geometry::avro(),
            Self::Vector(_) => Vector::avro(),
            Self::Chosen(chosen) => chosen.avro(),
        }
    }

    /// MySQL's implicit default of a NOT NULL column, as an Avro default.
    #[must_use]
    pub fn implicit_default(&self) -> Value {
        match self {
            Self::Integer(integer) => integer.implicit_default(),
            Self::Decimal(decimal) => decimal.implicit_default(),
            Self::Float(_) => Value::from(0.0),
            Self::Bit(bit) => bit.implicit_default(),
            Self::Text(_) | Self::Masked(_) => Value::from(""),
            Self::Binary(binary) => Value::from(binary.implicit_default()),
            Self::Temporal(temporal) => temporal.implicit_default(),
            Self::Members(members) => members.implicit_default(),
            // The text of the JSON value null.
            Self::Json => Value::from("null"),
            Self::Geometry(_) => Geometry::implicit_default(),
            Self::Vector(_) => Value::Array(Vec::new()),
            Self::Identifier(identifier) => Value::from(identifier.implicit_default()),
            Self::Chosen(chosen) => chosen.implicit_default(),
        }
    }

    /// A literal default, as the server writes it, as an Avro default. `None` if Avro has no such value.
    #[must_use]
    pub fn literal_default(&self, text: &str) -> Option<Value> {
        match self {
            Self::Integer(integer) => integer.literal_default(text),
            Self::Decimal(decimal) => decimal.literal_default(text),
            Self::Float(_) => text
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(Value::from),
            Self::Bit(bit) => bit.literal_default(text),
            Self::Text(_) | Self::Identifier(_) => Some(Value::from(text)),
            Self::Temporal(temporal) => temporal.literal_default(text),
            Self::Members(members) => members.literal_default(text),
            Self::Chosen(chosen) => chosen.literal_default(text),
            // The server does not show all bytes of the one, and takes no literal for the others.
            Self::Binary(_)
            | Self::Json
            | Self::Geometry(_)
            | Self::Vector(_)
            | Self::Masked(_) => None,
        }
    }

    /// True if values exist that Avro cannot hold, so that the field is nullable even if the column is not.
    #[must_use]
    pub fn may_be_invalid(&self) -> bool {
        matches!(self, Self::Temporal(temporal) if temporal.may_be_invalid())
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
            Self::Float(float) => float.copy(input, out)?,
            Self::Bit(bit) => bit.copy(input, out)?,
            Self::Text(text) => text.copy(input, out)?,
            Self::Binary(binary) => binary.copy(input, out)?,
            Self::Temporal(temporal) => return temporal.copy(input, out),
            Self::Members(members) => members.copy(input, out)?,
            Self::Json => json::copy(input, out)?,
            Self::Geometry(_) => Geometry::copy(input, out)?,
            Self::Vector(vector) => vector.copy(input, out)?,
            Self::Identifier(identifier) => identifier.copy(input, out)?,
            Self::Chosen(chosen) => chosen.copy(input, out)?,
            Self::Masked(masked) => return masked.copy(input, out),
        }
        Ok(Written::Value)
    }

    /// True for JSON, whatever becomes of it.
    pub(crate) fn is_document(&self) -> bool {
        *self == Self::Json || matches!(self, Self::Masked(masked) if masked.is_document())
    }

    /// Masks a value that was appended without [`Self::copy`].
    pub(crate) fn mask(&self, start: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
        if let Self::Masked(masked) = self {
            masked.mask(start, out)?;
        }
        Ok(())
    }

    /// True if it is that type, or a type of MariaDB that table maps do not tell from it.
    pub(crate) fn is_or_is_packed_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Identifier(identifier), Self::Binary(Binary::Fixed { bytes })) => {
                identifier.bytes() == *bytes
            }
            (Self::Vector(vector), Self::Binary(Binary::Variable { bytes_max })) => {
                vector.bytes_max == Some(*bytes_max)
            }
            (Self::Temporal(one), Self::Temporal(other)) => {
                one == other || one.without_old_fraction() == *other
            }
            (one, other) => one == other,
        }
    }

    /// True if a table map of MariaDB, which may have VECTOR or not, might mean another type by it. Of times in the old format
    /// it does not say how many digits their fraction has.
    pub(crate) fn is_ambiguous(&self, has_vectors: bool) -> bool {
        let old = [
            Temporal::OldTime,
            Temporal::OldDateTime,
            Temporal::OldTimestamp,
        ];
        if matches!(self, Self::Temporal(temporal) if old.contains(temporal)) {
            return true;
        }
        matches!(self, Self::Binary(Binary::Fixed { bytes: 4 | 16 }))
            || matches!(self, Self::Binary(Binary::Variable { bytes_max })
                if has_vectors && bytes_max % 4 == 0)
    }

    /// True for a column that is not published.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        matches!(self, Self::Masked(masked) if masked.is_left_out())
    }
}

/// An Avro default of type bytes: text whose characters are the bytes.
fn bytes_default(bytes: &[u8]) -> Value {
    Value::from(
        bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>(),
    )
}

/// What follows the length of fewer than 64 bytes in Avro binary.
fn without_length(bytes: &[u8]) -> &[u8] {
    bytes.get(1..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
