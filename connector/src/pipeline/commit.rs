//! When does a batch close? At the end of a source transaction, as soon as the sink is free (I3, I4).

use binlog_bridge_core::decode::Ending;
use binlog_bridge_core::encode::Batch;
use binlog_bridge_core::state;
use tokio::time::Instant;

use super::{MIXED_ENGINES_REMEDY, Pipeline};
use crate::error::Error;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::sink::transactor::Mark;
use crate::source::Dump;

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    /// A source transaction is complete.
    pub(super) async fn end(&mut self, ending: Ending) -> Result<(), Error> {
        let has_rows = self.encoder.has_rows();
        match ending {
            Ending::Commit => {}
            Ending::Rollback if has_rows => {
                return Err(self.not_publishable("ROLLBACK", MIXED_ENGINES_REMEDY));
            }
            Ending::Prepared if has_rows => return self.refuse_xa(),
            Ending::Rollback | Ending::Prepared => {}
        }
        let transaction = self.decoder.transaction();
        let end = self.decoder.position().at();
        self.encoder.end(transaction, end, &mut self.batch)?;
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
            if self.batch.bytes() >= self.limits.batch_bytes_max {
                self.count_open()?;
                let full = self.next_batch();
                self.sink.append(full);
            }
            return Ok(());
        }
        if self.is_due() {
            self.commit();
        }
        Ok(())
    }

    fn count_open(&mut self) -> Result<(), Error> {
        self.open_bytes += u64::try_from(self.batch.bytes()).unwrap_or(u64::MAX);
        let limit = self.limits.transaction_bytes_max;
        if self.open_bytes <= limit {
            return Ok(());
        }
        let first = self.decoder.transaction().first.clone();
        let at = first.unwrap_or_else(|| self.decoder.at().clone());
        Err(Error::TransactionTooLarge { at, limit })
    }

    /// Commits the batch with the checkpoint after it.
    fn commit(&mut self) {
        self.checkpoint.position = self.decoder.position().clone();
        let transaction = self.decoder.transaction();
        if let Some(gtid) = &transaction.gtid {
            self.checkpoint.lineage.gtid = Some(gtid.to_string());
        }
        if transaction.first.is_some() {
            self.checkpoint.source_ts_ms = Some(transaction.commit_time_us.div_euclid(1000));
        }
        let value = serde_json::to_vec(&self.checkpoint).expect("a checkpoint is plain JSON");
        let mark = Mark {
            key: state::checkpoint_key(),
            value,
        };
        self.open_bytes = 0;
        self.last_commit = Instant::now();
        self.metrics.checkpoint(&self.checkpoint);
        let batch = self.next_batch();
        self.sink.commit(batch, mark);
    }

    /// The batch that was filled; an empty one takes its place.
    fn next_batch(&mut self) -> Batch {
        std::mem::replace(&mut self.batch, self.sink.take_spare())
    }

    fn is_due(&self) -> bool {
        let is_ready = self.sink.has_open_transaction() || !self.batch.is_empty();
        (is_ready || self.has_moved()) && Instant::now() >= self.due_at()
    }

    /// Only a batch that nobody else will wake the loop for.
    pub(super) fn is_waiting(&self) -> bool {
        let has_work = !self.batch.is_empty() || self.has_moved();
        !self.sink.is_busy() && !self.decoder.in_transaction() && has_work
    }

    /// True if the checkpoint lies behind. Every step forward moves file or offset.
    fn has_moved(&self) -> bool {
        self.checkpoint.position.at() != self.decoder.position().at()
    }

    pub(super) fn due_at(&self) -> Instant {
        if self.sink.has_open_transaction() {
            self.last_commit
        } else if !self.batch.is_empty() {
            self.last_commit + self.limits.commit_interval_min
        } else {
            self.last_commit + self.limits.checkpoint_interval
        }
    }

    /// Waits for the step at hand, and commits what is whole.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.sink.idle().await?;
        if !self.decoder.in_transaction() && (self.has_moved() || !self.batch.is_empty()) {
            self.commit();
        }
        self.sink.idle().await?.abandon().await;
        Ok(())
    }
}
