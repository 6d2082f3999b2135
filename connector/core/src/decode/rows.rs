//! Rows events: which columns, and the packed images.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/rows_event.h`; version 1 is that of MySQL before 5.6.6 and of MariaDB.

use super::error::DecodeErrorKind;
use crate::event::{RowsFormat, RowsKind};
use crate::input::Input;

/// A rows event, its images still packed.
#[derive(Debug, Clone, Copy)]
pub struct RowsEvent<'a> {
    /// What happened to the rows.
    pub kind: RowsKind,
    /// Refers to the table map before it.
    pub table_id: u64,
    /// Number of columns of the table, by this event.
    pub columns: usize,
    /// One bit per column, lowest bit first: set if the column is in the (first) image.
    pub present: &'a [u8],
    /// The same for the after image of an update.
    pub present_after: Option<&'a [u8]>,
    /// True if after images may hold changes of JSON documents instead of the documents (MySQL source,
    /// `Rows_log_event`, PARTIAL_UPDATE_ROWS_EVENT).
    pub has_changes: bool,
    /// The images of all rows, one after another.
    pub images: &'a [u8],
}

/// A table of MySQL has at most 4,096 columns.
pub(super) const COLUMNS_MAX: u64 = 4096;

impl<'a> RowsEvent<'a> {
    pub(super) fn read(mut body: Input<'a>, format: RowsFormat) -> Result<Self, DecodeErrorKind> {
        let table_id = body.u48()?;
        let _flags = body.u16()?;
        if format.has_extra {
            // The length of the extra data counts its own two bytes.
            let extra = usize::from(body.u16()?)
                .checked_sub(2)
                .ok_or(DecodeErrorKind::Truncated)?;
            body.take(extra)?;
        }
        let columns = column_count(&mut body)?;
        let bitmap = columns.div_ceil(8);
        let present = body.take(bitmap)?;
        let present_after = match format.kind {
            RowsKind::Update => Some(body.take(bitmap)?),
            RowsKind::Write | RowsKind::Delete => None,
        };
        let images = body.rest();
        Ok(Self {
            kind: format.kind,
            table_id,
            columns,
            present,
            present_after,
            has_changes: format.has_changes,
            images,
        })
    }

    /// Which columns are in the before images; `None` stands for all of them.
    pub(crate) fn before(&self) -> Option<&'a [u8]> {
        (!all_set(self.present, self.columns)).then_some(self.present)
    }

    /// Which columns are in the after images; `None` stands for all of them.
    pub(crate) fn after(&self) -> Option<&'a [u8]> {
        let present = self.present_after.unwrap_or(self.present);
        (!all_set(present, self.columns)).then_some(present)
    }

    /// True if every column is in every image (`binlog_row_image=FULL`).
    #[must_use]
    pub fn is_full(&self) -> bool {
        all_set(self.present, self.columns)
            && self
                .present_after
                .is_none_or(|bits| all_set(bits, self.columns))
    }
}

pub(super) fn column_count(body: &mut Input<'_>) -> Result<usize, DecodeErrorKind> {
    let count = body.length_encoded()?;
    if count > COLUMNS_MAX {
        return Err(DecodeErrorKind::TableMap {
            what: "more than 4096 columns",
        });
    }
    usize::try_from(count).map_err(|_| DecodeErrorKind::Truncated)
}

fn all_set(bits: &[u8], count: usize) -> bool {
    bits.iter().enumerate().all(|(index, byte)| {
        let left = count.saturating_sub(index * 8);
        let mask = if left >= 8 { 0xff } else { (1 << left) - 1 };
        byte & mask == mask
    })
}
