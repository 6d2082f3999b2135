//! CHAR, VARCHAR, TINYTEXT to LONGTEXT: a length, then the bytes in the column's character set.
//!
//! CHAR comes without its trailing spaces, as SELECT returns it. Character sets whose bytes are UTF-8 are
//! copied; others are not published by this version. Collation numbers: `information_schema.COLLATIONS`.

use serde::{Deserialize, Serialize};

use super::{UnsupportedType, ValueError};
use crate::avro::binary::write_bytes;
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A character set whose bytes are UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Charset {
    /// Full UTF-8.
    Utf8mb4,
    /// UTF-8 up to three bytes a character.
    Utf8mb3,
    /// 7 bits.
    Ascii,
}

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

impl Charset {
    fn from_collation(collation: u64) -> Option<Self> {
        match collation {
            45 | 46 | 224..=247 | 255..=323 => Some(Self::Utf8mb4),
            33 | 76 | 83 | 192..=215 | 223 => Some(Self::Utf8mb3),
            11 | 65 => Some(Self::Ascii),
            _ => None,
        }
    }

    /// True if the bytes are valid text of the character set, whose bytes in UTF-8 are then the same.
    #[inline]
    fn holds(self, bytes: &[u8]) -> bool {
        match self {
            Self::Utf8mb4 => std::str::from_utf8(bytes).is_ok(),
            // A character of four bytes begins with 0xf0 or more, which no other byte of UTF-8 has.
            Self::Utf8mb3 => {
                std::str::from_utf8(bytes).is_ok() && bytes.iter().all(|byte| *byte < 0xf0)
            }
            Self::Ascii => bytes.is_ascii(),
        }
    }

    /// Bytes of the longest character.
    fn bytes_per_character(self) -> u16 {
        match self {
            Self::Utf8mb4 => 4,
            Self::Utf8mb3 => 3,
            Self::Ascii => 1,
        }
    }
}

impl Text {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [low, high] = column.metadata.to_le_bytes();
        if column.type_number == 254 && matches!(low, 247 | 248) {
            return Err(UnsupportedType(if low == 247 { "ENUM" } else { "SET" }));
        }
        let charset = match column.collation {
            Some(63) => {
                return Err(UnsupportedType(match column.type_number {
                    15 | 253 => "VARBINARY",
                    254 => "BINARY",
                    _ => "BLOB",
                }));
            }
            Some(collation) => Charset::from_collation(collation).ok_or(UnsupportedType(
                "CHAR, VARCHAR or TEXT in a character set other than utf8mb4, utf8mb3 and ascii",
            ))?,
            None => {
                return Err(UnsupportedType(
                    "CHAR, VARCHAR or TEXT of an unknown character set",
                ));
            }
        };
        Ok(match column.type_number {
            15 | 253 => Self::VarChar {
                bytes_max: column.metadata,
                charset,
            },
            // The length of a CHAR over 255 bytes borrows two bits of the type (they are inverted there).
            254 => Self::Char {
                bytes_max: u16::from(high) | ((u16::from(low) & 0x30) ^ 0x30) << 4,
                charset,
            },
            _ if !(1..=4).contains(&low) => {
                return Err(UnsupportedType("TEXT of an impossible length"));
            }
            _ => Self::Blob {
                length_bytes: low,
                charset,
            },
        })
    }

    fn charset(self) -> Charset {
        match self {
            Self::Char { charset, .. }
            | Self::VarChar { charset, .. }
            | Self::Blob { charset, .. } => charset,
        }
    }

    pub(super) fn sql(self) -> String {
        match self {
            Self::Char { bytes_max, charset } => {
                format!("char({})", bytes_max / charset.bytes_per_character())
            }
            Self::VarChar { bytes_max, charset } => {
                format!("varchar({})", bytes_max / charset.bytes_per_character())
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
        let length_bytes =
            match self {
                Self::Char { bytes_max, .. } | Self::VarChar { bytes_max, .. } => {
                    if bytes_max > 255 { 2 } else { 1 }
                }
                Self::Blob { length_bytes, .. } => usize::from(length_bytes),
            };
        let length = input.little_endian(length_bytes)?;
        let bytes = input.take(usize::try_from(length).map_err(|_| ValueError::Truncated)?)?;
        if !self.charset().holds(bytes) {
            return Err(ValueError::Text);
        }
        write_bytes(out, bytes);
        Ok(())
    }
}
