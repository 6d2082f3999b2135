//! BIT(n): ceil(n/8) bytes, big-endian, the spare bits of the first one zero. BIT(1) is a boolean.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{UnsupportedType, ValueError};
use crate::avro::binary::write_bytes;
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A bit field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bit {
    /// Number of bits, 1 to 64.
    pub bits: u8,
}

impl Bit {
    /// The metadata counts bits over whole bytes, then whole bytes (MySQL source, `sql/field.cc`,
    /// `Field_bit::do_save_field_metadata`).
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [odd, bytes] = column.metadata.to_le_bytes();
        let bits = bytes.checked_mul(8).and_then(|bits| bits.checked_add(odd));
        match bits {
            Some(bits @ 1..=64) if odd < 8 => Ok(Self { bits }),
            Some(_) | None => Err(UnsupportedType("BIT of an impossible length")),
        }
    }

    pub(super) fn sql(self) -> String {
        format!("bit({})", self.bits)
    }

    pub(super) fn avro(self) -> Value {
        Value::from(if self.bits == 1 { "boolean" } else { "bytes" })
    }

    pub(super) fn implicit_default(self) -> Value {
        if self.bits == 1 {
            return Value::from(false);
        }
        Value::from("\0".repeat(usize::from(self.bits.div_ceil(8))))
    }

    /// The bits of a text such as `b'101'`.
    pub(super) fn literal_default(self, text: &str) -> Option<Value> {
        let digits = text.strip_prefix("b'")?.strip_suffix('\'')?;
        let number = u64::from_str_radix(digits, 2).ok()?;
        if self.bits == 1 {
            return (number < 2).then(|| Value::from(number == 1));
        }
        let bytes = number.to_be_bytes();
        let start = bytes
            .len()
            .checked_sub(usize::from(self.bits.div_ceil(8)))?;
        Some(super::bytes_default(bytes.get(start..)?))
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let bytes = input.take(usize::from(self.bits.div_ceil(8)))?;
        let first = bytes.first().copied().unwrap_or_default();
        let used = self.bits % 8;
        if used > 0 && first >> used != 0 {
            return Err(ValueError::Bits);
        }
        if self.bits == 1 {
            out.push(first);
        } else {
            write_bytes(out, bytes);
        }
        Ok(())
    }
}
