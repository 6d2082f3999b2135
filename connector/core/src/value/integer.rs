//! TINYINT, SMALLINT, MEDIUMINT, INT, BIGINT: little-endian, 1, 2, 3, 4 and 8 bytes.
//!
//! Signedness is not in the bytes: it comes from the table map (or, without metadata, from the definition).
//! BIGINT UNSIGNED does not fit Avro's long: it is a decimal(20,0).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decimal::{ZERO, default_of_number};
use crate::avro::binary::{write_bytes, write_long};
use crate::decode::ColumnMetadata;
use crate::input::{Input, Truncated};

/// Digits of the largest BIGINT UNSIGNED.
const PRECISION: u8 = 20;

/// An integer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integer {
    /// Size in the binlog in bytes: 1, 2, 3, 4 or 8.
    pub bytes: u8,
    /// True for UNSIGNED.
    pub unsigned: bool,
}

impl Integer {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Self {
        let bytes = match column.type_number {
            1 => 1,
            2 => 2,
            9 => 3,
            3 => 4,
            _ => 8,
        };
        Self {
            bytes,
            unsigned: column.unsigned == Some(true),
        }
    }

    pub(super) fn sql(self) -> String {
        let name = match self.bytes {
            1 => "tinyint",
            2 => "smallint",
            3 => "mediumint",
            4 => "int",
            _ => "bigint",
        };
        let sign = if self.unsigned { " unsigned" } else { "" };
        format!("{name}{sign}")
    }

    pub(super) fn avro(self) -> Value {
        match (self.bytes, self.unsigned) {
            (8, true) => {
                json!({"type": "bytes", "logicalType": "decimal", "precision": PRECISION, "scale": 0})
            }
            (8, false) | (4, true) => Value::from("long"),
            _ => Value::from("int"),
        }
    }

    pub(super) fn implicit_default(self) -> Value {
        match (self.bytes, self.unsigned) {
            (8, true) => default_of_number(ZERO, PRECISION),
            _ => Value::from(0),
        }
    }

    pub(super) fn literal_default(self, text: &str) -> Option<Value> {
        match (self.bytes, self.unsigned) {
            (8, true) => {
                let mut bytes = Vec::new();
                write_unsigned_decimal(&mut bytes, text.parse().ok()?);
                Some(default_of_number(&bytes, PRECISION))
            }
            _ => text.parse::<i64>().ok().map(Value::from),
        }
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Truncated> {
        let size = usize::from(self.bytes);
        let raw = input.little_endian(size)?;
        if !self.unsigned {
            // Moves the sign bit to the top and back again.
            let shift = 64 - 8 * u32::from(self.bytes);
            write_long(out, (raw << shift).cast_signed() >> shift);
        } else if self.bytes < 8 {
            write_long(out, raw.cast_signed());
        } else {
            write_unsigned_decimal(out, raw);
        }
        Ok(())
    }
}

/// Two's complement, big-endian, as short as possible: a leading zero byte where the top bit is set.
fn write_unsigned_decimal(out: &mut Vec<u8>, value: u64) {
    let wide = u128::from(value).to_be_bytes();
    let significant =
        usize::try_from(value.checked_ilog2().map_or(0, |top| top / 8 + 1)).unwrap_or(8);
    let sign = usize::from(significant == 0 || value >> (significant * 8 - 1) & 1 == 1);
    let start = wide.len() - significant - sign;
    write_bytes(out, wide.get(start..).unwrap_or_default());
}
