//! Compressed columns of MariaDB: a length as of other texts, then a byte that says how the value is compressed, the size
//! of the value with the highest byte first, and what zlib has made, with or without its frame. A byte of 0 stands before a
//! value that is as it is; an empty one has not even that.
//!
//! Format: MariaDB source, `sql/field.cc` (`Field_longstr::compress`), `sql/field_comp.cc`.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use serde::{Deserialize, Serialize};

use super::{UnsupportedType, ValueError};
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A compressed type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressed {
    /// Bytes of the length in front of a value: 1 to 4.
    pub length_bytes: u8,
    /// The longest value of a VARCHAR or VARBINARY in bytes; none for TEXT and BLOB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u16>,
}

/// Numbers of types in the binlog: MariaDB source, `include/mysql_com.h`.
pub(super) const BLOB_COMPRESSED: u8 = 140;
pub(super) const VARCHAR_COMPRESSED: u8 = 141;

/// What one value may have. A record over 16 MiB is refused anyway, unless that limit was raised.
const VALUE_BYTES_MAX: usize = 64 << 20;

impl Compressed {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        match (column.type_number, column.metadata) {
            // The byte in front of the value counts.
            (VARCHAR_COMPRESSED, length @ 1..) => Ok(Self {
                length_bytes: 1 + u8::from(length > 255),
                bytes_max: Some(length - 1),
            }),
            (BLOB_COMPRESSED, length @ 1..=4) => Ok(Self {
                length_bytes: length.to_le_bytes()[0],
                bytes_max: None,
            }),
            (_, _) => Err(UnsupportedType(
                "a compressed column of an impossible length",
            )),
        }
    }

    /// A value as it was before it was compressed.
    pub(super) fn value<'a>(self, packed: &'a [u8]) -> Result<Cow<'a, [u8]>, ValueError> {
        const ZLIB: u8 = 0x80;
        const HAS_NO_FRAME: u8 = 0x08;
        const SIZE_BYTES: u8 = 0x07;
        let Some((first, rest)) = packed.split_first() else {
            return Ok(Cow::Borrowed(&[]));
        };
        if *first == 0 {
            return Ok(Cow::Borrowed(rest));
        }
        if first & 0xf0 != ZLIB {
            return Err(ValueError::Compressed);
        }
        let mut rest = Input::new(rest);
        let size = rest.big_endian(usize::from(first & SIZE_BYTES))?;
        let size = usize::try_from(size).map_err(|_| ValueError::Compressed)?;
        if size > VALUE_BYTES_MAX || self.bytes_max.is_some_and(|max| size > usize::from(max)) {
            return Err(ValueError::TooLong);
        }
        let mut value = Vec::with_capacity(size);
        let mut zlib = Decompress::new(first & HAS_NO_FRAME == 0);
        let packed = rest.rest();
        let status = zlib.decompress_vec(packed, &mut value, FlushDecompress::Finish);
        let is_whole = value.len() == size && usize::try_from(zlib.total_in()) == Ok(packed.len());
        match status {
            Ok(Status::StreamEnd) if is_whole => Ok(Cow::Owned(value)),
            Ok(_) | Err(_) => Err(ValueError::Compressed),
        }
    }
}
