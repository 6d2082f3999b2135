//! One run: from nothing to an open stream, and what became of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use binlog_bridge_core::avro::TopicNames;
use binlog_bridge_core::decode::{Assembler, DeadTransaction, Decoder, Joiner};
use binlog_bridge_core::encode::{Batch, Encoder, TopicPartition, TransactionsTopic};
use binlog_bridge_core::schema::{Dialect, Tables, Tracker};
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::{self, Bases, Checkpoint, Split, State};
use tokio::time::Instant;

use super::fencing::{judge_fencing, moved};
use super::{Connections, Remembered, Task, give_up_what_was_owned};
use crate::catalog::{Catalog, push_json};
use crate::definitions::{Definitions, LookAheadLimits, Server, SharedLookAhead};
use crate::error::Error;
use crate::health::Health;
use crate::lineage::{find_split, verify};
use crate::metrics::Metrics;
use crate::modify::Modifications;
use crate::pipeline::{
    Heartbeats, Pipeline, Rollbacks, SchemaChanges, forget_unselected, refuse_shared_topics,
    tracker,
};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::log::{Log, TopicDescription};
use crate::sink::step::SinkSlot;
use crate::sink::topics::{TopicSettings, ensure_topic, find_topic, is_version_of};
use crate::sink::transactor::{Mark, SinkError, Transactor};
use crate::source::{Dump, Survey, check_uuid};
use crate::start::{StartError, check_server, resume};
use crate::turn::{Standing, Turn};

/// Before the joined bytes of one large event: two images, each as large as a record, and what is around them.
const EVENT_OVERHEAD_BYTES: usize = 64 * 1024;

/// What a run is given.
pub(super) struct Run<'a, D, L, R> {
    pub(super) task: &'a Task,
    pub(super) connections: &'a Connections<D, L, R>,
    pub(super) health: &'a Health,
    pub(super) metrics: &'a Metrics,
    pub(super) shutdown: &'a Shutdown,
    /// What may take the task's place.
    pub(super) modifications: &'a Modifications,
    /// What runs before have found out.
    pub(super) remembered: &'a Remembered,
    /// What was looked at ahead of the stream.
    pub(super) ahead: &'a SharedLookAhead,
    /// This process has committed its owner record: the task was its own.
    pub(super) owned: &'a AtomicBool,
    pub(super) ready_since: Option<Instant>,
}

