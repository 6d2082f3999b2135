//! The source transaction at hand: its counts, the marks that say how far it is published, and how much of it was
//! published before.
//!
//! Counts begin anew when a transaction is read again from its first event, so that what follows a restart has the
//! same numbers as if there had been none.

use std::collections::BTreeMap;

use super::batch::{ArenaFull, Batch, TopicPartition};
use crate::avro::binary::{
    BRANCH_0, BRANCH_1, begin_record, write_bytes, write_length, write_long, write_optional_string,
};
use crate::decode::Transaction;
use crate::position::{FileOffset, Position};
use crate::selection::TableName;
use crate::state::{Split, SplitTable, TransactionIdentity};

/// The topic of transaction marks and the registry ids of its schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionsTopic {
    /// Its only partition.
    pub target: TopicPartition,
    /// Registry id of the key's schema.
    pub key_schema_id: u32,
    /// Registry id of the value's schema.
    pub value_schema_id: u32,
    /// Whether rows name their transaction, and END records are made. Marks of a split are always made.
    pub ends: bool,
}

/// The source transaction that is read does not go on where its published part ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Another transaction follows the position.
    #[error(
        "source transaction {expected} is published in part, but {found} comes next in the binlog"
    )]
    Other {
        /// The one that is published in part.
        expected: String,
        /// The one that was found.
        found: String,
    },
    /// The transaction has fewer rows than were published.
    #[error("source transaction {id} has {left} rows of {table} fewer than were published")]
    Shorter {
        /// The transaction.
        id: String,
        /// The table.
        table: TableName,
        /// Published rows that were not found.
        left: u64,
    },
}

/// What is known of the source transaction at hand.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) id: String,
    pub(super) gtid: Option<String>,
    /// Records of its rows so far.
    pub(super) events: u64,
    tables: BTreeMap<TableName, Counts>,
    /// Kafka transactions that hold parts of it.
    parts: u32,
    /// Records were made of it since it began, or since its last part ended.
    pub(super) has_new: bool,
    is_open: bool,
    /// Memory for the bytes of a mark.
    key: Vec<u8>,
    value: Vec<u8>,
}

/// What was read of one table.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Rows so far.
    pub(super) rows: u64,
    /// Records of them: an update that changes the key makes two.
    pub(super) events: u64,
    /// The first so many rows are published already.
    pub(super) published: u64,
}

impl Current {
    /// Begins with the first rows or the end of a transaction, whichever comes first; `before` is what an earlier
    /// run has published of it.
    pub(super) fn open(
        &mut self,
        transaction: &Transaction,
        before: &mut Option<Split>,
    ) -> Result<(), SplitError> {
        if self.is_open {
            return Ok(());
        }
        self.is_open = true;
        self.gtid = transaction.gtid.as_ref().map(ToString::to_string);
        self.id = match (&self.gtid, &transaction.first) {
            (Some(gtid), _) => gtid.clone(),
            (None, Some(first)) => format!("file={},pos={}", first.file, first.offset),
            (None, None) => String::new(),
        };
        let Some(split) = before.take() else {
            return Ok(());
        };
        if split.id != self.id {
            let (expected, found) = (split.id, self.id.clone());
            return Err(SplitError::Other { expected, found });
        }
        self.parts = split.parts;
        let counts = |table: SplitTable| {
            (
                table.name,
                Counts {
                    published: table.rows,
                    ..Counts::default()
                },
            )
        };
        self.tables = split.tables.into_iter().map(counts).collect();
        Ok(())
    }

    pub(super) fn counts(&self, table: &TableName) -> Counts {
        self.tables.get(table).copied().unwrap_or_default()
    }

    pub(super) fn count(&mut self, table: &TableName, counts: Counts) {
        match self.tables.get_mut(table) {
            Some(known) => *known = counts,
            None => {
                self.tables.insert(table.clone(), counts);
            }
        }
    }

    /// Everything that was published of the transaction has been read again.
    fn check_whole(&self) -> Result<(), SplitError> {
        match self
            .tables
            .iter()
            .find(|(_, counts)| counts.rows < counts.published)
        {
            None => Ok(()),
            Some((table, counts)) => Err(SplitError::Shorter {
                id: self.id.clone(),
                table: table.clone(),
                left: counts.published - counts.rows,
            }),
        }
    }

    /// What is published of the transaction once the records so far are.
    fn split(&self, transaction: &Transaction) -> Split {
        let rows = |(name, counts): (&TableName, &Counts)| SplitTable {
            name: name.clone(),
            rows: counts.rows.max(counts.published),
        };
        Split {
            id: self.id.clone(),
            identity: TransactionIdentity::of(transaction).unwrap_or_default(),
            parts: self.parts,
            tables: self
                .tables
                .iter()
                .map(rows)
                .filter(|table| table.rows > 0)
                .collect(),
        }
    }

