//! The unit that travels to Kafka: records of one topic-partition in one arena.
//!
//! An arena holds the bytes of all its records one after another, so that a whole array of messages can
//! be handed to the Kafka client without a copy per record. It must stay alive and untouched until the
//! client has delivered every record of it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the key and the value of one record lie in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Offset of the first byte: the value, directly followed by the key.
    pub start: u32,
    /// Length of the value in bytes; `None` is a null value (a tombstone).
    pub value_len: Option<u32>,
    /// Length of the key in bytes; `None` is a null key.
    pub key_len: Option<u32>,
}

/// Key and value of a record; either may be null.
pub type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The records of one topic-partition, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arena {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Arena {
    /// Appends one record.
    ///
    /// # Errors
    /// [`ArenaFull`] if the arena would outgrow 32-bit offsets; batches are closed long before.
    pub fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), ArenaFull> {
        let start = u32::try_from(self.bytes.len()).map_err(|_| ArenaFull)?;
        let value_len = value
            .map(|v| u32::try_from(v.len()))
            .transpose()
            .map_err(|_| ArenaFull)?;
        let key_len = key
            .map(|k| u32::try_from(k.len()))
            .transpose()
            .map_err(|_| ArenaFull)?;
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.records.push(Record {
            start,
            value_len,
            key_len,
        });
        Ok(())
    }

    /// The records, in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The bytes that the records point into.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Key and value of one record; `None` if the record is not of this arena.
    #[must_use]
    pub fn get(&self, record: Record) -> Option<KeyAndValue<'_>> {
        let start = usize::try_from(record.start).ok()?;
        let value_len = usize::try_from(record.value_len.unwrap_or(0)).ok()?;
        let key_len = usize::try_from(record.key_len.unwrap_or(0)).ok()?;
        let middle = start.checked_add(value_len)?;
        let value = self.bytes.get(start..middle)?;
        let key = self.bytes.get(middle..middle.checked_add(key_len)?)?;
        Some((record.key_len.map(|_| key), record.value_len.map(|_| value)))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

/// An arena cannot hold more than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a batch would outgrow 4 GiB; lower limits.batch_bytes_max")]
pub struct ArenaFull;

/// Names one partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name in Kafka.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

/// What has been encoded since the last hand-over to the sink: an arena for each topic-partition.
///
/// Arenas are kept (emptied) between uses, so that a steady stream allocates nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    arenas: BTreeMap<TopicPartition, Arena>,
    bytes: usize,
    records: usize,
}

/// Bytes that a kept, empty arena may hold on to; larger ones are given back when a batch is cleared.
const ARENA_KEEP_BYTES_MAX: usize = 256 * 1024;
/// Arenas that an empty batch keeps; with more tables than that, all are given back.
const ARENAS_KEEP_MAX: usize = 64;

impl Batch {
    /// Appends one record to its topic-partition.
    ///
    /// # Errors
    /// [`ArenaFull`], see [`Arena::push`].
    pub fn push(
        &mut self,
        to: &TopicPartition,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), ArenaFull> {
        let arena = match self.arenas.get_mut(to) {
            Some(arena) => arena,
            None => self.arenas.entry(to.clone()).or_default(),
        };
        arena.push(key, value)?;
        self.bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        self.records += 1;
        Ok(())
    }

    /// The arenas that hold at least one record.
    pub fn arenas(&self) -> impl Iterator<Item = (&TopicPartition, &Arena)> {
        self.arenas
            .iter()
            .filter(|(_, arena)| !arena.records.is_empty())
    }

    /// Sum of all keys and values, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// True if there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Empties the batch for its next use, keeping a bounded amount of memory.
    pub fn clear(&mut self) {
        if self.arenas.len() > ARENAS_KEEP_MAX {
            self.arenas.clear();
        }
        for arena in self.arenas.values_mut() {
            arena.clear();
            arena.bytes.shrink_to(ARENA_KEEP_BYTES_MAX);
        }
        self.bytes = 0;
        self.records = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_pushed() {
        let mut arena = Arena::default();
        arena.push(Some(b"k"), Some(b"value")).unwrap();
        arena.push(None, Some(b"")).unwrap();
        arena.push(Some(b"gone"), None).unwrap();
        let all: Vec<_> = arena
            .records()
            .iter()
            .map(|r| arena.get(*r).unwrap())
            .collect();
        assert_eq!(
            all,
            [
                (Some(&b"k"[..]), Some(&b"value"[..])),
                (None, Some(&b""[..])),
                (Some(&b"gone"[..]), None)
            ]
        );
    }
}