impl<D: Dump, L: Log, R: Registry> Run<'_, D, L, R> {
    /// Runs until the shutdown is asked for.
    pub(super) async fn unless_asked(
        &mut self,
        turn: &mut Option<Turn>,
        fenced: &mut VecDeque<Instant>,
    ) -> Result<(), Error> {
        let (shutdown, health) = (self.shutdown, self.health);
        tokio::select! {
            biased;
            // 1. Input first: a run ends by itself on a shutdown once it is ready.
            result = self.in_turn(turn, fenced) => match result {
                Err(Error::Stopped) => Ok(()),
                result => result,
            },
            // 2. Before that it waits for servers that may be away.
            () = asked_before_open(shutdown, health) => Ok(()),
        }
    }

    /// Waits for the turn, where instances stand by for each other, and runs.
    async fn in_turn(
        &mut self,
        turn: &mut Option<Turn>,
        fenced: &mut VecDeque<Instant>,
    ) -> Result<(), Error> {
        if let Some(new_turn) = &self.connections.turn {
            let mine = match turn.take() {
                Some(mine) => mine,
                None => {
                    let mut log = (self.connections.log)()?;
                    self.ensure_state_topic(&mut log).await?;
                    new_turn()?
                }
            };
            let told = |standing: &Standing| match standing {
                Standing::Waiting => {
                    give_up_what_was_owned(self.owned, &self.connections.server_id_taken);
                    self.health.standby();
                }
                Standing::Joining => self
                    .health
                    .not_ready("joining the group of the task's instances"),
                Standing::Ours | Standing::Refused(_) => self.health.not_ready("starting"),
            };
            let waited = turn.insert(mine).wait(told).await;
            if turn.as_ref().is_some_and(Turn::is_over) {
                *turn = None;
            }
            waited?;
            // Waiting may have taken days.
            if self.modifications.are_given() {
                return Err(Error::Modified);
            }
        }
        self.once(fenced).await
    }

    async fn once(&mut self, fenced: &mut VecDeque<Instant>) -> Result<(), Error> {
        // On the heap: what a start needs would else be room for ever.
        let mut pipeline = match Box::pin(self.open()).await {
            Ok(pipeline) => pipeline,
            Err((error, None)) => return Err(error),
            Err((error, Some(transactor))) => {
                return Err(judge_fencing(error, transactor, fenced).await);
            }
        };
        self.ready_since = Some(Instant::now());
        self.metrics.active(true);
        self.health.ready();
        tracing::info!(position = %pipeline.decoder.position().at(), "streaming");
        let result = Box::pin(pipeline.run(self.shutdown, self.modifications)).await;
        let Err(error) = result else { return Ok(()) };
        // What follows may wait for Kafka.
        self.health.not_ready(&error.to_string());
        let (transactor, last) = pipeline.sink.into_transactor().await;
        // The source may fail while a commit finds out that another instance has taken over: that counts.
        let error = match last.map(Error::from) {
            Some(last) if last.is_fenced() => last,
            Some(_) | None => error,
        };
        match transactor {
            None => Err(error),
            Some(mut transactor) => {
                transactor.abandon().await;
                Err(judge_fencing(error, transactor, fenced).await)
            }
        }
    }

    fn topics(&self, survey: &Survey) -> TopicSettings {
        match survey.lower_case_names {
            true => self.task.topics.in_lower_case(),
            false => self.task.topics.clone(),
        }
    }

    fn selection(&self, survey: &Survey) -> Selection {
        if survey.lower_case_names {
            self.task.selection.in_lower_case()
        } else {
            self.task.selection.clone()
        }
    }

    /// From nothing to an open dump. The server is asked first, so that one that is away costs Kafka nothing.
    async fn open(&self) -> Result<Pipeline<D, L, R>, (Error, Option<Transactor<L>>)> {
        let mut dump = (self.connections.dump)();
        let survey = dump.survey().await.map_err(|error| (error.into(), None))?;
        check_server(&survey, &self.selection(&survey)).map_err(|error| (error.into(), None))?;
        let (transactor, state) = self.open_log().await.map_err(|error| (error, None))?;
        let mut sink = SinkSlot::new(transactor, self.metrics.clone(), self.health.clone());
        // Once more: an older instance may have published what the server executed since, until it was fenced.
        let survey = match dump.survey().await {
            Ok(survey) => survey,
            Err(error) => return Err((error.into(), sink.into_transactor().await.0)),
        };
        let parts = match self.open_stream(dump, &survey, &mut sink, &state).await {
            Ok(parts) => parts,
            Err(error) => return Err((error, sink.into_transactor().await.0)),
        };
        Ok(parts.into_pipeline(self, sink))
    }

    async fn open_log(&self) -> Result<(Transactor<L>, State), Error> {
        let names = TopicNames::new(&self.task.name);
        let mut log = (self.connections.log)()?;
        let found = self.ensure_state_topic(&mut log).await?;
        let instance = &self.task.owner.instance;
        let (mut transactor, state) = Transactor::start(log, &names.state(), instance).await?;
        transactor.watch(&names.state(), &found.id);
        if self.owned.load(Ordering::Relaxed) {
            self.refuse_what_followed(&state)?;
        }
        if state.checkpoint.is_none() {
            self.refuse_data(&mut transactor, &names).await?;
        }
        Ok((transactor, state))
    }

    /// The state topic is made at the first start only: where it is gone later, where to go on is unknown.
    async fn ensure_state_topic(&self, log: &mut L) -> Result<TopicDescription, Error> {
        let topics = &self.task.topics;
        let topic = TopicNames::new(&self.task.name).state();
        if !self.owned.load(Ordering::Relaxed) {
            return Ok(ensure_topic(log, topics, topics.state_topic(&topic)).await?);
        }
        let found = find_topic(log, &topic).await?;
        found.ok_or_else(|| StartError::StateLost { topic }.into())
    }

    /// The task was ours before. Whoever has it now took it from us, though this run has fenced them by its start: they
    /// go on. And its state was there.
    fn refuse_what_followed(&self, state: &State) -> Result<(), Error> {
        if let Some(owner) = &state.owner
            && owner.command.is_none()
            && owner.instance != self.task.owner.instance
        {
            return Err(SinkError::TakenOver {
                instance: owner.instance.clone(),
                started_ts_ms: owner.started_ts_ms,
            }
            .into());
        }
        if state.checkpoint.is_none() {
            let topic = TopicNames::new(&self.task.name).state();
            return Err(StartError::StateLost { topic }.into());
        }
        Ok(())
    }

    /// Data that was published without a checkpoint: where to go on is unknown.
    async fn refuse_data(
        &self,
        transactor: &mut Transactor<L>,
        names: &TopicNames,
    ) -> Result<(), Error> {
        let log = transactor.log();
        let mut topics = log.list_topics(&names.data_prefix()).await?;
        for renamed in self
            .task
            .topics
            .tables
            .values()
            .filter_map(|topic| topic.name.as_ref())
        {
            let found = log.list_topics(renamed).await?;
            let is_of_it = |topic: &str| is_version_of(topic, renamed);
            topics.extend(found.into_iter().filter(|(topic, _)| is_of_it(topic)));
        }
        match topics.into_iter().find(|(_, end)| *end > 0) {
            None => Ok(()),
            Some((topic, _)) => {
                // Another instance may have begun since the state was read.
                transactor.look_for_rival().await?;
                // And a command may have made it give up the task.
                if transactor.was_given_back() {
                    return Err(moved().into());
                }
                Err(StartError::NoCheckpoint { topic }.into())
            }
        }
    }

    /// The first transaction of a start, then the dump.
    async fn open_stream(
        &self,
        mut dump: D,
        survey: &Survey,
        sink: &mut SinkSlot<L>,
        state: &State,
    ) -> Result<Parts<D, R>, Error> {
        let task = self.task;
        let selection = self.selection(survey);
        let (checkpoint, is_new) = resume(state, &task.start, survey, &selection)?;
        let registry = Arc::clone(&self.connections.registry);
        let (topics, rules) = (self.topics(survey), self.task.rules.on(survey));
        let mut catalog = Catalog::new(registry, &task.name, topics, rules, state);
        catalog.refuse_wrong_rules(&selection)?;
        let mut batch = Batch::default();
        let transactor = sink.idle().await?;
        let target = transactor.state_target().clone();
        let into = (&target, &mut batch);
        let own = self
            .own_topics(&mut catalog, transactor, into, (&selection, survey))
            .await?;
        if is_new || is_of_another_selection(state, &checkpoint) {
            push_json(&mut batch, &target, &state::checkpoint_key(), &checkpoint)?;
        }
        let value = serde_json::to_vec(&task.owner).expect("an owner is plain JSON");
        sink.commit(
            batch,
            Mark {
                key: state::owner_key(),
                value,
            },
        );
        sink.idle().await?;
        self.owned.store(true, Ordering::Relaxed);
        verify(&mut dump, &checkpoint, survey).await?;
        // Before the dump is open: a server waits only so long for somebody to take what it sends.
        refuse_shared_topics(&mut dump, &catalog, &selection).await?;
        // With the first commit of the stream: this selection may still be refused.
        let mut first = Batch::default();
        forget_unselected(state, &selection, (&target, &mut first))?;
        let dead = self
            .dead_transactions(&mut dump, &checkpoint, &survey.server_uuid)
            .await?;
        let server_uuid = dump.open(&checkpoint.position).await?;
        check_uuid(&survey.server_uuid, &server_uuid)?;
        Ok(Parts {
            dump,
            first,
            catalog,
            dead,
            own,
            tracker: tracker(survey, &selection, state, &checkpoint.lineage),
            checkpoint,
            selection: published(selection, task),
            has_lower_case_names: survey.lower_case_names,
            server: Server {
                uuid: server_uuid,
                binlog_filters: survey.binlog_filters.clone(),
                dialect: Dialect::of_version(&survey.version),
                folds_names: survey.lower_case_names,
            },
        })
    }
}

