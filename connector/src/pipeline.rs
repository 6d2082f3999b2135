//! The data path, from the source's events to committed Kafka transactions.
//!
//! ```text
//! dump ─blocks─▶ decode ─items─▶ tables ─plan─▶ encode ─batch─▶ transactor ─▶ Kafka
//! ```
//!
//! A batch closes at the end of a source transaction as soon as the sink is free, so that batches grow with
//! the load; while one is committed, the next is read and encoded. A Kafka transaction holds whole source
//! transactions (I4) and the checkpoint after them (I3); one that does not fit into a batch is appended in
//! parts, so that memory does not depend on its size (I8), and one over the limits of a Kafka transaction is
//! split. It must never publish what it does not understand (I7).

mod changes;
mod commit;
mod event;
mod heartbeats;
mod idle;
mod rollback;
mod tracking;

pub(crate) use changes::SchemaChanges;
pub(crate) use heartbeats::Heartbeats;
pub(crate) use idle::refuse_shared_topics;
pub(crate) use rollback::Rollbacks;
pub use rollback::TakenBack;
pub(crate) use tracking::{forget_unselected, tracker};

use std::collections::BTreeSet;
use std::time::Duration;

use binlog_bridge_core::decode::{Assembler, Decoder, Fed, Joined, Joiner};
use binlog_bridge_core::encode::{Batch, Encoder};
use binlog_bridge_core::event::{EventBlock, EventHeader, Part};
use binlog_bridge_core::schema::{Tables, Tracker};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::state::{Bases, Checkpoint, Split};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::definitions::Definitions;
use crate::error::Error;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::modify::Modifications;
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::log::Log;
use crate::sink::step::SinkSlot;
use crate::source::Dump;

/// Bounds of a run; each is a key of `limits` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a batch, after which the source is not read until the sink has taken it.
    pub batch_bytes_max: usize,
    /// Time that a batch waits for more, though the sink is free.
    pub commit_interval_min: Duration,
    /// Time after which a checkpoint is committed, though nothing selected has changed.
    pub checkpoint_interval: Duration,
    /// Bytes of one record, key and value.
    pub record_bytes_max: usize,
    /// Bytes of one Kafka transaction: a source transaction over it is split.
    pub transaction_bytes_max: u64,
    /// Time for which a Kafka transaction may be open: a source transaction that takes longer is split.
    pub transaction_time_max: Duration,
}

