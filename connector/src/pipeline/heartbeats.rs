//! Heartbeats: readers of topics to which nothing comes learn how far the stream is.

use std::time::Duration;

use binlog_bridge_core::encode::{ArenaFull, Batch, HeartbeatsTopic};
use binlog_bridge_core::state::Checkpoint;
use tokio::time::Instant;

/// When one is due, and where it goes.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    task: String,
    topic: HeartbeatsTopic,
    interval: Duration,
    due_at: Instant,
    /// The source was heard since the last one: of a source that has fallen silent nothing is said.
    has_heard: bool,
}

impl Heartbeats {
    pub(crate) fn new(task: &str, topic: HeartbeatsTopic, interval: Duration) -> Self {
        Self {
            task: task.to_owned(),
            topic,
            interval,
            due_at: Instant::now(),
            has_heard: false,
        }
    }

    /// Something has come from the source, if only a heartbeat of its own.
    pub(super) fn heard(&mut self) {
        self.has_heard = true;
    }

    /// When one is to be committed though nothing else is; `None` if there is nothing to be said.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.has_heard.then_some(self.due_at)
    }

    /// Adds one to the batch of a checkpoint if it is time. It is numbered in the checkpoint, so that this one differs from
    /// the last though nothing has moved: else its commit could not be proven.
    pub(super) fn beat(
        &mut self,
        now: Instant,
        checkpoint: &mut Checkpoint,
        batch: &mut Batch,
    ) -> Result<(), ArenaFull> {
        if !self.has_heard || now < self.due_at {
            return Ok(());
        }
        checkpoint.heartbeats += 1;
        self.topic.push(&self.task, checkpoint, batch)?;
        self.has_heard = false;
        self.due_at = now + self.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use binlog_bridge_core::encode::TopicPartition;
    use serde_json::json;

    use super::*;

    fn topic() -> HeartbeatsTopic {
        HeartbeatsTopic {
            target: TopicPartition {
                topic: "shop.heartbeats".into(),
                partition: 0,
            },
            key_schema_id: 1,
            value_schema_id: 2,
        }
    }

    #[test]
    fn one_is_due_after_each_interval_in_which_the_source_was_heard() {
        let mut checkpoint: Checkpoint = serde_json::from_value(json!({
            "format": 1, "position": {"kind": "file", "file": "binlog.000001", "offset": 4}, "skip_rows": 0,
            "split": null, "lineage": {"server_uuid": "", "first_file": "", "last": null}, "selection": "",
            "source_ts_ms": null,
        }))
        .unwrap();
        let mut batch = Batch::default();
        let interval = Duration::from_secs(5);
        let mut heartbeats = Heartbeats::new("shop", topic(), interval);
        let begin = heartbeats.due_at;
        let mut beat = |heartbeats: &mut Heartbeats, seconds: u64| {
            let now = begin + Duration::from_secs(seconds);
            heartbeats.beat(now, &mut checkpoint, &mut batch).unwrap();
            (checkpoint.heartbeats, batch.records())
        };
        assert_eq!(heartbeats.due_at(), None);
        assert_eq!(beat(&mut heartbeats, 0), (0, 0));
        heartbeats.heard();
        assert_eq!(heartbeats.due_at(), Some(begin));
        assert_eq!(beat(&mut heartbeats, 0), (1, 1));
        // Nothing was heard since.
        assert_eq!(heartbeats.due_at(), None);
        assert_eq!(beat(&mut heartbeats, 10), (1, 1));
        heartbeats.heard();
        assert_eq!(beat(&mut heartbeats, 10), (2, 2));
        heartbeats.heard();
        assert_eq!(heartbeats.due_at(), Some(begin + 3 * interval));
        assert_eq!(beat(&mut heartbeats, 14), (2, 2));
        assert_eq!(beat(&mut heartbeats, 15), (3, 3));
    }
}
