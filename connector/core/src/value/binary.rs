//! BINARY, VARBINARY, TINYBLOB to LONGBLOB: the types of text with the character set `binary`.
//!
//! The server strips the zero bytes at the end of a BINARY(n) in the binlog; SELECT returns all n bytes, and so does
//! Avro.

use serde::{Deserialize, Serialize};

use super::ValueError;
use super::compressed::Compressed;
use super::text::{Packing, blob_name};
use crate::avro::binary::{write_bytes, write_length};
use crate::input::Input;

/// A type of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binary {
    /// BINARY(n).
    Fixed {
        /// Its length.
        bytes: u16,
    },
    /// VARBINARY(n).
    Variable {
        /// Longest value in bytes.
        bytes_max: u16,
    },
    /// TINYBLOB, BLOB, MEDIUMBLOB, LONGBLOB.
    Blob {
        /// Bytes of the length in front of a value: 1 to 4.
        length_bytes: u8,
    },
    /// One of the last two, compressed (MariaDB).
    Compressed(Compressed),
}

impl Binary {
    pub(super) fn new(packing: Packing) -> Self {
        match packing {
            Packing::Char(bytes) => Self::Fixed { bytes },
            Packing::VarChar(bytes_max) => Self::Variable { bytes_max },
            Packing::Blob(length_bytes) => Self::Blob { length_bytes },
            Packing::Compressed(compressed) => Self::Compressed(compressed),
        }
    }

    fn packing(self) -> Packing {
        match self {
            Self::Fixed { bytes } => Packing::Char(bytes),
            Self::Variable { bytes_max } => Packing::VarChar(bytes_max),
            Self::Blob { length_bytes } => Packing::Blob(length_bytes),
            Self::Compressed(compressed) => Packing::Compressed(compressed),
        }
    }

    pub(super) fn sql(self) -> String {
        match self {
            Self::Fixed { bytes } => format!("binary({bytes})"),
            Self::Variable { bytes_max } => format!("varbinary({bytes_max})"),
            Self::Blob { length_bytes } => blob_name(length_bytes, "blob"),
            Self::Compressed(compressed) => match compressed.bytes_max {
                Some(bytes_max) => format!("varbinary({bytes_max}) compressed"),
                None => blob_name(compressed.length_bytes, "blob compressed"),
            },
        }
    }

    /// An Avro default of type bytes is text whose characters are the bytes.
    pub(super) fn implicit_default(self) -> String {
        match self {
            Self::Fixed { bytes } => "\0".repeat(usize::from(bytes)),
            Self::Variable { .. } | Self::Blob { .. } | Self::Compressed(_) => String::new(),
        }
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let bytes = self.packing().value(input)?;
        let Self::Fixed { bytes: length } = self else {
            write_bytes(out, &bytes);
            return Ok(());
        };
        let padding = usize::from(length)
            .checked_sub(bytes.len())
            .ok_or(ValueError::TooLong)?;
        write_length(out, usize::from(length));
        out.extend_from_slice(&bytes);
        out.resize(out.len() + padding, 0);
        Ok(())
    }
}
