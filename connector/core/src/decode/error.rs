//! What can be wrong with an event.

use crate::input::Truncated;
use crate::position::FileOffset;

/// An event could not be decoded. Nothing of it was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event at {at} cannot be decoded: {kind}")]
pub struct DecodeError {
    /// Where the event begins.
    pub at: FileOffset,
    /// What is wrong.
    pub kind: DecodeErrorKind,
}

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The header's size is not that of the event.
    #[error("its header says {said} bytes, it has {is}")]
    Length {
        /// Size by the header.
        said: u32,
        /// Size as received.
        is: usize,
    },
    /// The CRC32 is not that of the bytes.
    #[error("its CRC32 does not match its bytes")]
    Checksum,
    /// Neither NONE nor CRC32.
    #[error("checksum algorithm {number} is not known")]
    ChecksumAlgorithm {
        /// The algorithm's number.
        number: u8,
    },
    /// It ends too early.
    #[error("it ends before its last field does")]
    Truncated,
    /// Its number is not known and the server did not mark it as ignorable.
    #[error("event type {number} is not known")]
    UnknownEvent {
        /// The event's number.
        number: u8,
    },
    /// Not the binlog format of MySQL 5.0 and later.
    #[error("binlog version {version} is not 4")]
    BinlogVersion {
        /// The version it names.
        version: u16,
    },
    /// A file name is not text.
    #[error("its file name is not valid text")]
    FileName,
    /// The server lost events.
    #[error("it is an INCIDENT_EVENT: the server says that it lost events")]
    Incident,
    /// The events of a compressed transaction are not those that it should have.
    #[error("the events of the compressed transaction before it are not whole")]
    CompressedTransaction,
    /// Compressed rows, or a compressed statement, that cannot be inflated.
    #[error("what is compressed in it is damaged, or compressed in a way that is not known")]
    Compressed,
    /// A rows event that was cut up cannot be put together again.
    #[error("the rows event that it is a fragment of is not whole, or is none")]
    Fragments,
    /// A GTID with a tag that makes no sense.
    #[error("its GTID with a tag is damaged, or in a form that is not known")]
    TaggedGtid,
    /// Rows without BEGIN.
    #[error("it belongs into a transaction, but none has begun")]
    RowsOutsideTransaction,
    /// A transaction has no end.
    #[error("a {event} follows a transaction that has no end")]
    UnfinishedTransaction {
        /// The event that cannot be inside a transaction.
        event: &'static str,
    },
    /// The server crashed while it wrote a transaction, which never happened.
    #[error(
        "the server started anew, and the transaction that begins at {first} has no end: the server rolled it back"
    )]
    DeadTransaction {
        /// Where the transaction's first event begins.
        first: FileOffset,
        /// When it would have been committed, in microseconds since 1970.
        commit_time_us: i64,
    },
    /// Larger than what is kept in memory.
    #[error("it has {size} bytes, more than the {limit} that are kept in memory")]
    TooLarge {
        /// Size by the header, in bytes.
        size: u32,
        /// The limit in bytes.
        limit: usize,
    },
    /// Pieces of a large event in the wrong order.
    #[error("its pieces are out of order")]
    Pieces,
    /// A field of a table map makes no sense.
    #[error("its table map is damaged: {what}")]
    TableMap {
        /// Which field.
        what: &'static str,
    },
}

impl From<Truncated> for DecodeErrorKind {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// A source transaction that the server wrote the beginning of, and rolled back: another one may stand in the same
/// place on another server, or after the binlog was begun anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadTransaction {
    /// Where its first event begins.
    pub first: FileOffset,
    /// When it would have been committed, in microseconds since 1970.
    pub commit_time_us: i64,
}
