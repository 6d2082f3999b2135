//! Rows events that MariaDB 12.3 and later cut up, as they are too large for a replica (`binlog_row_event_fragment_threshold`).
//!
//! Format: MariaDB documentation, "PARTIAL_ROW_DATA_EVENT": how many fragments there are, the number of this one from 1 on, flags,
//! in the first one the size of the event that was cut up, and a piece of that event, header included. Written down from the
//! documentation; no server of that version was to be had. So what it leaves open is proven, or refused: the first piece must
//! begin with the header of a rows event of that size, and a checksum is one if it is right.

use super::compressed::CompressedRows;
use super::error::DecodeErrorKind;
use super::rows::RowsEvent;
use crate::event::{CHECKSUM_LEN, EventHeader, EventType, HEADER_LEN};
use crate::input::Input;

/// In the flags: the size of the whole event follows.
const FLAG_SIZE: u8 = 1;

/// A piece of a rows event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsFragment<'a> {
    /// How many there are.
    pub(super) total: u32,
    /// Its number, from 1.
    pub(super) sequence: u32,
    /// In the first one: bytes of the whole event.
    size: Option<u64>,
    bytes: &'a [u8],
}

impl<'a> RowsFragment<'a> {
    /// Reads the body of a PARTIAL_ROW_DATA_EVENT, or its beginning.
    pub(super) fn read(mut body: Input<'a>) -> Result<Self, DecodeErrorKind> {
        let total = body.u32()?;
        let sequence = body.u32()?;
        let flags = body.u8()?;
        let size = match flags & FLAG_SIZE {
            0 => None,
            _ => Some(body.u64()?),
        };
        let is_numbered = sequence >= 1 && sequence <= total;
        match is_numbered && size.is_some() == (sequence == 1) {
            true => Ok(Self {
                total,
                sequence,
                size,
                bytes: body.rest(),
            }),
            false => Err(DecodeErrorKind::Fragments),
        }
    }

    /// True for the one that makes the event whole.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.sequence == self.total
    }

    /// Of the first one: what the whole event is, and the id of its table.
    pub(super) fn event(&self) -> Result<(EventHeader, u64), DecodeErrorKind> {
        let header = EventHeader::of(self.bytes).ok_or(DecodeErrorKind::Fragments)?;
        let is_whole = self.size == Some(u64::from(header.size));
        let body = self.bytes.get(HEADER_LEN..).unwrap_or_default();
        let table_id = Input::new(body).u48();
        match (header.event_type, table_id) {
            (EventType::Rows(_), Ok(table_id)) if is_whole => Ok((header, table_id)),
            _ => Err(DecodeErrorKind::Fragments),
        }
    }
}

/// Which fragment comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The first, or none.
    First,
    /// That one of so many.
    Next { sequence: u32, total: u32 },
    /// Any but the first: nobody wants the rows, and some were passed over unread.
    Rest,
}

impl Expected {
    /// What is expected after a fragment; `None` if it is not the one that was.
    pub(super) fn after(self, fragment: &RowsFragment<'_>) -> Option<Self> {
        let RowsFragment {
            total, sequence, ..
        } = *fragment;
        let is_right = match self {
            Self::First => sequence == 1,
            Self::Next {
                sequence: next,
                total: all,
            } => sequence == next && total == all,
            Self::Rest => true,
        };
        let is_passed_over = self == Self::Rest && sequence > 1;
        is_right.then_some(match sequence == total {
            true => Self::First,
            false if is_passed_over => Self::Rest,
            false => Self::Next {
                sequence: sequence.saturating_add(1),
                total,
            },
        })
    }
}

/// Rows whose fragments are all there.
#[derive(Debug)]
pub enum Assembled<'a> {
    /// As they are.
    Rows(RowsEvent<'a>),
    /// Compressed, too.
    Compressed(CompressedRows<'a>),
}

/// Puts rows events together again.
#[derive(Debug)]
pub struct Assembler {
    limit: usize,
    /// None while nobody wants the rows.
    buffer: Option<Vec<u8>>,
}

impl Assembler {
    /// One that keeps events of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: None,
        }
    }

    /// Takes the next fragment, in order, and gives the rows once it is the last. `wanted` is asked for the first one, with
    /// the table id.
    ///
    /// # Errors
    /// If the event is no rows event, is over the limit, or is not of the size that was said.
    pub fn take(
        &mut self,
        fragment: &RowsFragment<'_>,
        wanted: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Assembled<'_>>, DecodeErrorKind> {
        if fragment.sequence == 1 {
            let (header, table_id) = fragment.event()?;
            self.buffer = None;
            if wanted(table_id) {
                let size = usize::try_from(header.size).unwrap_or(usize::MAX);
                if size > self.limit.saturating_add(CHECKSUM_LEN) {
                    let (size, limit) = (header.size, self.limit);
                    return Err(DecodeErrorKind::TooLarge { size, limit });
                }
                self.buffer = Some(Vec::with_capacity(size));
            }
        }
        let Some(buffer) = &mut self.buffer else {
            return Ok(None);
        };
        if buffer.len().saturating_add(fragment.bytes.len()) > buffer.capacity() {
            return Err(DecodeErrorKind::Fragments);
        }
        buffer.extend_from_slice(fragment.bytes);
        match fragment.sequence == fragment.total {
            true => assembled(buffer).map(Some),
            false => Ok(None),
        }
    }
}

fn assembled(event: &[u8]) -> Result<Assembled<'_>, DecodeErrorKind> {
    let header = EventHeader::of(event).ok_or(DecodeErrorKind::Fragments)?;
    if usize::try_from(header.size) != Ok(event.len()) {
        return Err(DecodeErrorKind::Fragments);
    }
    let body = super::checksum::checked(event);
    let body = body.unwrap_or_else(|| event.get(HEADER_LEN..).unwrap_or_default());
    let EventType::Rows(format) = header.event_type else {
        return Err(DecodeErrorKind::Fragments);
    };
    let rows = RowsEvent::read(Input::new(body), format)?;
    Ok(match format.is_compressed {
        true => Assembled::Compressed(CompressedRows(rows)),
        false => Assembled::Rows(rows),
    })
}
