//! Runs the pipeline, and begins again from the state after every error that may pass.
//!
//! There is one way to begin, and it is taken every time: ask the server who it is, fence older instances, read
//! the state, commit the owner record, see that the binlog is still the one that was followed, open the dump at the
//! checkpoint.

pub(crate) mod fencing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use binlog_bridge_core::avro::TopicNames;
use binlog_bridge_core::decode::{DeadTransaction, Decoder, Joiner};
use binlog_bridge_core::encode::{Batch, Encoder, TransactionsTopic};
use binlog_bridge_core::schema::Tables;
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::{self, Checkpoint, Owner, Split, State};
use binlog_bridge_core::value::TypeOptions;
use tokio::time::Instant;

use self::fencing::judge_fencing;
use crate::catalog::{Catalog, push_json};
use crate::definitions::{Definitions, LookAheadLimits, Server, SharedLookAhead};
use crate::error::{Error, Verdict};
use crate::health::Health;
use crate::lineage::{find_split, verify};
use crate::metrics::Metrics;
use crate::pipeline::{Limits, Pipeline, refuse_shared_topics};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::log::TopicDescription;
use crate::sink::log::{Log, LogError};
use crate::sink::step::SinkSlot;
use crate::sink::topics::{TopicSettings, ensure_topic, find_topic};
use crate::sink::transactor::{Mark, SinkError, Transactor};
use crate::source::{Dump, Survey, check_uuid};
use crate::start::{Start, StartError, check_server, resume};
use crate::turn::{Standing, Turn};

/// What a task is, without its connections.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// What is published.
    pub selection: Selection,
    /// Where to begin if nothing was published yet.
    pub start: Start,
    /// The topics to make.
    pub topics: TopicSettings,
    /// Whether END records are made.
    pub transactions: bool,
    /// The types that are chosen in the place of the usual ones.
    pub types: TypeOptions,
    /// Bounds.
    pub limits: Limits,
    /// Words of statements that are kept when the binlog is read ahead.
    pub lookahead_entries_max: usize,
    /// Who this process is.
    pub owner: Owner,
}

/// How connections are made: anew for each run.
pub struct Connections<D, L, R> {
    /// A dump that is not open.
    pub dump: Box<dyn Fn() -> D + Send + Sync>,
    /// One for looking ahead while the other is open: another replica to the server.
    pub look_ahead: Box<dyn Fn() -> D + Send + Sync>,
    /// A log that is not initialised.
    pub log: Box<dyn Fn() -> Result<L, LogError> + Send + Sync>,
    /// Another replica was seen to have the server id that is configured.
    pub server_id_taken: Arc<AtomicBool>,
    /// The registry.
    pub registry: Arc<R>,
    /// Queues for the turn to run the task; `None` if instances do not stand by for each other.
    pub turn: Option<NewTurn>,
}

/// Queues for the turn. The state topic exists.
pub type NewTurn = Box<dyn Fn() -> Result<Turn, LogError> + Send + Sync>;

/// A task ended by itself.
#[derive(Debug)]
pub struct Halt {
    /// Why.
    pub error: Error,
    /// What mends it.
    pub remedy: String,
    /// True if it had been ready before.
    pub was_ready: bool,
}

/// The first pause after an error; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// A run that was ready for so long begins with the shortest pause again.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Source transactions without end that are remembered: a server leaves at most one for each crash.
const DEAD_REMEMBERED_MAX: usize = 64;
/// Before the joined bytes of one large event: two images, each as large as a record, and what is around them.
const EVENT_OVERHEAD_BYTES: usize = 64 * 1024;

