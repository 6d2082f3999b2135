//! Raw binlog events, as a server sends them: one byte buffer and where each event lies in it.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/binlog_event.h`; manual, "Replication Protocol".

use crate::input::{Input, Truncated};

/// Length of the header that every event begins with.
pub const HEADER_LEN: usize = 19;
/// Length of the CRC32 at the end of an event, where checksums are on.
pub const CHECKSUM_LEN: usize = 4;

/// Which part of an event a piece of a block is.
///
/// An event larger than the limit of the dump comes as first, middle and last parts, so that memory
/// does not depend on the size of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A whole event.
    Whole,
    /// The first bytes of a large event, header included.
    First,
    /// Bytes between the first and the last.
    Middle,
    /// The last bytes of a large event.
    Last,
}

/// Events in the order in which the server sent them: one buffer and the end of each piece.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EventBlock {
    bytes: Vec<u8>,
    pieces: Vec<(usize, Part)>,
}

/// Memory that an empty block keeps for its next use.
const BLOCK_KEEP_BYTES_MAX: usize = 1024 * 1024;

impl EventBlock {
    /// Empties the block for its next use.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BLOCK_KEEP_BYTES_MAX);
        self.pieces.clear();
    }

    /// Appends a piece, given as slices that follow one another.
    pub fn push(&mut self, part: Part, slices: &[&[u8]]) {
        for slice in slices {
            self.bytes.extend_from_slice(slice);
        }
        self.pieces.push((self.bytes.len(), part));
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = (Part, &[u8])> {
        let mut start = 0;
        self.pieces.iter().map(move |(end, part)| {
            let piece = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            (*part, piece)
        })
    }

    /// Bytes in the block.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if there is no event in the block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// The header of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Seconds since 1970 at which the statement began, by the source's clock.
    pub timestamp: u32,
    /// What kind of event it is.
    pub event_type: EventType,
    /// The server that first wrote it.
    pub server_id: u32,
    /// Size of the whole event in bytes, header and checksum included.
    pub size: u32,
    /// Offset in the binlog file just after the event, modulo 2^32; 0 in events that are in no file.
    pub end: u32,
    /// Flags, see `flag`.
    pub flags: u16,
}

/// The event is not in the binlog: the server made it up for this connection.
const FLAG_ARTIFICIAL: u16 = 0x20;
/// The server says that a reader who does not know the event may skip it.
const FLAG_IGNORABLE: u16 = 0x80;

impl EventHeader {
    /// Reads the header at the front of an event.
    pub(crate) fn read(input: &mut Input<'_>) -> Result<Self, Truncated> {
        let timestamp = input.u32()?;
        let number = input.u8()?;
        let server_id = input.u32()?;
        let size = input.u32()?;
        let end = input.u32()?;
        let flags = input.u16()?;
        let event_type = EventType::from_number(number, flags & FLAG_IGNORABLE != 0);
        Ok(Self {
            timestamp,
            event_type,
            server_id,
            size,
            end,
            flags,
        })
    }

    /// The header that bytes begin with; `None` if there are too few.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Input::new(bytes)).ok()
    }

    /// True if the event is not in the binlog.
    #[must_use]
    pub fn is_artificial(&self) -> bool {
        self.flags & FLAG_ARTIFICIAL != 0
    }
}

/// Kinds of events. Closed: a number that is not known is an error unless the server marks it ignorable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the server's own list")]
pub enum EventType {
    Query,
    Stop,
    Rotate,
    IntVar,
    AppendBlock,
    DeleteFile,
    Rand,
    UserVar,
    FormatDescription,
    Xid,
    BeginLoadQuery,
    ExecuteLoadQuery,
    TableMap,
    WriteRows,
    UpdateRows,
    DeleteRows,
    Incident,
    Heartbeat,
    RowsQuery,
    Gtid,
    AnonymousGtid,
    PreviousGtids,
    TransactionContext,
    ViewChange,
    XaPrepare,
    PartialUpdateRows,
    TransactionPayload,
    /// Marked by the server as one that may be skipped.
    Ignorable(u8),
    /// Not known here.
    Unknown(u8),
}

impl EventType {
    fn from_number(number: u8, ignorable: bool) -> Self {
        match number {
            2 => Self::Query,
            3 => Self::Stop,
            4 => Self::Rotate,
            5 => Self::IntVar,
            9 => Self::AppendBlock,
            11 => Self::DeleteFile,
            13 => Self::Rand,
            14 => Self::UserVar,
            15 => Self::FormatDescription,
            16 => Self::Xid,
            17 => Self::BeginLoadQuery,
            18 => Self::ExecuteLoadQuery,
            19 => Self::TableMap,
            26 => Self::Incident,
            27 => Self::Heartbeat,
            29 => Self::RowsQuery,
            30 => Self::WriteRows,
            31 => Self::UpdateRows,
            32 => Self::DeleteRows,
            33 => Self::Gtid,
            34 => Self::AnonymousGtid,
            35 => Self::PreviousGtids,
            36 => Self::TransactionContext,
            37 => Self::ViewChange,
            38 => Self::XaPrepare,
            39 => Self::PartialUpdateRows,
            40 => Self::TransactionPayload,
            other if ignorable => Self::Ignorable(other),
            other => Self::Unknown(other),
        }
    }
}
