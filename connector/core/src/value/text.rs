//! CHAR, VARCHAR, TINYTEXT to LONGTEXT: a length, then the bytes in the column's character set.
//!
//! CHAR comes without its trailing spaces, as SELECT returns it. The character set is that of the column's collation,
//! which the table map names whether it was given for the column, the table, the database or the server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::charset::{BINARY_COLLATION, Charset};
use super::compressed::{BLOB_COMPRESSED, Compressed, VARCHAR_COMPRESSED};
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
    /// One of the last two, compressed (MariaDB).
    Compressed {
        /// How.
        #[serde(flatten)]
        compressed: Compressed,
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
    Compressed(Compressed),
}

impl Packing {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [low, high] = column.metadata.to_le_bytes();
        match column.type_number {
            15 | 253 => Ok(Self::VarChar(column.metadata)),
            BLOB_COMPRESSED | VARCHAR_COMPRESSED => {
                Compressed::from_metadata(column).map(Self::Compressed)
            }
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
            Self::Blob(length_bytes) | Self::Compressed(Compressed { length_bytes, .. }) => {
                usize::from(length_bytes)
            }
        };
        let length = input.little_endian(length_bytes)?;
        input.take(usize::try_from(length).map_err(|_| Truncated)?)
    }

    /// The bytes of a value.
    #[inline]
    pub(super) fn value<'a>(self, input: &mut Input<'a>) -> Result<Cow<'a, [u8]>, ValueError> {
        let packed = self.take(input)?;
        match self {
            Self::Compressed(compressed) => compressed.value(packed),
            Self::Char(_) | Self::VarChar(_) | Self::Blob(_) => Ok(Cow::Borrowed(packed)),
        }
    }
}

/// The name of a type of TEXT or BLOB, by the bytes of its length.
pub(super) fn blob_name(length_bytes: u8, family: &str) -> String {
    let size = match length_bytes {
        1 => "tiny",
        2 => "",
        3 => "medium",
        _ => "long",
    };
    format!("{size}{family}")
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
            Packing::Compressed(compressed) => Self::Compressed {
                compressed,
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
            Self::Blob { length_bytes, .. } => blob_name(length_bytes, "text"),
            Self::Compressed {
                compressed,
                charset,
            } => match compressed.bytes_max {
                Some(bytes_max) => format!("varchar({}) compressed", bytes_max / charset.longest()),
                None => blob_name(compressed.length_bytes, "text compressed"),
            },
        }
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let (packing, charset) = self.packing();
        charset.write(&packing.value(input)?, out)
    }

    /// Copies a value; bytes that are no text become U+FFFD.
    pub(super) fn copy_replaced(
        self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        let (packing, charset) = self.packing();
        let bytes = packing.value(input)?;
        if charset.write(&bytes, out).is_err() {
            write_bytes(out, charset.decode_replaced(&bytes).as_bytes());
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
            Self::Compressed {
                compressed,
                charset,
            } => (Packing::Compressed(compressed), charset),
        }
    }
}
