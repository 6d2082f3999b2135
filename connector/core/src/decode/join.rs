//! Large events arrive in parts: they are joined up to a limit, or dropped unread if nobody wants them. Compressed
//! transactions are inflated before.

use super::error::DecodeErrorKind;
use super::fragments::RowsFragment;
use super::inflate::{Fed, Inflater, Unpacked};
use super::payload::PayloadMark;
use crate::event::{CHECKSUM_LEN, EventHeader, EventType, Part};
use crate::input::Input;

/// What a piece of a block completes.
#[derive(Debug)]
pub enum Joined<'a> {
    /// A whole event.
    Event(&'a [u8]),
    /// Not yet a whole event.
    Pending,
    /// The end of an event that nobody wanted; its bytes are gone.
    Skipped(EventHeader),
    /// A compressed transaction begins, or has arrived: for [`Decoder::payload`](super::Decoder::payload).
    Payload(PayloadMark),
}

/// Joins the parts of large events.
#[derive(Debug)]
pub struct Joiner {
    inflater: Inflater,
    parts: Parts,
}

#[derive(Debug)]
struct Parts {
    limit: usize,
    buffer: Vec<u8>,
    state: State,
    /// Somebody wants the rows of which fragments come.
    wants_fragments: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Keeping,
    Skipping(EventHeader),
}

/// A joined event's memory is given back if it is larger than this many bytes.
const BUFFER_KEEP_BYTES_MAX: usize = 64 * 1024;

impl Joiner {
    /// A joiner that keeps events of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            inflater: Inflater::default(),
            parts: Parts {
                limit,
                buffer: Vec::new(),
                state: State::Idle,
                wants_fragments: true,
            },
        }
    }

    /// The next thing that a piece completes; `None` once it gives no more. `wanted` is asked once per large event, with
    /// the table id if it holds rows.
    ///
    /// # Errors
    /// If a wanted event is over the limit, a compressed transaction is damaged, or pieces are out of order.
    pub fn next<'a, 'f: 'a>(
        &'a mut self,
        fed: &mut Fed<'f>,
        wanted: impl FnOnce(&EventHeader, Option<u64>) -> bool,
    ) -> Result<Option<Joined<'a>>, DecodeErrorKind> {
        match self.inflater.next(fed)? {
            None => Ok(None),
            Some(Unpacked::Mark(mark)) => Ok(Some(Joined::Payload(mark))),
            Some(Unpacked::Piece(part, bytes)) => self.parts.join(part, bytes, wanted).map(Some),
        }
    }
}

impl Parts {
    fn join<'a>(
        &'a mut self,
        part: Part,
        bytes: &'a [u8],
        wanted: impl FnOnce(&EventHeader, Option<u64>) -> bool,
    ) -> Result<Joined<'a>, DecodeErrorKind> {
        if matches!(self.state, State::Idle) && self.buffer.capacity() > BUFFER_KEEP_BYTES_MAX {
            self.buffer = Vec::new();
        }
        match (self.state, part) {
            (State::Idle, Part::Whole) => Ok(Joined::Event(bytes)),
            (State::Idle, Part::First) => self.first(bytes, wanted),
            (State::Keeping, Part::Middle) => self.keep(bytes).map(|()| Joined::Pending),
            (State::Keeping, Part::Last) => {
                self.keep(bytes)?;
                self.state = State::Idle;
                Ok(Joined::Event(&self.buffer))
            }
            (State::Skipping(_), Part::Middle) => Ok(Joined::Pending),
            (State::Skipping(header), Part::Last) => {
                self.state = State::Idle;
                Ok(Joined::Skipped(header))
            }
            (State::Idle, Part::Middle | Part::Last)
            | (State::Keeping | State::Skipping(_), Part::Whole | Part::First) => {
                Err(DecodeErrorKind::Pieces)
            }
        }
    }

    fn first<'a>(
        &'a mut self,
        bytes: &'a [u8],
        wanted: impl FnOnce(&EventHeader, Option<u64>) -> bool,
    ) -> Result<Joined<'a>, DecodeErrorKind> {
        let mut input = Input::new(bytes);
        let header = EventHeader::read(&mut input)?;
        let table_id = match header.event_type {
            EventType::Rows(_) => Some(input.u48()?),
            EventType::PartialRows => {
                let fragment = RowsFragment::read(input)?;
                if fragment.sequence == 1 {
                    let (event, table_id) = fragment.event()?;
                    self.wants_fragments = wanted(&event, Some(table_id));
                }
                let is_wanted = self.wants_fragments;
                // Whoever comes first decides for the others, unless it came whole: then the decoder's reader does.
                self.wants_fragments |= fragment.is_last();
                return self.begin(header, bytes, is_wanted);
            }
            EventType::RowsQuery | EventType::AnnotateRows => {
                self.state = State::Skipping(header);
                return Ok(Joined::Pending);
            }
            EventType::Query
            | EventType::Stop
            | EventType::Rotate
            | EventType::IntVar
            | EventType::AppendBlock
            | EventType::DeleteFile
            | EventType::Rand
            | EventType::UserVar
            | EventType::FormatDescription
            | EventType::Xid
            | EventType::BeginLoadQuery
            | EventType::ExecuteLoadQuery
            | EventType::TableMap
            | EventType::Incident
            | EventType::Heartbeat
            | EventType::TransactionPayload
            | EventType::Gtid
            | EventType::AnonymousGtid
            | EventType::TaggedGtid
            | EventType::PreviousGtids
            | EventType::TransactionContext
            | EventType::ViewChange
            | EventType::XaPrepare
            | EventType::BinlogCheckpoint
            | EventType::MariadbGtid
            | EventType::GtidList
            | EventType::StartEncryption
            | EventType::CompressedQuery
            | EventType::Ignorable(_)
            | EventType::Unknown(_) => None,
        };
        let is_wanted = wanted(&header, table_id);
        self.begin(header, bytes, is_wanted)
    }

    /// Keeps the first part of an event, or passes over the event.
    fn begin<'a>(
        &mut self,
        header: EventHeader,
        bytes: &[u8],
        is_wanted: bool,
    ) -> Result<Joined<'a>, DecodeErrorKind> {
        if !is_wanted {
            self.state = State::Skipping(header);
            return Ok(Joined::Pending);
        }
        if self.is_over_limit(&header) {
            return Err(DecodeErrorKind::TooLarge {
                size: header.size,
                limit: self.limit,
            });
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEEP_BYTES_MAX);
        self.buffer.reserve_exact(size_of(&header));
        self.state = State::Keeping;
        self.keep(bytes).map(|()| Joined::Pending)
    }

    fn is_over_limit(&self, header: &EventHeader) -> bool {
        size_of(header) > self.limit.saturating_add(CHECKSUM_LEN)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), DecodeErrorKind> {
        if self.buffer.len().saturating_add(bytes.len()) > self.buffer.capacity() {
            return Err(DecodeErrorKind::Pieces);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

fn size_of(header: &EventHeader) -> usize {
    usize::try_from(header.size).unwrap_or(usize::MAX)
}
