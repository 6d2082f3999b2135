//! VECTOR(n): a length in four bytes, then IEEE 754 single precision numbers, little-endian (MySQL 9). MariaDB packs it like
//! a VARBINARY, and no table map tells it from one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ValueError;
use super::text::Packing;
use crate::avro::binary::write_length;
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A vector type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// The most numbers that a value may have.
    pub dimensions: u32,
    /// The most bytes, where they are packed like a VARBINARY; none for MySQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u16>,
}

/// What VECTOR without a number stands for.
const DIMENSIONS_DEFAULT: u32 = 2048;
const NUMBER_BYTES: usize = 4;

impl Vector {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Self {
        let dimensions = column.dimensions.unwrap_or(DIMENSIONS_DEFAULT);
        Self {
            dimensions,
            bytes_max: None,
        }
    }

    /// One of MariaDB, by the bytes of its longest value.
    pub(crate) fn of_mariadb(bytes_max: u16) -> Self {
        Self {
            dimensions: u32::from(bytes_max) / 4,
            bytes_max: Some(bytes_max),
        }
    }

    pub(super) fn sql(self) -> String {
        format!("vector({})", self.dimensions)
    }

    pub(super) fn avro() -> Value {
        json!({"type": "array", "items": "float"})
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let packing = self.bytes_max.map_or(Packing::Blob(4), Packing::VarChar);
        let bytes = packing.take(input)?;
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
