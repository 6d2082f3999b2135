//! The envelope: before and after image, where it comes from, and what happened.
//!
//! All that is the same for the rows of one event, or of one transaction, is encoded once.

use super::batch::Batch;
use super::error::{EncodeError, EncodeErrorKind};
use super::plan::{Image, ImageNotes, TablePlan};
use super::transaction::{
    Counts, Current, Mark, MarkError, SplitError, TransactionsTopic, write_count,
};
use crate::avro::binary::{
    BRANCH_0, BRANCH_1, RECORD_HEADER_LEN, begin_record, write_bytes, write_long,
    write_optional_long, write_optional_string, write_strings,
};
use crate::decode::{RowsEvent, RowsKind, Transaction};
use crate::input::Input;
use crate::position::FileOffset;
use crate::state::Split;

/// Version of the format of what is published (`source.version`); not of the program.
const FORMAT_VERSION: &str = "1";
/// Avro record branches of `["null", record]`, and operations.
const OP_CREATE: &str = "c";
const OP_UPDATE: &str = "u";
const OP_DELETE: &str = "d";
const OP_TRUNCATE: &str = "t";

/// Where an event with rows stands in the binlog.
#[derive(Debug, Clone, Copy)]
pub struct RowsSource<'a> {
    /// The server that first wrote it.
    pub server_id: u32,
    /// Where the event begins.
    pub at: &'a FileOffset,
    /// The source transaction that it is in.
    pub transaction: &'a Transaction,
}

/// Encodes rows into batches.
#[derive(Debug)]
pub struct Encoder {
    task: String,
    record_bytes_max: usize,
    has_tombstones: bool,
    transactions: TransactionsTopic,
    current: Current,
    /// What an earlier run has published of the first source transaction.
    before: Option<Split>,
    value: Vec<u8>,
    other: Vec<u8>,
    key: Vec<u8>,
    other_key: Vec<u8>,
    source: Vec<u8>,
    /// Where the rows lie that were encoded last, and how many there were: the events of a compressed transaction
    /// share one place.
    place: FileOffset,
    rows_there: i64,
    notes_before: ImageNotes,
    notes_after: ImageNotes,
}

/// Scratch memory that a large row has made is given back above this many bytes.
const SCRATCH_KEEP_BYTES_MAX: usize = 1024 * 1024;

impl Encoder {
    /// An encoder for a task.
    #[must_use]
    pub fn new(task: &str, record_bytes_max: usize, transactions: TransactionsTopic) -> Self {
        Self {
            task: task.to_owned(),
            record_bytes_max,
            has_tombstones: false,
            transactions,
            current: Current::default(),
            before: None,
            value: Vec::new(),
            other: Vec::new(),
            key: Vec::new(),
            other_key: Vec::new(),
            source: Vec::new(),
            place: FileOffset::default(),
            rows_there: 0,
            notes_before: ImageNotes::default(),
            notes_after: ImageNotes::default(),
        }
    }

    /// Leaves out what is published of the first source transaction that will be read.
    #[must_use]
    pub fn resume(mut self, split: Option<Split>) -> Self {
        self.before = split;
        self
    }

    /// Behind each delete of a table with a key, a record of that key without a value is made: compaction removes by it
    /// whatever the topic has of the key.
    #[must_use]
    pub fn with_tombstones(mut self, has_tombstones: bool) -> Self {
        self.has_tombstones = has_tombstones;
        self
    }

