//! Types that a configuration chooses in the place of the usual ones (`events.types`).
//!
//! A value that the chosen type cannot hold is an error, never another value: a BIGINT UNSIGNED over 2^63 - 1 as long, a
//! TINYINT(1) that is neither 0 nor 1 as boolean.

use serde::Deserialize;
use serde_json::Value;

use super::integer::Integer;
use super::{ColumnType, Temporal, Text, ValueError};
use crate::avro::binary::{write_bytes, write_long};
use crate::input::Input;

/// What a configuration chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TypeOptions {
    /// BIGINT UNSIGNED.
    pub bigint_unsigned: BigintUnsigned,
    /// TINYINT(1), which BOOL is.
    pub tinyint1: Tinyint1,
    /// Bytes that are not text of their column's character set.
    pub invalid_text: InvalidText,
    /// DATE, DATETIME and TIMESTAMP in primary keys.
    pub key_dates: KeyDates,
}

/// BIGINT UNSIGNED in Avro.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BigintUnsigned {
    /// Bytes, as decimal(20,0).
    #[default]
    Decimal,
    /// A long; a larger number halts.
    Long,
}

/// TINYINT(1) in Avro.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tinyint1 {
    /// An int.
    #[default]
    Int,
    /// A boolean; another number than 0 and 1 halts.
    Boolean,
}

/// What becomes of bytes that are not text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvalidText {
    /// The stream halts.
    #[default]
    Halt,
    /// U+FFFD takes their place.
    Replace,
}

/// Dates in primary keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyDates {
    /// As elsewhere; a zero or impossible date halts.
    #[default]
    Logical,
    /// Text, as the server shows it in UTC.
    String,
}

/// A type in the place of the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// A BIGINT UNSIGNED as long.
    Long,
    /// A TINYINT(1) as boolean.
    Boolean,
    /// Text whose invalid bytes are replaced.
    Replaced(Text),
    /// A date as text.
    DateText(Temporal),
}

impl TypeOptions {
    /// The type that a column is published with, and whether that is known: of a TINYINT the display width, which
    /// `sql_type` has, must be.
    #[must_use]
    pub(crate) fn choose(
        &self,
        column_type: &ColumnType,
        sql_type: Option<&str>,
        is_key: bool,
    ) -> Option<ColumnType> {
        let integer = |bytes, unsigned| ColumnType::Integer(Integer { bytes, unsigned });
        if self.bigint_unsigned == BigintUnsigned::Long && *column_type == integer(8, true) {
            return Some(ColumnType::Chosen(Chosen::Long));
        }
        if self.needs_width(column_type) && sql_type? == "tinyint(1)" {
            return Some(ColumnType::Chosen(Chosen::Boolean));
        }
        if let ColumnType::Text(text) = column_type
            && self.invalid_text == InvalidText::Replace
        {
            return Some(ColumnType::Chosen(Chosen::Replaced(*text)));
        }
        if let ColumnType::Members(members) = column_type
            && self.invalid_text == InvalidText::Replace
        {
            return Some(ColumnType::Members(members.replaced(false)));
        }
        if let ColumnType::Temporal(temporal) = column_type
            && is_key
            && temporal.may_be_invalid()
            && self.key_dates == KeyDates::String
        {
            return Some(ColumnType::Chosen(Chosen::DateText(*temporal)));
        }
        Some(column_type.clone())
    }

    /// True if the display width decides the type.
    pub(crate) fn needs_width(&self, column_type: &ColumnType) -> bool {
        let is_tiny = matches!(
            column_type,
            ColumnType::Integer(Integer {
                bytes: 1,
                unsigned: false,
            })
        );
        is_tiny && self.tinyint1 == Tinyint1::Boolean
    }
}

impl Chosen {
    pub(super) fn sql(self) -> String {
        match self {
            Self::Long => "bigint unsigned".to_owned(),
            Self::Boolean => "tinyint(1)".to_owned(),
            Self::Replaced(text) => text.sql(),
            Self::DateText(temporal) => temporal.sql(),
        }
    }

    pub(super) fn avro(self) -> Value {
        Value::from(match self {
            Self::Long => "long",
            Self::Boolean => "boolean",
            Self::Replaced(_) | Self::DateText(_) => "string",
        })
    }

    pub(super) fn implicit_default(self) -> Value {
        match self {
            Self::Long => Value::from(0),
            Self::Boolean => Value::from(false),
            Self::Replaced(_) => Value::from(""),
            Self::DateText(temporal) => Value::from(temporal.zero_text()),
        }
    }

    pub(super) fn literal_default(self, text: &str) -> Option<Value> {
        match self {
            Self::Long => text.parse::<i64>().ok().map(Value::from),
            Self::Boolean => match text {
                "0" => Some(Value::from(false)),
                "1" => Some(Value::from(true)),
                _ => None,
            },
            Self::Replaced(_) | Self::DateText(_) => Some(Value::from(text)),
        }
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        match self {
            Self::Long => {
                let number = input.little_endian(8)?;
                write_long(
                    out,
                    i64::try_from(number).map_err(|_| ValueError::OverLong)?,
                );
            }
            Self::Boolean => match input.u8()? {
                value @ (0 | 1) => out.push(value),
                _ => return Err(ValueError::NoBoolean),
            },
            Self::Replaced(text) => text.copy_replaced(input, out)?,
            Self::DateText(temporal) => write_bytes(out, temporal.text(input)?.as_bytes()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
