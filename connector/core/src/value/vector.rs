//! VECTOR(n) (MySQL 9): a length in four bytes, then IEEE 754 single precision numbers, little-endian.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ValueError;
use crate::avro::binary::write_length;
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A vector type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// The most numbers that a value may have.
    pub dimensions: u32,
}

/// What VECTOR without a number stands for.
const DIMENSIONS_DEFAULT: u32 = 2048;
const NUMBER_BYTES: usize = 4;

impl Vector {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Self {
        let dimensions = column.dimensions.unwrap_or(DIMENSIONS_DEFAULT);
        Self { dimensions }
    }

    pub(super) fn sql(self) -> String {
        format!("vector({})", self.dimensions)
    }

    pub(super) fn avro() -> Value {
        json!({"type": "array", "items": "float"})
    }

    #[inline]
    pub(super) fn copy(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let length = usize::try_from(input.u32()?).map_err(|_| ValueError::Truncated)?;
        let bytes = input.take(length)?;
        let (numbers, rest) = bytes.as_chunks::<NUMBER_BYTES>();
        let are_finite = numbers
            .iter()
            .all(|number| f32::from_le_bytes(*number).is_finite());
        if !rest.is_empty() || !are_finite {
            return Err(ValueError::NotFinite);
        }
        if !numbers.is_empty() {
            write_length(out, numbers.len());
            out.extend_from_slice(bytes);
        }
        out.push(0);
        Ok(())
    }
}