    /// True if rows of the source transaction at hand were encoded.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.current.events > 0
    }

    /// True if records were made of the source transaction at hand since its last part ended.
    #[must_use]
    pub fn has_new_rows(&self) -> bool {
        self.current.has_new
    }

    /// Encodes all rows of an event, and returns how many records that made, tombstones too: those that are published
    /// already are only counted.
    ///
    /// # Errors
    /// [`EncodeError`]; the batch then holds a part of the event and is to be thrown away.
    pub fn rows(
        &mut self,
        plan: &TablePlan,
        event: &RowsEvent<'_>,
        source: &RowsSource<'_>,
        batch: &mut Batch,
    ) -> Result<u64, EncodeError> {
        let failed = |kind| EncodeError {
            table: plan.name.clone(),
            at: source.at.clone(),
            kind,
        };
        plan.check(event).map_err(failed)?;
        self.prepare_source(plan, source)
            .map_err(|error| failed(error.into()))?;
        let mut counts = self.current.counts(&plan.name);
        let records = batch.records();
        let image = |present| Image {
            event: event.images,
            present,
            has_changes: event.has_changes,
        };
        let (before, after) = (image(event.before()), image(event.after()));
        let mut input = Input::new(event.images);
        let mut row = match self.place == *source.at {
            true => self.rows_there,
            false => 0,
        };
        let mut is_one_without_bytes = plan.has_empty_rows(event);
        while !input.is_empty() || std::mem::take(&mut is_one_without_bytes) {
            let mut at = Row {
                plan,
                source,
                number: row,
                before,
                after,
                is_new: counts.rows >= counts.published,
                counts: &mut counts,
            };
            match event.kind {
                RowsKind::Write => self.write(&mut at, &mut input, batch),
                RowsKind::Delete => self.delete(&mut at, &mut input, batch),
                RowsKind::Update => self.update(&mut at, &mut input, batch),
            }
            .map_err(failed)?;
            counts.rows += 1;
            row += 1;
        }
        self.current.count(&plan.name, counts);
        self.place.clone_from(source.at);
        self.rows_there = row;
        self.shrink();
        let made = batch.records() - records;
        self.current.has_new |= made > 0;
        Ok(u64::try_from(made).unwrap_or(u64::MAX))
    }

    /// Encodes a TRUNCATE: one record without key or rows on every partition in use.
    ///
    /// # Errors
    /// [`EncodeError`] if a record or the batch would be too large.
    pub fn truncate(
        &mut self,
        plan: &TablePlan,
        source: &RowsSource<'_>,
        batch: &mut Batch,
    ) -> Result<(), EncodeError> {
        let failed = |kind| EncodeError {
            table: plan.name.clone(),
            at: source.at.clone(),
            kind,
        };
        self.prepare_source(plan, source)
            .map_err(|error| failed(error.into()))?;
        let mut counts = self.current.counts(&plan.name);
        begin_value(&mut self.value, plan);
        self.value.extend_from_slice(&[BRANCH_0, BRANCH_0]);
        let mut row = Row {
            plan,
            source,
            number: 0,
            before: Image::default(),
            after: Image::default(),
            is_new: true,
            counts: &mut counts,
        };
        self.notes_before = ImageNotes::default();
        self.notes_after = ImageNotes::default();
        self.tail(
            &mut row,
            OP_TRUNCATE,
            Images {
                before: false,
                after: false,
            },
            false,
        );
        for target in plan.targets() {
            batch
                .push(target, None, Some(&self.value))
                .map_err(|full| failed(EncodeErrorKind::Arena(full)))?;
        }
        self.current.count(&plan.name, counts);
        Ok(())
    }

    /// The source transaction is over: makes its END record, if it had rows.
    ///
    /// # Errors
    /// [`MarkError`]
    pub fn end(
        &mut self,
        transaction: &Transaction,
        end: &FileOffset,
        batch: &mut Batch,
    ) -> Result<(), MarkError> {
        self.current.open(transaction, &mut self.before)?;
        self.current
            .end(&self.transactions, Mark { transaction, end }, batch)
    }

    /// The Kafka transaction ends in the middle of the source transaction: makes the mark that says so.
    ///
    /// # Errors
    /// [`MarkError`]
    pub fn end_part(
        &mut self,
        transaction: &Transaction,
        end: &FileOffset,
        batch: &mut Batch,
    ) -> Result<Split, MarkError> {
        self.current.open(transaction, &mut self.before)?;
        let at = Mark { transaction, end };
        Ok(self.current.end_part(&self.transactions, at, batch)?)
    }

    /// A long transaction must not hold on to what one large row needed.
    fn shrink(&mut self) {
        for scratch in [
            &mut self.value,
            &mut self.other,
            &mut self.key,
            &mut self.other_key,
        ] {
            if scratch.capacity() > SCRATCH_KEEP_BYTES_MAX {
                *scratch = Vec::new();
            }
        }
    }

    /// Encodes the fields of `source` up to `pos`, which are those of the event.
    fn prepare_source(
        &mut self,
        plan: &TablePlan,
        source: &RowsSource<'_>,
    ) -> Result<(), SplitError> {
        self.current.open(source.transaction, &mut self.before)?;
        let micros = source.transaction.commit_time_us;
        let out = &mut self.source;
        out.clear();
        write_bytes(out, FORMAT_VERSION.as_bytes());
        write_bytes(out, b"mysql");
        write_bytes(out, self.task.as_bytes());
        write_long(out, micros.div_euclid(1000));
        out.push(BRANCH_0);
        write_bytes(out, b"false");
        write_bytes(out, plan.name.database.as_bytes());
        write_optional_string(out, None);
        write_optional_long(out, Some(micros));
        write_optional_long(out, Some(micros.saturating_mul(1000)));
        write_optional_string(out, Some(&plan.name.table));
        write_long(out, i64::from(source.server_id));
        write_optional_string(out, self.current.gtid.as_deref());
        write_bytes(out, source.at.file.as_bytes());
        write_long(out, i64::try_from(source.at.offset).unwrap_or(i64::MAX));
        Ok(())
    }

    fn write(
        &mut self,
        row: &mut Row<'_>,
        input: &mut Input<'_>,
        batch: &mut Batch,
    ) -> Result<(), EncodeErrorKind> {
        begin_value(&mut self.value, row.plan);
        self.value.extend_from_slice(&[BRANCH_0, BRANCH_1]);
        row.plan.copy_image(
            input,
            row.after,
            None,
            &mut self.value,
            &mut self.notes_after,
        )?;
        begin_key(&mut self.key, row.plan);
        row.plan
            .copy_key(&self.value, &self.notes_after, &mut self.key);
        self.tail(
            row,
            OP_CREATE,
            Images {
                before: false,
                after: true,
            },
            false,
        );
        push(row, &self.key, &self.value, self.record_bytes_max, batch)
    }

    fn delete(
        &mut self,
        row: &mut Row<'_>,
        input: &mut Input<'_>,
        batch: &mut Batch,
    ) -> Result<(), EncodeErrorKind> {
        begin_value(&mut self.value, row.plan);
        self.value.push(BRANCH_1);
        row.plan.copy_image(
            input,
            row.before,
            None,
            &mut self.value,
            &mut self.notes_before,
        )?;
        self.value.push(BRANCH_0);
        begin_key(&mut self.key, row.plan);
        row.plan
            .copy_key(&self.value, &self.notes_before, &mut self.key);
        self.tail(
            row,
            OP_DELETE,
            Images {
                before: true,
                after: false,
            },
            false,
        );
        push(row, &self.key, &self.value, self.record_bytes_max, batch)?;
        self.tombstone(row, &self.key, batch)
    }

    fn update(
        &mut self,
        row: &mut Row<'_>,
        input: &mut Input<'_>,
        batch: &mut Batch,
    ) -> Result<(), EncodeErrorKind> {
        let plan = row.plan;
        begin_value(&mut self.value, plan);
        self.value.push(BRANCH_1);
        plan.copy_image(
            input,
            row.before,
            None,
            &mut self.value,
            &mut self.notes_before,
        )?;
        begin_key(&mut self.other_key, plan);
        plan.copy_key(&self.value, &self.notes_before, &mut self.other_key);
        let middle = self.value.len();
        self.value.push(BRANCH_1);
        let before = Some(&self.notes_before);
        plan.copy_image(
            input,
            row.after,
            before,
            &mut self.value,
            &mut self.notes_after,
        )?;
        begin_key(&mut self.key, plan);
        plan.copy_key(&self.value, &self.notes_after, &mut self.key);
        if self.key == self.other_key {
            self.tail(
                row,
                OP_UPDATE,
                Images {
                    before: true,
                    after: true,
                },
                false,
            );
            return push(row, &self.key, &self.value, self.record_bytes_max, batch);
        }
        self.move_key(row, middle, batch)
    }

    /// Another key is another entity: the old one is deleted, the new one created. Both images are in the value, parted
    /// at `middle`.
    fn move_key(
        &mut self,
        row: &mut Row<'_>,
        middle: usize,
        batch: &mut Batch,
    ) -> Result<(), EncodeErrorKind> {
        begin_value(&mut self.other, row.plan);
        self.other.push(BRANCH_0);
        self.other
            .extend_from_slice(self.value.get(middle..).unwrap_or_default());
        self.value.truncate(middle);
        self.value.push(BRANCH_0);
        self.tail(
            row,
            OP_DELETE,
            Images {
                before: true,
                after: false,
            },
            false,
        );
        push(
            row,
            &self.other_key,
            &self.value,
            self.record_bytes_max,
            batch,
        )?;
        self.tombstone(row, &self.other_key, batch)?;
        self.tail(
            row,
            OP_CREATE,
            Images {
                before: false,
                after: true,
            },
            true,
        );
        push(row, &self.key, &self.other, self.record_bytes_max, batch)
    }

    /// A delete is followed by a record without a value, if that is wanted. It is no event: nothing counts it.
    fn tombstone(
        &self,
        row: &Row<'_>,
        key: &[u8],
        batch: &mut Batch,
    ) -> Result<(), EncodeErrorKind> {
        if !(self.has_tombstones && row.is_new && row.plan.key_schema_id.is_some()) {
            return Ok(());
        }
        let bare = key.get(RECORD_HEADER_LEN..);
        let target = row.plan.target(bare).ok_or(EncodeErrorKind::Truncated)?;
        Ok(batch.push(target, Some(key), None)?)
    }

    /// Appends everything after the images.
    fn tail(&mut self, row: &mut Row<'_>, op: &str, images: Images, to_other: bool) {
        self.current.events += 1;
        row.counts.events += 1;
        let transaction = row.source.transaction;
        let out = if to_other {
            &mut self.other
        } else {
            &mut self.value
        };
        out.extend_from_slice(&self.source);
        write_long(out, row.number);
        write_optional_long(out, transaction.thread_id.map(i64::from));
        write_optional_string(out, None);
        let images = [
            (images.before, &self.notes_before),
            (images.after, &self.notes_after),
        ];
        for (is_there, notes) in images {
            match is_there {
                true => write_strings(out, row.plan.unset(notes)),
                false => out.push(0),
            }
        }
        for (is_there, notes) in images {
            match is_there {
                true => write_strings(out, row.plan.invalid(notes)),
                false => out.push(0),
            }
        }
        if self.transactions.ends {
            out.push(BRANCH_1);
            write_bytes(out, self.current.id.as_bytes());
            write_count(out, self.current.events);
            write_count(out, row.counts.events);
        } else {
            out.push(BRANCH_0);
        }
        write_bytes(out, op.as_bytes());
        let micros = transaction.commit_time_us;
        write_optional_long(out, Some(micros.div_euclid(1000)));
        write_optional_long(out, Some(micros));
        write_optional_long(out, Some(micros.saturating_mul(1000)));
    }
}

