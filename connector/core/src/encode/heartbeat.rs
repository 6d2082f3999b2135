//! Records of `<task>.heartbeats`: how far the stream is, for readers of topics to which nothing comes.

use super::batch::{ArenaFull, Batch, TopicPartition};
use super::transaction::write_count;
use crate::avro::binary::{begin_record, write_bytes, write_optional_long, write_optional_string};
use crate::state::Checkpoint;

/// The topic of heartbeats and the registry ids of its schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatsTopic {
    /// Its only partition.
    pub target: TopicPartition,
    /// Registry id of the key's schema.
    pub key_schema_id: u32,
    /// Registry id of the value's schema.
    pub value_schema_id: u32,
}

impl HeartbeatsTopic {
    /// Appends the heartbeat that goes with a checkpoint: all that lies before it is published with it, or was before. The
    /// fields are those of `schemas/heartbeats-value.avsc`. It holds no clock: the broker notes when it was appended.
    ///
    /// # Errors
    /// [`ArenaFull`]
    pub fn push(
        &self,
        task: &str,
        checkpoint: &Checkpoint,
        batch: &mut Batch,
    ) -> Result<(), ArenaFull> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        begin_record(&mut key, self.key_schema_id);
        write_bytes(&mut key, task.as_bytes());
        begin_record(&mut value, self.value_schema_id);
        let at = checkpoint.position.at();
        write_bytes(&mut value, at.file.as_bytes());
        write_count(&mut value, at.offset);
        let gtid_set = checkpoint.position.gtid_set().map(ToString::to_string);
        write_optional_string(&mut value, gtid_set.as_deref());
        write_optional_long(&mut value, checkpoint.source_ts_ms);
        write_count(&mut value, checkpoint.heartbeats);
        batch.push(&self.target, Some(&key), Some(&value))
    }
}
