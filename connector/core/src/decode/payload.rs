//! TRANSACTION_PAYLOAD events: the events of a source transaction, compressed as one (`binlog_transaction_compression`).
//!
//! The event tells its own compression, and how many bytes there are before and after it; the events in it have no place of
//! their own and no checksums.
//! Format: MySQL source, `libs/mysql/binlog/event/control_events.h` (`Transaction_payload_event`): fields of a number, a
//! length and a value, up to the number 0.

use super::error::DecodeErrorKind;
use crate::event::{EventHeader, EventType};
use crate::input::Input;
use crate::position::FileOffset;

/// A payload whose events are being read.
#[derive(Debug)]
pub(super) struct Payload {
    /// Where the event that holds them ends: that is the place after each of them.
    pub(super) end: FileOffset,
    /// Bytes of the events that are still to come.
    left: u64,
}

/// What is known of a payload before anything of it is inflated, and when all of the event that holds it has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadMark {
    /// Its events follow.
    Begins {
        /// Of the event that holds them.
        header: EventHeader,
        /// Bytes of the events, one after another.
        size: u64,
        /// Bytes behind what is compressed: those of the checksum, if there is one.
        trailer: u64,
    },
    /// The event that holds them has arrived. What it ends with is inflated only after this.
    Arrived {
        /// The CRC32 of all its bytes but the last four.
        crc32: u32,
        /// The number in those.
        stored: u32,
    },
}

const FIELD_END: u64 = 0;
const FIELD_PACKED_SIZE: u64 = 1;
const FIELD_COMPRESSION: u64 = 2;
const FIELD_SIZE: u64 = 3;

/// How the events are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Zstd,
    /// They follow as they are.
    None,
}

/// The fields of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed<'a> {
    pub(super) compression: Compression,
    /// Bytes of the events, one after another.
    pub(super) size: u64,
    /// Bytes that they have in the event.
    pub(super) packed_size: u64,
    /// What follows the fields, as far as it has arrived.
    pub(super) bytes: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Reads the body of the event, or its beginning.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, DecodeErrorKind> {
        let mut body = Input::new(body);
        let (mut size, mut packed_size, mut compression) = (None, None, None);
        loop {
            let field = body.length_encoded()?;
            if field == FIELD_END {
                break;
            }
            let mut value = Input::new(body.length_encoded_bytes()?);
            match field {
                FIELD_PACKED_SIZE => packed_size = Some(value.length_encoded()?),
                FIELD_COMPRESSION => compression = Some(value.length_encoded()?),
                FIELD_SIZE => size = Some(value.length_encoded()?),
                _ => {}
            }
        }
        let packed_size = packed_size.ok_or(DecodeErrorKind::CompressedTransaction)?;
        let (compression, size) = match (compression, size) {
            (Some(0), Some(size)) => (Compression::Zstd, size),
            (Some(255), size) if size.is_none_or(|size| size == packed_size) => {
                (Compression::None, packed_size)
            }
            _ => return Err(DecodeErrorKind::CompressedTransaction),
        };
        Ok(Self {
            compression,
            size,
            packed_size,
            bytes: body.rest(),
        })
    }
}

impl Payload {
    pub(super) fn new(end: FileOffset, size: u64) -> Self {
        Self { end, left: size }
    }

    /// Takes note of one of its events; false if it is none that can be in a payload.
    pub(super) fn take(&mut self, header: &EventHeader) -> bool {
        let is_of_the_stream = matches!(
            header.event_type,
            EventType::Heartbeat
                | EventType::FormatDescription
                | EventType::Rotate
                | EventType::Gtid
                | EventType::AnonymousGtid
                | EventType::TaggedGtid
                | EventType::TransactionPayload
        );
        let left = self.left.checked_sub(u64::from(header.size));
        self.left = left.unwrap_or(0);
        left.is_some() && !is_of_the_stream && !header.is_artificial()
    }

    /// True once all its events were read.
    pub(super) fn is_read(&self) -> bool {
        self.left == 0
    }
}