impl<D: Dump, L: Log, R: Registry> Run<'_, D, L, R> {
    /// Makes the topics that belong to no table.
    async fn own_topics(
        &self,
        catalog: &mut Catalog<R>,
        transactor: &mut Transactor<L>,
        (target, batch): (&TopicPartition, &mut Batch),
        (selection, survey): (&Selection, &Survey),
    ) -> Result<OwnTopics, Error> {
        let task = self.task;
        let into = (target, &mut *batch);
        let transactions = catalog
            .transactions(task.transactions, transactor, into)
            .await?;
        let mut schema_changes = None;
        if task.schema_updates {
            let into = (target, &mut *batch);
            let topic = catalog.schema_changes(transactor, into).await?;
            schema_changes = Some(SchemaChanges::new(topic, selection, survey));
        }
        let mut heartbeats = None;
        if let Some(interval) = task.heartbeat_interval {
            let topic = catalog.heartbeats(transactor, (target, batch)).await?;
            heartbeats = Some(Heartbeats::new(&task.name, topic, interval));
        }
        Ok(OwnTopics {
            transactions,
            schema_changes,
            heartbeats,
        })
    }

    /// Source transactions that are dropped: those that were found before, and those before one that is published in
    /// part. That one itself is not dropped, whatever became of it: consumers have seen of it.
    async fn dead_transactions(
        &self,
        dump: &mut D,
        checkpoint: &Checkpoint,
        server_uuid: &str,
    ) -> Result<Vec<DeadTransaction>, Error> {
        let known = self.remembered.dead.iter().cloned();
        let Some(split) = &checkpoint.split else {
            return Ok(known.collect());
        };
        let found = find_split(dump, &checkpoint.position, split, server_uuid).await?;
        let all = known.chain(found);
        let is_split = |dead: &DeadTransaction| {
            dead.first == split.identity.first
                && dead.commit_time_us == split.identity.commit_time_us
        };
        Ok(all.filter(|dead| !is_split(dead)).collect())
    }
}

