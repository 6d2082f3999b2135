//! Statements and rows that MariaDB compresses one by one (`log_bin_compress`), and what is in them.
//!
//! Format: MariaDB source, `sql/log_event.cc` (`binlog_buf_uncompress`): a byte with the algorithm and how many bytes the
//! size has, the size with the highest byte first, and what zlib has made.

use flate2::{Decompress, FlushDecompress, Status};

use super::Item;
use super::error::DecodeErrorKind;
use super::rows::RowsEvent;
use super::statement::Statement;
use crate::input::{Input, Truncated};

/// Rows that are compressed.
#[derive(Debug, Clone, Copy)]
pub struct CompressedRows<'a>(pub(super) RowsEvent<'a>);

impl CompressedRows<'_> {
    /// Refers to the table map before it.
    #[must_use]
    pub fn table_id(&self) -> u64 {
        self.0.table_id
    }

    /// The rows, whose images are put into a buffer.
    ///
    /// # Errors
    /// If they are damaged, or have more than `limit` bytes.
    pub fn inflate<'b>(
        &'b self,
        buffer: &'b mut Vec<u8>,
        limit: usize,
    ) -> Result<RowsEvent<'b>, DecodeErrorKind> {
        inflate(self.0.images, buffer, limit)?;
        Ok(RowsEvent {
            images: buffer,
            ..self.0
        })
    }
}

/// A statement that is compressed.
#[derive(Debug, Clone, Copy)]
pub struct CompressedStatement<'a>(pub(super) Statement<'a>);

impl CompressedStatement<'_> {
    /// The statement, whose text is put into a buffer.
    ///
    /// # Errors
    /// If it is damaged, or has more than `limit` bytes.
    pub fn inflate<'b>(
        &'b self,
        buffer: &'b mut Vec<u8>,
        limit: usize,
    ) -> Result<Statement<'b>, DecodeErrorKind> {
        inflate(self.0.text, buffer, limit)?;
        Ok(Statement {
            text: buffer,
            ..self.0
        })
    }
}

/// What a QUERY_COMPRESSED_EVENT means, given what it would mean as a QUERY_EVENT.
pub(super) fn statement(item: Item<'_>) -> Item<'_> {
    if let Item::Statement(statement) = item {
        return Item::CompressedStatement(CompressedStatement(statement));
    }
    item
}

fn inflate(packed: &[u8], buffer: &mut Vec<u8>, limit: usize) -> Result<(), DecodeErrorKind> {
    const ZLIB: u8 = 0x80;
    const SIZE_BYTES: u8 = 7;
    let mut packed = Input::new(packed);
    let first = packed.u8()?;
    if first & !SIZE_BYTES != ZLIB {
        return Err(DecodeErrorKind::Compressed);
    }
    let size = packed.big_endian(usize::from(first & SIZE_BYTES))?;
    let size = usize::try_from(size).map_err(|_| Truncated)?;
    if size > limit {
        return Err(DecodeErrorKind::TooLarge {
            size: u32::try_from(size).unwrap_or(u32::MAX),
            limit,
        });
    }
    buffer.clear();
    buffer.reserve_exact(size);
    let packed = packed.rest();
    let mut zlib = Decompress::new(true);
    let status = zlib.decompress_vec(packed, buffer, FlushDecompress::Finish);
    // All of it is used, and makes what was said.
    let is_whole = status.is_ok_and(|status| status == Status::StreamEnd)
        && buffer.len() == size
        && usize::try_from(zlib.total_in()) == Ok(packed.len());
    match is_whole {
        true => Ok(()),
        false => Err(DecodeErrorKind::Compressed),
    }
}
