//! FLOAT and DOUBLE: IEEE 754, little-endian, as Avro has them. The server stores neither infinities nor NaN.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ValueError;
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A floating point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Float {
    /// Size in bytes: 4 for FLOAT, 8 for DOUBLE.
    pub bytes: u8,
    /// True for UNSIGNED.
    pub unsigned: bool,
}

impl Float {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Self {
        let bytes = if column.type_number == 4 { 4 } else { 8 };
        Self {
            bytes,
            unsigned: column.unsigned == Some(true),
        }
    }

    pub(super) fn sql(self) -> String {
        let name = if self.bytes == 4 { "float" } else { "double" };
        let sign = if self.unsigned { " unsigned" } else { "" };
        format!("{name}{sign}")
    }

    pub(super) fn avro(self) -> Value {
        Value::from(if self.bytes == 4 { "float" } else { "double" })
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let bytes = input.take(usize::from(self.bytes))?;
        let is_finite = match *bytes {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]).is_finite(),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]).is_finite(),
            _ => false,
        };
        if !is_finite {
            return Err(ValueError::NotFinite);
        }
        out.extend_from_slice(bytes);
        Ok(())
    }
}
