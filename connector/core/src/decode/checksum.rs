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

impl Checksum {
    /// Bytes that it takes.
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Unknown | Self::Crc32 => 4,
        }
    }
}

/// The algorithm stands in the fifth byte from the end of a format description, unless the server that wrote it is older
/// than checksums: before MySQL 5.6.1 and MariaDB 5.3.
pub(super) fn format_checksum(body: &[u8]) -> Result<Checksum, DecodeErrorKind> {
    const VERSION: std::ops::Range<usize> = 2..52;
    let version = body.get(VERSION).ok_or(DecodeErrorKind::Truncated)?;
    if !has_checksums(version) {
        return Ok(Checksum::Off);
    }
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

/// By the version of a server, such as `5.5.9-log`; one that cannot be read is taken for a newer one.
fn has_checksums(version: &[u8]) -> bool {
    let first = if is_mariadb(version) {
        [5, 3, 0]
    } else {
        [5, 6, 1]
    };
    numbers(version).is_none_or(|version| version >= first)
}

/// The three numbers that a version begins with.
fn numbers(version: &[u8]) -> Option<[u32; 3]> {
    let digits = version.split(|byte| !byte.is_ascii_digit());
    let mut numbers = digits.map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let mut next = || numbers.next().flatten();
    Some([next()?, next()?, next()?])
}

/// What the optional metadata of table maps depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Spatial columns have a collation.
    pub(super) is_mariadb: bool,
    /// A YEAR has a sign like other numbers. In MySQL 8.0.15 it had none yet, in 8.0.31 and in MariaDB it has one (seen); which
    /// version between began it is not known.
    pub(super) has_signs_of_years: bool,
}

impl Layout {
    /// By the version of the server that wrote the file.
    pub(super) fn of(version: &[u8]) -> Self {
        let is_mariadb = is_mariadb(version);
        let is_newer = numbers(version).is_none_or(|version| version >= [8, 0, 16]);
        Self {
            is_mariadb,
            has_signs_of_years: is_mariadb || is_newer,
        }
    }
}

/// What the version of each MariaDB server has.
const MARIADB: &[u8] = b"MariaDB";

/// True for the version of a MariaDB server.
fn is_mariadb(version: &[u8]) -> bool {
    version.windows(MARIADB.len()).any(|part| part == MARIADB)
}
