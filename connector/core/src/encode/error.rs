//! Why a row cannot be published.

use super::batch::ArenaFull;
use super::transaction::SplitError;
use crate::position::FileOffset;
use crate::selection::TableName;
use crate::value::ValueError;

/// A row cannot be published. Nothing of its transaction was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a row of {table}, in the event at {at}, cannot be published: {kind}")]
pub struct EncodeError {
    /// The table.
    pub table: TableName,
    /// Where the rows event begins.
    pub at: FileOffset,
    /// Why.
    pub kind: EncodeErrorKind,
}

/// Why a row cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeErrorKind {
    /// A value makes no sense.
    #[error("column {column}: {kind}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong.
        kind: ValueError,
    },
    /// Not all columns are in the image, and the plan does not take that.
    #[error("its image lacks columns, which its schema does not allow for")]
    PartialImage,
    /// The event and the table map disagree.
    #[error("the event has {event} columns, the table {table}")]
    ColumnCount {
        /// Columns by the rows event.
        event: usize,
        /// Columns by the table map.
        table: usize,
    },
    /// No column is in the images, and yet they have bytes.
    #[error("the event has bytes of rows, but no column")]
    BytesOfNothing,
    /// The bytes end inside of a row.
    #[error("the event ends inside of the row")]
    Truncated,
    /// A key column holds NULL, which its type excludes.
    #[error("key column {column} is null")]
    NullKey {
        /// The column.
        column: String,
    },
    /// A key column is not in the image.
    #[error("key column {column} is not in the row's image")]
    KeyNotInImage {
        /// The column.
        column: String,
    },
    /// A row has options that are not known.
    #[error("the row has options that no server is known to write")]
    RowOptions,
    /// A document is given by what was changed in one that is not in the before image.
    #[error(
        "column {column} is given by changes of a document that is not in the row's before image"
    )]
    ChangeOfUnknown {
        /// The column.
        column: String,
    },
    /// A NOT NULL column holds NULL.
    #[error("column {column} is null, but NOT NULL by its definition")]
    Null {
        /// The column.
        column: String,
    },
    /// A key column holds a zero or impossible date.
    #[error("key column {column} holds a zero or impossible date, which Avro cannot hold")]
    InvalidKey {
        /// The column.
        column: String,
    },
    /// Over the limit for one record.
    #[error("its record has {size} bytes, more than limits.record_bytes_max = {limit}")]
    TooLarge {
        /// Key and value in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// See [`SplitError`].
    #[error(transparent)]
    Split(#[from] SplitError),
    /// See [`ArenaFull`].
    #[error(transparent)]
    Arena(#[from] ArenaFull),
}
