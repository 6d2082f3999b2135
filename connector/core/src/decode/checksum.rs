//! The CRC32 behind each event (MySQL worklog 2540).

use super::error::DecodeErrorKind;
use crate::event::{CHECKSUM_LEN, HEADER_LEN};

/// What the format description says of the events that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// No format description was seen yet.
    Unknown,
    Off,
    Crc32,
}

/// The algorithm stands in the fifth byte from the end of a format description.
pub(super) fn format_checksum(body: &[u8]) -> Result<Checksum, DecodeErrorKind> {
    let algorithm = body
        .len()
        .checked_sub(CHECKSUM_LEN + 1)
        .and_then(|index| body.get(index))
        .ok_or(DecodeErrorKind::Truncated)?;
    match algorithm {
        0 => Ok(Checksum::Off),
        1 => Ok(Checksum::Crc32),
        other => Err(DecodeErrorKind::ChecksumAlgorithm { number: *other }),
    }
}

/// The body of an event whose last four bytes are the CRC32 of all before them.
pub(super) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
    let body = covered.get(HEADER_LEN..)?;
    (crc32fast::hash(covered) == u32::from_le_bytes(*checksum)).then_some(body)
}
