//! When does a batch close? At the end of a source transaction, as soon as the sink is free (I3, I4); in its middle
//! only where one Kafka transaction cannot hold it.

use binlog_bridge_core::decode::Ending;
use binlog_bridge_core::encode::Batch;
use binlog_bridge_core::state::{self, Split, TransactionIdentity};
use tokio::time::Instant;

use super::Pipeline;
use super::heartbeats::Heartbeats;
use crate::catalog::push_json;
use crate::error::Error;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::sink::transactor::Mark;
use crate::source::Dump;

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    /// A source transaction is complete.
    pub(super) async fn end(&mut self, ending: Ending) -> Result<(), Error> {
        let has_rows = self.encoder.has_rows();
        match (ending, &self.checkpoint.split) {
            (Ending::Rollback | Ending::Prepared, Some(split)) => {
                return Err(Error::PublishedAndRolledBack {
                    id: split.id.clone(),
                    first: split.identity.first.clone(),
                });
            }
            (Ending::Commit, _) | (_, None) => {}
        }
        match ending {
            Ending::Commit => {}
            Ending::Rollback => self.rollbacks.all(),
            Ending::Prepared if has_rows => return Err(self.prepared()),
            Ending::Prepared => {}
        }
        self.leave_out()?;
        if ending == Ending::Rollback && has_rows {
            return Err(self.not_publishable("ROLLBACK", "Report this with the position."));
        }
        if let Some(changes) = &mut self.schema_changes {
            match ending {
                Ending::Commit => changes.append(&mut self.batch)?,
                Ending::Rollback | Ending::Prepared => changes.forget(),
            }
        }
        let transaction = self.decoder.transaction();
        let end = self.decoder.position().at();
        self.encoder.end(transaction, end, &mut self.batch)?;
        self.checkpoint.split = None;
        self.resumed = None;
        self.rollbacks.end();
        self.metrics.transaction_read(transaction.commit_time_us);
        self.tables.end_transaction();
        if self.sink.has_open_transaction() && self.sink.is_busy() {
            // The Kafka transaction has to end here: at the next end the sink may be busy again, without limit.
            self.sink.done().await?;
        } else {
            self.sink.poll_done()?;
        }
        self.hand_over()
    }

    /// Gives the batch to the sink if it is free and the time has come.
    pub(super) fn hand_over(&mut self) -> Result<(), Error> {
        if self.sink.is_busy() {
            return Ok(());
        }
        if self.decoder.in_transaction() {
            return self.hand_over_part();
        }
        if self.is_due() {
            self.commit()?;
        }
        Ok(())
    }

    /// Waits until the sink has taken the batch, which is full.
    pub(super) async fn make_room(&mut self) -> Result<(), Error> {
        while self.batch.bytes() >= self.limits.batch_bytes_max {
            if self.sink.is_busy() {
                self.sink.done().await?;
            } else if !self.decoder.in_transaction() {
                // It is full: there is nothing to wait for.
                self.commit()?;
            }
            self.hand_over()?;
        }
        Ok(())
    }

    /// In the middle of a source transaction: what fills a batch is appended, what fills a Kafka transaction ends it.
    fn hand_over_part(&mut self) -> Result<(), Error> {
        let bytes = self.batch.bytes();
        let open_bytes = self
            .open_bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let is_late = self.sink.has_open_transaction() && Instant::now() >= self.due_at();
        if self.can_end() && (is_late || open_bytes >= self.limits.transaction_bytes_max) {
            return self.end_early();
        }
        if bytes >= self.limits.batch_bytes_max {
            if !self.sink.has_open_transaction() {
                self.opened_at = Instant::now();
            }
            self.open_bytes = open_bytes;
            let full = self.next_batch();
            self.sink.append(full);
        }
        Ok(())
    }

    /// True if a checkpoint now would differ from the last one, so that its commit can be proven.
    fn can_end(&self) -> bool {
        self.encoder.has_new_rows() || self.has_moved()
    }

    /// Ends the Kafka transaction in the middle of a source transaction. If that has rows in it, a part of it is
    /// published: the position stays before it, and the next run reads it again from its first event, and leaves
    /// out what is published.
    fn end_early(&mut self) -> Result<(), Error> {
        if self.encoder.has_new_rows() {
            if self.decoder.transaction().is_xa {
                return Err(self.prepared());
            }
            self.leave_out()?;
            // What is left out is known to this process only.
            if self.rollbacks.has_any() {
                let remedy = "Raise limits.transaction_bytes_max and limits.transaction_timeout_ms above what it takes.";
                return Err(self.not_publishable(
                    "a source transaction over the limits of a Kafka transaction that takes changes back",
                    remedy,
                ));
            }
            let transaction = self.decoder.transaction();
            let end = self.decoder.end();
            let split = self.encoder.end_part(transaction, &end, &mut self.batch)?;
            let split = split.with_tables_of(self.resumed.as_ref());
            let (id, part, rows) = (&split.id, split.parts, split.rows());
            tracing::info!(id, part, rows, "source transaction split");
            self.metrics.split();
            self.checkpoint.split = Some(split);
        }
        self.commit()
    }

    /// Commits the batch with the checkpoint after it.
    fn commit(&mut self) -> Result<(), Error> {
        self.checkpoint.position = self.decoder.position().clone();
        self.checkpoint.skip_rows = self.checkpoint.split.as_ref().map_or(0, Split::rows);
        let last = self.decoder.last_complete();
        if let Some(identity) = TransactionIdentity::of(last) {
            self.checkpoint.source_ts_ms = Some(last.commit_time_us.div_euclid(1000));
            self.checkpoint.lineage.last = Some(identity);
        }
        if let Some(heartbeats) = &mut self.heartbeats {
            heartbeats.beat(Instant::now(), &mut self.checkpoint, &mut self.batch)?;
        }
        let (recorded, base) = self.bases.recorded(&self.checkpoint);
        if let Some(base) = base {
            let target = self.sink.state_target();
            push_json(&mut self.batch, target, &state::gtid_base_key(), base)?;
        }
        let value = serde_json::to_vec(&recorded).expect("a checkpoint is plain JSON");
        let mark = Mark {
            key: state::checkpoint_key(),
            value,
        };
        self.open_bytes = 0;
        self.last_commit = Instant::now();
        self.metrics.checkpoint(&self.checkpoint);
        let batch = self.next_batch();
        self.sink.commit(batch, mark);
        Ok(())
    }

    /// The batch that was filled; an empty one takes its place.
    fn next_batch(&mut self) -> Batch {
        std::mem::replace(&mut self.batch, self.sink.take_spare())
    }

    fn is_due(&self) -> bool {
        let is_ready = self.sink.has_open_transaction() || !self.batch.is_empty();
        let has_something = is_ready || self.has_moved() || self.beats_at().is_some();
        has_something && Instant::now() >= self.due_at()
    }

    /// Only what nobody else will wake the loop for.
    pub(super) fn is_waiting(&self) -> bool {
        if self.sink.is_busy() {
            return false;
        }
        if self.decoder.in_transaction() {
            return self.sink.has_open_transaction() && self.can_end();
        }
        !self.batch.is_empty() || self.has_moved() || self.beats_at().is_some()
    }

    /// When a heartbeat is to be committed though nothing else is.
    fn beats_at(&self) -> Option<Instant> {
        self.heartbeats.as_ref().and_then(Heartbeats::due_at)
    }

    /// True if there is something that is not handed over yet.
    pub(super) fn has_news(&self) -> bool {
        self.has_moved() || !self.batch.is_empty() || self.decoder.in_transaction()
    }

    /// True if the checkpoint lies behind. Every step forward moves file or offset.
    fn has_moved(&self) -> bool {
        self.checkpoint.position.at() != self.decoder.position().at()
    }

    pub(super) fn due_at(&self) -> Instant {
        if self.sink.has_open_transaction() && self.decoder.in_transaction() {
            self.opened_at + self.limits.transaction_time_max
        } else if self.sink.has_open_transaction() {
            self.last_commit
        } else if !self.batch.is_empty() {
            self.last_commit + self.limits.commit_interval_min
        } else {
            let moved_at = self.last_commit + self.limits.checkpoint_interval;
            match self.beats_at() {
                Some(beats_at) if self.has_moved() => beats_at.min(moved_at),
                Some(beats_at) => beats_at,
                None => moved_at,
            }
        }
    }

    /// Waits for the step at hand, and commits what is whole.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.sink.idle().await?;
        if !self.decoder.in_transaction() && (self.has_moved() || !self.batch.is_empty()) {
            self.commit()?;
        }
        self.sink.idle().await?.abandon().await;
        Ok(())
    }
}
