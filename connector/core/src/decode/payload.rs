//! TRANSACTION_PAYLOAD events: the events of a source transaction, compressed as one (`binlog_transaction_compression`).
//!
//! Whoever reads the connection has inflated them: they follow the event one by one, without a place of their own and
//! without checksums. The event says how many bytes they have together, so that none of them is missing unnoticed.
//! Format: MySQL source, `libs/mysql/binlog/event/control_events.h` (`Transaction_payload_event`): fields of a number, a
//! length and a value, up to the number 0.

use super::error::DecodeErrorKind;
use crate::event::{EventHeader, EventType};
use crate::input::Input;
use crate::position::FileOffset;

/// A payload whose events are being read.
#[derive(Debug)]
pub(super) struct Payload {
    /// Where the event that held them ends: that is the place after each of them.
    pub(super) end: FileOffset,
    /// Bytes of the events that are still to come; `None` where that was not read.
    left: Option<u64>,
}

const FIELD_END: u64 = 0;
const FIELD_COMPRESSION: u64 = 2;
const FIELD_UNCOMPRESSED_SIZE: u64 = 3;
/// Of the field of the compression: ZSTD.
const COMPRESSION_ZSTD: u64 = 0;

/// The events of a compressed transaction as they are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed<'a> {
    /// True if the bytes are compressed with zstd; else they are the events themselves.
    pub is_zstd: bool,
    /// Bytes of the events, one after another.
    pub size: Option<u64>,
    /// What follows the fields.
    pub bytes: &'a [u8],
}

/// Reads the body of a TRANSACTION_PAYLOAD event; a checksum may be left at its end.
///
/// # Errors
/// If the fields are damaged.
pub fn packed_events(body: &[u8]) -> Result<Packed<'_>, DecodeErrorKind> {
    let mut body = Input::new(body);
    let (mut size, mut is_zstd) = (None, false);
    loop {
        let field = body.length_encoded()?;
        if field == FIELD_END {
            let bytes = body.rest();
            return Ok(Packed {
                is_zstd,
                size,
                bytes,
            });
        }
        let mut value = Input::new(body.length_encoded_bytes()?);
        match field {
            FIELD_COMPRESSION => is_zstd = value.length_encoded()? == COMPRESSION_ZSTD,
            FIELD_UNCOMPRESSED_SIZE => size = Some(value.length_encoded()?),
            _ => {}
        }
    }
}

impl Payload {
    pub(super) fn read(body: Input<'_>, end: FileOffset) -> Result<Self, DecodeErrorKind> {
        let left = packed_events(body.rest())?.size;
        Ok(Self { end, left })
    }

    /// One whose event was passed over, as it was too large to be kept.
    pub(super) fn unread(end: FileOffset) -> Self {
        Self { end, left: None }
    }

    /// True for an event that was in a payload: those have no place, and say nothing of files.
    pub(super) fn holds(header: &EventHeader) -> bool {
        let is_of_the_stream = matches!(
            header.event_type,
            EventType::Heartbeat
                | EventType::FormatDescription
                | EventType::Rotate
                | EventType::Gtid
                | EventType::AnonymousGtid
                | EventType::TaggedGtid
        );
        header.end == 0 && !header.is_artificial() && !is_of_the_stream
    }

    /// Takes note of one of its events.
    pub(super) fn take(&mut self, header: &EventHeader) -> Result<(), DecodeErrorKind> {
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(u64::from(header.size))
                .ok_or(DecodeErrorKind::CompressedTransaction)?;
        }
        Ok(())
    }

    /// True unless some of its events are missing.
    pub(super) fn is_complete(&self) -> bool {
        self.left.is_none_or(|left| left == 0)
    }
}