/// Everything between an open dump and an initialised log.
pub(crate) struct Pipeline<D, L, R> {
    pub(crate) dump: D,
    pub(crate) sink: SinkSlot<L>,
    pub(crate) decoder: Decoder,
    pub(crate) joiner: Joiner,
    /// Bytes of the largest event, compressed or not.
    pub(crate) event_bytes_max: usize,
    /// Puts rows together that come in fragments.
    pub(crate) assembler: Assembler,
    /// Memory for rows that are compressed one by one.
    pub(crate) inflated: Vec<u8>,
    pub(crate) tables: Tables,
    pub(crate) catalog: Catalog<R>,
    pub(crate) definitions: Definitions<D>,
    /// None if statements may be missing in the stream.
    pub(crate) tracker: Option<Tracker>,
    /// None if consumers are not told of statements.
    pub(crate) schema_changes: Option<SchemaChanges>,
    /// None if there are to be none.
    pub(crate) heartbeats: Option<Heartbeats>,
    pub(crate) encoder: Encoder,
    /// What source transactions take back.
    pub(crate) rollbacks: Rollbacks,
    /// What is being filled.
    pub(crate) batch: Batch,
    /// The source transaction at hand, if an earlier run has published a part of it.
    pub(crate) resumed: Option<Split>,
    /// The last checkpoint that was handed to the sink.
    pub(crate) checkpoint: Checkpoint,
    /// What checkpoints with large sets of GTIDs refer to.
    pub(crate) bases: Bases,
    pub(crate) limits: Limits,
    /// The server writes names in lower case, but texts of statements as they were typed.
    pub(crate) has_lower_case_names: bool,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) last_commit: Instant,
    /// Bytes handed over for the Kafka transaction that is open.
    pub(crate) open_bytes: u64,
    /// When it was opened.
    pub(crate) opened_at: Instant,
    /// When to look around if nothing comes until then.
    pub(crate) look_at: Instant,
    /// Helper tables of which it was said that they are not published.
    pub(crate) helpers: BTreeSet<TableName>,
    /// Tables may have been made or renamed since the last look.
    pub(crate) has_new_names: bool,
}

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    /// Runs until the shutdown is asked for, or an error.
    pub(crate) async fn run(
        &mut self,
        shutdown: &Shutdown,
        modifications: &Modifications,
    ) -> Result<(), Error> {
        let mut block = EventBlock::default();
        self.heard();
        loop {
            let has_room = self.batch.bytes() < self.limits.batch_bytes_max;
            let (is_busy, is_waiting) = (self.sink.is_busy(), self.is_waiting());
            let (due_at, look_at, may_look) = (self.due_at(), self.look_at, self.may_look());
            tokio::select! {
                biased;
                // 1. A shutdown must not wait for input. Nothing is taken when it wins.
                () = shutdown.asked() => return self.finish().await,
                // 2. Nor a modification: what is whole is committed by the old configuration.
                () = modifications.given() => {
                    self.finish().await?;
                    return Err(Error::Modified);
                }
                // 3. The sink goes before input, so that batches stay small under light load. The step is
                //    kept in the slot: a poll that is dropped loses nothing.
                done = self.sink.done(), if is_busy => done?,
                // 4. Input, as long as there is room for what it makes. Cancel-safe by contract.
                read = self.dump.next(&mut block), if has_room => {
                    read?;
                    self.block(&block).await?;
                    block.clear();
                    self.heartbeats.iter_mut().for_each(Heartbeats::heard);
                    // Not a heartbeat.
                    if self.has_news() {
                        self.heard();
                    }
                }
                // 5. A batch that waits for its time, or a Kafka transaction whose time is up.
                () = tokio::time::sleep_until(due_at), if is_waiting => {}
                // 6. Nothing has come for a while.
                () = tokio::time::sleep_until(look_at), if may_look => Box::pin(self.look_around(shutdown)).await?,
            }
            self.hand_over()?;
        }
    }

    /// Decodes and encodes all events of a block.
    async fn block(&mut self, block: &EventBlock) -> Result<(), Error> {
        self.metrics.received(block.len());
        for (part, bytes) in block.pieces() {
            self.piece(part, bytes).await?;
        }
        self.metrics.ignored(self.decoder.take_ignored());
        Ok(())
    }

    async fn piece(&mut self, part: Part, bytes: &[u8]) -> Result<(), Error> {
        // Taken out, so that the event may borrow from it while the rest of `self` changes.
        let mut joiner = std::mem::replace(&mut self.joiner, Joiner::new(0));
        let mut fed = Fed::new(part, bytes);
        let result = loop {
            let wanted = |_: &EventHeader, table_id: Option<u64>| match table_id {
                Some(_) if self.decoder.is_dropping() => false,
                // An unknown id is an error that is found when the event is decoded.
                Some(id) => self.tables.plan(id).map_or(true, |plan| plan.is_some()),
                None => true,
            };
            let result = match joiner.next(&mut fed, wanted) {
                Ok(None) => break Ok(()),
                Ok(Some(Joined::Event(event))) => self.event(event).await,
                Ok(Some(Joined::Skipped(header))) => self.skipped(&header),
                Ok(Some(Joined::Payload(mark))) => self.decoder.payload(&mark).map_err(Error::from),
                Ok(Some(Joined::Pending)) => Ok(()),
                Err(kind) => Err(self.decoder.failed(kind).into()),
            };
            if result.is_err() {
                break result;
            }
            // A piece of a compressed transaction may hold what fills many batches.
            if self.batch.bytes() >= self.limits.batch_bytes_max
                && let Err(error) = self.make_room().await
            {
                break Err(error);
            }
        };
        self.joiner = joiner;
        result
    }
}
