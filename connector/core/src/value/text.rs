//! CHAR, VARCHAR, TINYTEXT to LONGTEXT: a length, then the bytes in the column's character set.
//!
//! CHAR comes without its trailing spaces, as SELECT returns it. The character set is that of the column's collation,
//! which the table map names whether it was given for the column, the table, the database or the server.

use serde::{Deserialize, Serialize};

use super::charset::{BINARY_COLLATION, Charset};
use super::{UnsupportedType, ValueError};
use crate::avro::binary::write_bytes;
use crate::decode::ColumnMetadata;
use crate::input::{Input, Truncated};

/// A text type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    /// CHAR(n).
    Char {
        /// Longest value in bytes.
        bytes_max: u16,
        /// The character set.
        charset: Charset,
    },
    /// VARCHAR(n).
    VarChar {
        /// Longest value in bytes.
        bytes_max: u16,
        /// The character set.
        charset: Charset,
    },
    /// TINYTEXT, TEXT, MEDIUMTEXT, LONGTEXT.
    Blob {
        /// Bytes of the length in front of a value: 1 to 4.
        length_bytes: u8,
        /// The character set.
        charset: Charset,
    },
}

/// How a text or binary type is packed, with its length in bytes or the length of its length.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packing {
    Char(u16),
    VarChar(u16),
    Blob(u8),
}

impl Packing {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [low, high] = column.metadata.to_le_bytes();
        match column.type_number {
            15 | 253 => Ok(Self::VarChar(column.metadata)),
            // The length of a CHAR over 255 bytes borrows two bits of the type (they are inverted there).
            254 => Ok(Self::Char(
                u16::from(high) | ((u16::from(low) & 0x30) ^ 0x30) << 4,
            )),
            _ if !(1..=4).contains(&low) => {
                Err(UnsupportedType("TEXT or BLOB of an impossible length"))
            }
            _ => Ok(Self::Blob(low)),
        }
    }

    #[inline]
    pub(super) fn take<'a>(self, input: &mut Input<'a>) -> Result<&'a [u8], Truncated> {
        let length_bytes = match self {
            Self::Char(bytes_max) | Self::VarChar(bytes_max) => 1 + usize::from(bytes_max > 255),
            Self::Blob(length_bytes) => usize::from(length_bytes),
        };
        let length = input.little_endian(length_bytes)?;
        input.take(usize::try_from(length).map_err(|_| Truncated)?)
    }
}

/// True for the bytes that a column of text holds under the collation `binary`.
pub(super) fn is_binary(column: &ColumnMetadata) -> bool {
    column.collation == Some(BINARY_COLLATION)
}

impl Text {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let Some(collation) = column.collation else {
            return Err(UnsupportedType(
                "CHAR, VARCHAR or TEXT of a character set that the binlog does not name",
            ));
        };
        let charset = Charset::of_collation(collation).ok_or(UnsupportedType(
            "CHAR, VARCHAR or TEXT in a character set that is not known",
        ))?;
        Ok(match Packing::from_metadata(column)? {
            Packing::Char(bytes_max) => Self::Char { bytes_max, charset },
            Packing::VarChar(bytes_max) => Self::VarChar { bytes_max, charset },
            Packing::Blob(length_bytes) => Self::Blob {
                length_bytes,
                charset,
            },
        })
    }

    pub(super) fn sql(self) -> String {
        match self {
            Self::Char { bytes_max, charset } => {
                format!("char({})", bytes_max / charset.longest())
            }
            Self::VarChar { bytes_max, charset } => {
                format!("varchar({})", bytes_max / charset.longest())
            }
            Self::Blob {
                length_bytes: 1, ..
            } => "tinytext".to_owned(),
            Self::Blob {
                length_bytes: 2, ..
            } => "text".to_owned(),
            Self::Blob {
                length_bytes: 3, ..
            } => "mediumtext".to_owned(),
            Self::Blob { .. } => "longtext".to_owned(),
        }
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let (packing, charset) = self.packing();
        charset.write(packing.take(input)?, out)
    }

    /// Copies a value; bytes that are no text become U+FFFD.
    pub(super) fn copy_replaced(
        self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Truncated> {
        let (packing, charset) = self.packing();
        let bytes = packing.take(input)?;
        if charset.write(bytes, out).is_err() {
            write_bytes(out, charset.decode_replaced(bytes).as_bytes());
        }
        Ok(())
    }

    #[inline]
    fn packing(self) -> (Packing, Charset) {
        match self {
            Self::Char { bytes_max, charset } => (Packing::Char(bytes_max), charset),
            Self::VarChar { bytes_max, charset } => (Packing::VarChar(bytes_max), charset),
            Self::Blob {
                length_bytes,
                charset,
            } => (Packing::Blob(length_bytes), charset),
        }
    }
}
