//! Topics and partitions of the cluster in memory: offsets, gaps that compaction leaves, and markers.

use std::collections::BTreeMap;

use tokio::time::Instant;

#[derive(Debug)]
pub struct Topic {
    pub id: String,
    pub partitions: Vec<Partition>,
    /// Clients that ask for it before then are told that there is no such topic.
    pub visible_at: Instant,
}

#[derive(Debug, Default)]
pub struct Partition {
    /// In the order of their offsets; compaction leaves gaps.
    pub entries: Vec<Entry>,
    /// The first offset that is left; compaction does not move it.
    pub begin: i64,
    /// The offset of the next entry.
    pub end: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub offset: i64,
    pub transaction: usize,
    /// Index among the transaction's records; `None` for the marker that ends it.
    pub record: Option<usize>,
}

impl Partition {
    pub fn push(&mut self, transaction: usize, record: Option<usize>) -> i64 {
        let offset = self.end;
        self.entries.push(Entry {
            offset,
            transaction,
            record,
        });
        self.end += 1;
        offset
    }

    /// The entries from one offset up to another.
    pub fn range(&self, from: i64, to: i64) -> &[Entry] {
        let first = self.entries.partition_point(|entry| entry.offset < from);
        let last = self.entries.partition_point(|entry| entry.offset < to);
        &self.entries[first.min(last)..last]
    }

    /// Keeps the newest of each key below an offset; `describe` gives a record's key, and whether its value
    /// is null, unless it was aborted.
    pub fn compact<'a>(
        &mut self,
        below: i64,
        drop_tombstones: bool,
        describe: impl Fn(&Entry) -> Option<(&'a [u8], bool)>,
    ) {
        let mut newest: BTreeMap<&[u8], i64> = BTreeMap::new();
        for entry in self.range(0, below) {
            if let Some((key, _)) = describe(entry) {
                newest.insert(key, entry.offset);
            }
        }
        self.entries.retain(|entry| {
            if entry.offset >= below || entry.record.is_none() {
                return true;
            }
            describe(entry).is_some_and(|(key, is_tombstone)| {
                newest.get(key) == Some(&entry.offset) && !(is_tombstone && drop_tombstones)
            })
        });
    }
}