/// One row of an event.
struct Row<'a> {
    plan: &'a TablePlan,
    source: &'a RowsSource<'a>,
    /// Its number among the rows at that place of the binlog, from 0.
    number: i64,
    /// How its images are packed.
    before: Image<'a>,
    after: Image<'a>,
    /// False if it is published already.
    is_new: bool,
    /// What its table has in the transaction so far.
    counts: &'a mut Counts,
}

/// Which images of a record are there.
#[derive(Clone, Copy)]
struct Images {
    before: bool,
    after: bool,
}

fn begin_value(out: &mut Vec<u8>, plan: &TablePlan) {
    begin_record(out, plan.value_schema_id);
}

fn begin_key(out: &mut Vec<u8>, plan: &TablePlan) {
    begin_record(out, plan.key_schema_id.unwrap_or(0));
}

fn push(
    row: &Row<'_>,
    key: &[u8],
    value: &[u8],
    record_bytes_max: usize,
    batch: &mut Batch,
) -> Result<(), EncodeErrorKind> {
    if !row.is_new {
        return Ok(());
    }
    let key = row.plan.key_schema_id.is_some().then_some(key);
    let size = value.len() + key.map_or(0, <[u8]>::len);
    if size > record_bytes_max {
        return Err(EncodeErrorKind::TooLarge {
            size,
            limit: record_bytes_max,
        });
    }
    let bare = key.map(|key| key.get(RECORD_HEADER_LEN..).unwrap_or_default());
    let target = row.plan.target(bare).ok_or(EncodeErrorKind::Truncated)?;
    Ok(batch.push(target, key, Some(value))?)
}
