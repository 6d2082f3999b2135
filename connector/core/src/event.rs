//! Raw binlog events, as a server sends them: one byte buffer and where each event lies in it.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/binlog_event.h`; manual, "Replication Protocol".

use std::ops::Range;

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

/// Events in the order in which the server sent them: one buffer and where each piece lies in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EventBlock {
    bytes: Vec<u8>,
    pieces: Vec<(Part, Range<usize>)>,
}

impl EventBlock {
    /// Empties the block for its next use.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
    }

    /// Takes bytes as they came, with the pieces that are in them up to `end`, in place of what the block has. What is
    /// behind them is left, in the buffer that the block had.
    pub fn replace(
        &mut self,
        bytes: &mut Vec<u8>,
        pieces: &mut Vec<(Part, Range<usize>)>,
        end: usize,
    ) {
        self.clear();
        std::mem::swap(&mut self.bytes, bytes);
        std::mem::swap(&mut self.pieces, pieces);
        bytes.extend_from_slice(self.bytes.get(end..).unwrap_or_default());
        self.bytes.truncate(end);
    }

    /// Appends a piece, given as slices that follow one another.
    pub fn push(&mut self, part: Part, slices: &[&[u8]]) {
        let start = self.bytes.len();
        for slice in slices {
            self.bytes.extend_from_slice(slice);
        }
        self.pieces.push((part, start..self.bytes.len()));
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = (Part, &[u8])> {
        self.pieces
            .iter()
            .map(|(part, range)| (*part, self.bytes.get(range.clone()).unwrap_or_default()))
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

/// What a rows event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsKind {
    /// INSERT: each row has an after image.
    Write,
    /// UPDATE: each row has a before and an after image.
    Update,
    /// DELETE: each row has a before image.
    Delete,
}

/// Which rows event it is: the servers have a number for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsFormat {
    /// What happened to the rows.
    pub kind: RowsKind,
    /// Version 2 (since MySQL 5.6.6), which has room for extra data.
    pub has_extra: bool,
    /// The images are compressed (MariaDB, `log_bin_compress`).
    pub is_compressed: bool,
    /// After images may hold changes of JSON documents instead of the documents (`binlog_row_value_options=PARTIAL_JSON`).
    pub has_changes: bool,
}

/// Kinds of events. Closed: a number that is not known is an error unless the server marks it ignorable.
///
/// Numbers: MySQL source, `libs/mysql/binlog/event/binlog_event.h` (`Log_event_type`); from 160 on MariaDB source,
/// `sql/log_event.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the servers' own lists")]
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
    Rows(RowsFormat),
    Incident,
    Heartbeat,
    RowsQuery,
    Gtid,
    AnonymousGtid,
    TaggedGtid,
    PreviousGtids,
    TransactionContext,
    ViewChange,
    XaPrepare,
    TransactionPayload,
    AnnotateRows,
    BinlogCheckpoint,
    MariadbGtid,
    GtidList,
    StartEncryption,
    CompressedQuery,
    PartialRows,
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
            27 | 41 => Self::Heartbeat,
            29 => Self::RowsQuery,
            33 => Self::Gtid,
            34 => Self::AnonymousGtid,
            35 => Self::PreviousGtids,
            36 => Self::TransactionContext,
            37 => Self::ViewChange,
            38 => Self::XaPrepare,
            40 => Self::TransactionPayload,
            42 => Self::TaggedGtid,
            160 => Self::AnnotateRows,
            161 => Self::BinlogCheckpoint,
            162 => Self::MariadbGtid,
            163 => Self::GtidList,
            164 => Self::StartEncryption,
            165 => Self::CompressedQuery,
            172 => Self::PartialRows,
            other => match (RowsFormat::from_number(other), ignorable) {
                (Some(format), _) => Self::Rows(format),
                (None, true) => Self::Ignorable(other),
                (None, false) => Self::Unknown(other),
            },
        }
    }
}

impl RowsFormat {
    fn from_number(number: u8) -> Option<Self> {
        let (first, has_extra, is_compressed) = match number {
            23..=25 => (23, false, false),
            30..=32 => (30, true, false),
            39 => (38, true, false),
            166..=168 => (166, false, true),
            169..=171 => (169, true, true),
            _ => return None,
        };
        Some(Self {
            kind: match number - first {
                0 => RowsKind::Write,
                1 => RowsKind::Update,
                _ => RowsKind::Delete,
            },
            has_extra,
            is_compressed,
            has_changes: number == 39,
        })
    }
}