    /// Ends the transaction; its END record, if it had rows.
    pub(super) fn end(
        &mut self,
        topic: &TransactionsTopic,
        at: Mark<'_>,
        batch: &mut Batch,
    ) -> Result<(), MarkError> {
        self.check_whole()?;
        let is_split = self.parts > 0;
        if is_split {
            self.parts = self.parts.saturating_add(1);
        }
        if is_split || topic.ends && self.events > 0 {
            self.push("END", topic, at, batch)?;
        }
        *self = Self {
            key: std::mem::take(&mut self.key),
            value: std::mem::take(&mut self.value),
            ..Self::default()
        };
        Ok(())
    }

    /// Ends a part of the transaction, and makes the mark that says so.
    pub(super) fn end_part(
        &mut self,
        topic: &TransactionsTopic,
        at: Mark<'_>,
        batch: &mut Batch,
    ) -> Result<Split, ArenaFull> {
        self.parts = self.parts.saturating_add(1);
        self.has_new = false;
        self.push("SPLIT", topic, at, batch)?;
        Ok(self.split(at.transaction))
    }

    fn push(
        &mut self,
        status: &str,
        topic: &TransactionsTopic,
        at: Mark<'_>,
        batch: &mut Batch,
    ) -> Result<(), ArenaFull> {
        begin_record(&mut self.key, topic.key_schema_id);
        write_bytes(&mut self.key, self.id.as_bytes());
        let mut value = std::mem::take(&mut self.value);
        begin_record(&mut value, topic.value_schema_id);
        self.write(&mut value, status, at);
        self.value = value;
        batch.push(&topic.target, Some(&self.key), Some(&self.value))
    }

    /// The fields of `schemas/transactions-value.avsc`.
    fn write(&self, out: &mut Vec<u8>, status: &str, at: Mark<'_>) {
        let counted = || self.tables.iter().filter(|(_, counts)| counts.events > 0);
        write_bytes(out, status.as_bytes());
        write_bytes(out, self.id.as_bytes());
        out.push(BRANCH_1);
        write_count(out, self.events);
        out.push(BRANCH_1);
        let count = counted().count();
        if count > 0 {
            write_length(out, count);
        }
        for (table, counts) in counted() {
            write_length(out, table.database.len() + 1 + table.table.len());
            out.extend_from_slice(table.database.as_bytes());
            out.push(b'.');
            out.extend_from_slice(table.table.as_bytes());
            write_count(out, counts.events);
        }
        out.push(0);
        write_long(out, at.transaction.commit_time_us.div_euclid(1000));
        write_bytes(out, at.end.file.as_bytes());
        write_long(out, i64::try_from(at.end.offset).unwrap_or(i64::MAX));
        write_optional_string(out, self.gtid.as_deref());
        if self.parts > 0 {
            out.push(BRANCH_1);
            write_long(out, i64::from(self.parts));
        } else {
            out.push(BRANCH_0);
        }
        out.push(BRANCH_0);
    }
}

/// A place at which the stream ends, and another at which it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The named state of the task that makes it necessary.
    pub reason: String,
    /// Everything before it is published.
    pub from: Position,
    /// Commit time of the last source transaction before it, in milliseconds since 1970.
    pub from_ts_ms: Option<i64>,
    /// Everything behind it will be published.
    pub to: Position,
    /// True if that may hold transactions that were published before.
    pub may_repeat: bool,
}

/// Appends the mark that tells consumers of a gap.
///
/// # Errors
/// [`ArenaFull`]
pub fn push_gap(topic: &TransactionsTopic, gap: &Gap, batch: &mut Batch) -> Result<(), ArenaFull> {
    let (from, to) = (gap.from.at(), gap.to.at());
    let set = |position: &Position| position.gtid_set().map(ToString::to_string);
    let offset = |at: &FileOffset| i64::try_from(at.offset).unwrap_or(i64::MAX);
    let id = format!("file={},pos={}", to.file, to.offset);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    begin_record(&mut key, topic.key_schema_id);
    write_bytes(&mut key, id.as_bytes());
    begin_record(&mut value, topic.value_schema_id);
    write_bytes(&mut value, b"GAP");
    write_bytes(&mut value, id.as_bytes());
    value.extend([BRANCH_0, BRANCH_0]); // neither counts nor tables
    write_long(&mut value, gap.from_ts_ms.unwrap_or(0));
    write_bytes(&mut value, from.file.as_bytes());
    write_long(&mut value, offset(from));
    value.extend([BRANCH_0, BRANCH_0]); // neither gtid nor part
    value.push(BRANCH_1);
    write_bytes(&mut value, gap.reason.as_bytes());
    write_optional_string(&mut value, set(&gap.from).as_deref());
    write_bytes(&mut value, to.file.as_bytes());
    write_long(&mut value, offset(to));
    write_optional_string(&mut value, set(&gap.to).as_deref());
    value.push(u8::from(gap.may_repeat));
    batch.push(&topic.target, Some(&key), Some(&value))
}

/// Where a mark stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) transaction: &'a Transaction,
    /// The offset after the last event before it.
    pub(super) end: &'a FileOffset,
}

/// A source transaction cannot be ended.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// It is not the one that is published in part.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The batch is too large.
    #[error(transparent)]
    Batch(#[from] ArenaFull),
}

/// Appends a count.
pub(super) fn write_count(out: &mut Vec<u8>, count: u64) {
    write_long(out, i64::try_from(count).unwrap_or(i64::MAX));
}