/// Runs a task until the shutdown is asked for.
///
/// # Errors
/// [`Halt`] if somebody has to act.
pub async fn supervise<D: Dump, L: Log, R: Registry>(
    task: &Task,
    connections: &Connections<D, L, R>,
    health: &Health,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<(), Halt> {
    let mut turn = None;
    let result = Box::pin(run_again(
        task,
        connections,
        health,
        metrics,
        shutdown,
        &mut turn,
    ))
    .await;
    metrics.active(false);
    if let Some(turn) = turn {
        turn.leave().await;
    }
    result
}

async fn run_again<D: Dump, L: Log, R: Registry>(
    task: &Task,
    connections: &Connections<D, L, R>,
    health: &Health,
    metrics: &Metrics,
    shutdown: &Shutdown,
    turn: &mut Option<Turn>,
) -> Result<(), Halt> {
    let mut pause = PAUSE_MIN;
    let mut fenced = VecDeque::new();
    let mut dead = VecDeque::new();
    let mut was_ready = false;
    let owned = AtomicBool::new(false);
    let ahead = SharedLookAhead::default();
    while !shutdown.is_asked() {
        let mut run = Run {
            task,
            connections,
            health,
            metrics,
            shutdown,
            dead: &dead,
            ahead: &ahead,
            owned: &owned,
            ready_since: None,
        };
        let result = tokio::select! {
            biased;
            // 1. Input first: a run ends by itself on a shutdown once it is ready.
            result = run.in_turn(turn, &mut fenced) => result,
            // 2. Before that it waits for servers that may be away.
            () = asked_before_ready(shutdown, health) => Ok(()),
        };
        let ready_since = run.ready_since;
        was_ready |= ready_since.is_some();
        let Err(error) = result else { break };
        if matches!(error, Error::Stopped) {
            break;
        }
        metrics.active(false);
        remember_dead(&mut dead, &error);
        health.not_ready(&error.to_string());
        if stands_by(turn, &error) {
            give_up_what_was_owned(&owned, &connections.server_id_taken);
            continue;
        }
        if let Some(remedy) = remedy_if_final(&error, was_ready) {
            return Err(Halt {
                error,
                remedy,
                was_ready,
            });
        }
        if ready_since.is_some_and(|since| since.elapsed() >= STABLE_AFTER) {
            pause = PAUSE_MIN;
        }
        metrics.restarted();
        tracing::warn!(%error, pause_ms = pause.as_millis(), "the run ended; beginning again");
        tokio::select! {
            biased;
            () = shutdown.asked() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    health.not_ready("shutting down");
    Ok(())
}

/// Another instance runs the task: whoever has the turn after it may take the task from anybody, and it was that instance
/// that threw us out at the server with our own id.
fn give_up_what_was_owned(owned: &AtomicBool, server_id_taken: &AtomicBool) {
    owned.store(false, Ordering::Relaxed);
    server_id_taken.store(false, Ordering::Relaxed);
}

/// True if another instance runs the task from now on, and this one waits for its turn.
fn stands_by(turn: &mut Option<Turn>, error: &Error) -> bool {
    let (Some(turn), Error::Sink(SinkError::TakenOver { .. })) = (turn, error) else {
        return false;
    };
    tracing::warn!(%error, "standing by");
    turn.rejoin();
    true
}

/// A transaction without end is dropped by the next run.
fn remember_dead(dead: &mut VecDeque<DeadTransaction>, error: &Error) {
    let Some(found) = error.dead_transaction() else {
        return;
    };
    tracing::warn!(first = %found.first, "the server crashed while it wrote a transaction and rolled it back: it is left out");
    if dead.len() >= DEAD_REMEMBERED_MAX {
        dead.pop_front();
    }
    dead.push_back(found);
}

/// Waits for a shutdown that is asked for while the task is not ready; any other is the run's own.
async fn asked_before_ready(shutdown: &Shutdown, health: &Health) {
    shutdown.asked().await;
    if health.is_ready() {
        std::future::pending::<()>().await;
    }
}

/// The remedy, if the error ends the task.
fn remedy_if_final(error: &Error, was_ready: bool) -> Option<String> {
    match error.verdict() {
        Verdict::Restart => None,
        Verdict::Halt(remedy) => Some(remedy),
        Verdict::Credentials(remedy) if was_ready => {
            tracing::error!(%error, remedy, "refused; trying again");
            None
        }
        Verdict::Credentials(remedy) => Some(remedy),
    }
}

struct Run<'a, D, L, R> {
    task: &'a Task,
    connections: &'a Connections<D, L, R>,
    health: &'a Health,
    metrics: &'a Metrics,
    shutdown: &'a Shutdown,
    /// Source transactions that have no end.
    dead: &'a VecDeque<DeadTransaction>,
    /// What was looked at ahead of the stream.
    ahead: &'a SharedLookAhead,
    /// This process has committed its owner record: the task was its own.
    owned: &'a AtomicBool,
    ready_since: Option<Instant>,
}

impl<D: Dump, L: Log, R: Registry> Run<'_, D, L, R> {
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
        let result = Box::pin(pipeline.run(self.shutdown)).await;
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
        let mut sink = SinkSlot::new(transactor, self.metrics.clone());
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
            topics.extend(found.into_iter().filter(|(topic, _)| topic == renamed));
        }
        match topics.into_iter().find(|(_, end)| *end > 0) {
            None => Ok(()),
            Some((topic, _)) => {
                // Another instance may have begun since the state was read.
                transactor.look_for_rival().await?;
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
        let mut catalog =
            Catalog::new(registry, &task.name, task.topics.clone(), task.types, state);
        let mut batch = Batch::default();
        let transactor = sink.idle().await?;
        let target = transactor.state_target().clone();
        let transactions = catalog
            .transactions(task.transactions, transactor, (&target, &mut batch))
            .await?;
        if is_new {
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
        let dead = self
            .dead_transactions(&mut dump, &checkpoint, &survey.server_uuid)
            .await?;
        let server_uuid = dump.open(&checkpoint.position).await?;
        check_uuid(&survey.server_uuid, &server_uuid)?;
        Ok(Parts {
            dump,
            catalog,
            checkpoint,
            dead,
            transactions,
            selection,
            has_lower_case_names: survey.lower_case_names,
            server: Server {
                uuid: server_uuid,
                binlog_filters: survey.binlog_filters.clone(),
                folds_names: survey.lower_case_names,
            },
        })
    }
}

impl<D: Dump, L: Log, R: Registry> Run<'_, D, L, R> {
    /// Source transactions that are dropped: those that were found before, and those before one that is published in
    /// part. That one itself is not dropped, whatever became of it: consumers have seen of it.
    async fn dead_transactions(
        &self,
        dump: &mut D,
        checkpoint: &Checkpoint,
        server_uuid: &str,
    ) -> Result<Vec<DeadTransaction>, Error> {
        let known = self.dead.iter().cloned();
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

/// What a run needs beside its sink.
struct Parts<D, R> {
    dump: D,
    catalog: Catalog<R>,
    checkpoint: Checkpoint,
    /// Source transactions that have no end, as far as that is known.
    dead: Vec<DeadTransaction>,
    transactions: TransactionsTopic,
    selection: Selection,
    has_lower_case_names: bool,
    server: Server,
}

impl<D: Dump, R: Registry> Parts<D, R> {
    fn into_pipeline<L: Log>(self, run: &Run<'_, D, L, R>, sink: SinkSlot<L>) -> Pipeline<D, L, R> {
        let limits = run.task.limits;
        let decoder = Decoder::new(self.checkpoint.position.clone());
        let event_bytes_max = 2 * limits.record_bytes_max + EVENT_OVERHEAD_BYTES;
        let encoder = Encoder::new(&run.task.name, limits.record_bytes_max, self.transactions);
        Pipeline {
            dump: self.dump,
            sink,
            decoder: decoder.without(self.dead),
            resumed: self.checkpoint.split.clone(),
            joiner: Joiner::new(event_bytes_max),
            encoder: encoder.resume(published_part(&self.checkpoint, &self.selection)),
            tables: Tables::new(self.selection),
            has_lower_case_names: self.has_lower_case_names,
            catalog: self.catalog,
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
            batch: Batch::default(),
            checkpoint: self.checkpoint,
            limits,
            metrics: run.metrics.clone(),
            last_commit: Instant::now(),
            open_bytes: 0,
            opened_at: Instant::now(),
            look_at: Instant::now(),
            has_new_names: false,
        }
    }
}

/// What is published of the source transaction after the checkpoint, as far as it is still selected.
fn published_part(checkpoint: &Checkpoint, selection: &Selection) -> Option<Split> {
    let mut split = checkpoint.split.clone()?;
    split.tables.retain(|table| selection.selects(&table.name));
    Some(split)
}
