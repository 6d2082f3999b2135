//! Sets of GTIDs with very many intervals: a checkpoint holds only what was added to a set in a record of its own, the base.
//!
//! Else each commit would write all of it again. A base is written in the same Kafka transaction as the first checkpoint that
//! refers to it, and before that one.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Checkpoint, STATE_FORMAT};
use crate::position::{GtidSet, Position};

/// A set that checkpoints refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GtidBase {
    /// [`STATE_FORMAT`] of the writer.
    pub format: u32,
    /// What checkpoints call it.
    pub id: String,
    /// The set.
    pub gtid_set: GtidSet,
}

/// Sets of fewer intervals stand in the checkpoint whole.
const WHOLE_INTERVALS_MAX: usize = 200;
/// Once so many intervals were added there is another base.
const ADDED_INTERVALS_MAX: usize = 100;
/// Bytes of a hash that name a base.
const ID_BYTES: usize = 8;

/// The base of the checkpoints of a run.
#[derive(Debug, Default)]
pub struct Bases {
    base: Option<GtidBase>,
}

impl Bases {
    /// The checkpoint as it is recorded, and the base that is to be recorded before it, if it is another one than before.
    pub fn recorded(&mut self, checkpoint: &Checkpoint) -> (Checkpoint, Option<&GtidBase>) {
        let mut recorded = checkpoint.clone();
        let Position::Gtid { gtid_set, .. } = &mut recorded.position else {
            return (recorded, None);
        };
        if gtid_set.intervals() <= WHOLE_INTERVALS_MAX {
            return (recorded, None);
        }
        let known = self.base.as_ref().and_then(|base| {
            let added = gtid_set.subtract(&base.gtid_set);
            let is_of_it =
                added.intervals() <= ADDED_INTERVALS_MAX && base.gtid_set.is_subset_of(gtid_set);
            is_of_it.then(|| (base.id.clone(), added))
        });
        let is_new = known.is_none();
        let (id, added) = match known {
            Some(known) => known,
            None => {
                let base = GtidBase::new(std::mem::take(gtid_set));
                (self.base.insert(base).id.clone(), GtidSet::default())
            }
        };
        *gtid_set = added;
        recorded.gtid_base = Some(id);
        (recorded, self.base.as_ref().filter(|_| is_new))
    }
}

impl GtidBase {
    fn new(gtid_set: GtidSet) -> Self {
        let hash = Sha256::digest(gtid_set.to_string().as_bytes());
        let id = hash.iter().take(ID_BYTES);
        Self {
            format: STATE_FORMAT,
            id: id.map(|byte| format!("{byte:02x}")).collect(),
            gtid_set,
        }
    }

    /// Puts a checkpoint that refers to it together. One that refers to another is left as it is.
    pub(super) fn complete(&self, checkpoint: &mut Checkpoint) {
        if checkpoint.gtid_base.as_ref() == Some(&self.id)
            && let Position::Gtid { gtid_set, .. } = &mut checkpoint.position
        {
            *gtid_set = self.gtid_set.union(gtid_set);
            checkpoint.gtid_base = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{State, StateError, checkpoint_key, gtid_base_key};
    use super::*;
    use crate::position::FileOffset;
    use crate::state::Lineage;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn checkpoint(set: &str) -> Checkpoint {
        Checkpoint {
            format: STATE_FORMAT,
            position: Position::Gtid {
                gtid_set: set.parse().unwrap(),
                at: FileOffset::default(),
            },
            skip_rows: 0,
            split: None,
            lineage: Lineage {
                server_uuid: UUID.into(),
                first_file: "binlog.000001".into(),
                last: None,
                passes_over: false,
            },
            selection: String::new(),
            source_ts_ms: None,
            heartbeats: 0,
            gtid_base: None,
        }
    }

    /// Every other number up to twice as many as intervals, and some more.
    fn set(intervals: usize, more: &str) -> String {
        let numbers = (0..intervals).map(|number| (2 * number + 1).to_string());
        format!("{UUID}:{}{more}", numbers.collect::<Vec<_>>().join(":"))
    }

    /// The state topic after each of the checkpoints.
    fn record(checkpoints: &[Checkpoint]) -> Vec<(String, Vec<u8>)> {
        let mut bases = Bases::default();
        let mut records = Vec::new();
        for checkpoint in checkpoints {
            let (recorded, base) = bases.recorded(checkpoint);
            if let Some(base) = base {
                records.push((gtid_base_key(), serde_json::to_vec(base).unwrap()));
            }
            records.push((checkpoint_key(), serde_json::to_vec(&recorded).unwrap()));
        }
        records
    }

    fn read(records: &[(String, Vec<u8>)]) -> Result<State, StateError> {
        let mut state = State::default();
        for (key, value) in records {
            state.apply(key.as_bytes(), Some(value))?;
        }
        state.checked()
    }

    #[test]
    fn small_sets_stand_in_the_checkpoint() {
        let small = checkpoint(&set(WHOLE_INTERVALS_MAX, ""));
        let records = record(std::slice::from_ref(&small));
        assert_eq!(records.len(), 1);
        assert_eq!(read(&records).unwrap().checkpoint, Some(small));
    }

    #[test]
    fn of_large_sets_a_checkpoint_holds_what_was_added_and_reads_the_same() {
        let others = [
            set(1000, ""),
            // One more, one in a gap, and one of another server.
            set(1000, ":5000"),
            set(1000, ":2:5000"),
            set(1000, &format!(":2:5000-5003,{}:7", UUID.replace('3', "4"))),
            // So many that another base is better.
            set(1000 + 2 * ADDED_INTERVALS_MAX, ":2:5000-5003"),
            // All gaps were filled.
            format!("{UUID}:1-9000"),
        ];
        let checkpoints: Vec<_> = others.iter().map(|set| checkpoint(set)).collect();
        let mut bases = 0;
        for count in 1..=checkpoints.len() {
            let records = record(&checkpoints[..count]);
            let found = read(&records).unwrap().checkpoint.unwrap();
            assert_eq!(found, checkpoints[count - 1], "{count}");
            bases = records
                .iter()
                .filter(|(key, _)| *key == gtid_base_key())
                .count();
            let (_, last) = records.last().unwrap();
            assert!(last.len() < 500, "{count}: {}", last.len());
        }
        assert_eq!(bases, 2);
    }

    /// Records of before may be gone: compaction keeps the last of each key.
    #[test]
    fn what_was_compacted_reads_the_same_and_a_missing_base_is_an_error() {
        let checkpoints = [
            checkpoint(&set(1000, "")),
            checkpoint(&set(1000 + 2 * ADDED_INTERVALS_MAX, "")),
            checkpoint(&set(1000 + 2 * ADDED_INTERVALS_MAX, ":9000")),
        ];
        let records = record(&checkpoints);
        assert_eq!(records.len(), 5);
        // The first base is gone, its checkpoint is not yet.
        assert_eq!(
            read(&records[1..]).unwrap().checkpoint.as_ref(),
            checkpoints.last()
        );
        let last = [records[2].clone(), records[4].clone()];
        assert_eq!(read(&last).unwrap().checkpoint.as_ref(), checkpoints.last());
        for wrong in [&records[3..], &[records[0].clone(), records[4].clone()]] {
            assert!(matches!(read(wrong), Err(StateError::Base { .. })));
        }
    }
}