/// Waits for a shutdown that is asked for while the stream is not open; any other is the run's own.
async fn asked_before_open(shutdown: &Shutdown, health: &Health) {
    shutdown.asked().await;
    if health.is_open() {
        std::future::pending::<()>().await;
    }
}

/// The topics that belong to no table.
struct OwnTopics {
    transactions: TransactionsTopic,
    schema_changes: Option<SchemaChanges>,
    heartbeats: Option<Heartbeats>,
}

/// What a run needs beside its sink.
struct Parts<D, R> {
    dump: D,
    /// What the first commit holds beside what is read.
    first: Batch,
    catalog: Catalog<R>,
    checkpoint: Checkpoint,
    /// Source transactions that have no end, as far as that is known.
    dead: Vec<DeadTransaction>,
    own: OwnTopics,
    tracker: Option<Tracker>,
    /// The tables whose rows are published.
    selection: Selection,
    has_lower_case_names: bool,
    server: Server,
}

impl<D: Dump, R: Registry> Parts<D, R> {
    fn into_pipeline<L: Log>(self, run: &Run<'_, D, L, R>, sink: SinkSlot<L>) -> Pipeline<D, L, R> {
        let limits = run.task.limits;
        run.metrics.unused_partitions(0);
        let decoder = Decoder::new(self.checkpoint.position.clone());
        let event_bytes_max = 2 * limits.record_bytes_max + EVENT_OVERHEAD_BYTES;
        let encoder = Encoder::new(
            &run.task.name,
            limits.record_bytes_max,
            self.own.transactions,
        );
        Pipeline {
            dump: self.dump,
            sink,
            decoder: decoder.without(self.dead),
            resumed: self.checkpoint.split.clone(),
            joiner: Joiner::new(event_bytes_max),
            event_bytes_max,
            assembler: Assembler::new(event_bytes_max),
            inflated: Vec::new(),
            encoder: (encoder.with_tombstones(run.task.tombstones))
                .resume(published_part(&self.checkpoint, &self.selection)),
            rollbacks: Rollbacks::new(run.remembered.taken_back.iter().cloned().collect()),
            tables: Tables::new(self.selection),
            has_lower_case_names: self.has_lower_case_names,
            catalog: self.catalog,
            tracker: self.tracker,
            schema_changes: self.own.schema_changes,
            heartbeats: self.own.heartbeats,
            definitions: Definitions::new(
                (run.connections.look_ahead)(),
                self.server,
                Arc::clone(run.ahead),
                LookAheadLimits {
                    words_max: run.task.lookahead_entries_max,
                    statement_bytes_max: event_bytes_max,
                },
                run.shutdown.clone(),
            ),
            batch: self.first,
            checkpoint: self.checkpoint,
            bases: Bases::default(),
            limits,
            metrics: run.metrics.clone(),
            health: run.health.clone(),
            last_commit: Instant::now(),
            open_bytes: 0,
            opened_at: Instant::now(),
            look_at: Instant::now(),
            helpers: BTreeSet::new(),
            has_new_names: false,
        }
    }
}

/// Where another selection takes effect stands in the state.
fn is_of_another_selection(state: &State, checkpoint: &Checkpoint) -> bool {
    let recorded = state.checkpoint.as_ref();
    let is_other = recorded.is_some_and(|recorded| recorded.selection != checkpoint.selection);
    if is_other {
        let position = checkpoint.position.at();
        tracing::info!(%position, "another selection takes effect here");
    }
    is_other
}

/// The tables whose rows are published.
fn published(selection: Selection, task: &Task) -> Selection {
    match task.data_updates {
        true => selection,
        false => Selection::default(),
    }
}

/// What is published of the source transaction after the checkpoint, as far as it is still selected.
fn published_part(checkpoint: &Checkpoint, selection: &Selection) -> Option<Split> {
    let mut split = checkpoint.split.clone()?;
    split.tables.retain(|table| selection.selects(&table.name));
    Some(split)
}
