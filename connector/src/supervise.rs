//! Runs the pipeline, and begins again from the state after every error that may pass.
//!
//! There is one way to begin, and it is taken every time: ask the server who it is, fence older instances, read
//! the state, commit the owner record, see that the binlog is still the one that was followed, open the dump at the
//! checkpoint.

pub(crate) mod fencing;
mod run;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use binlog_bridge_core::decode::DeadTransaction;
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::Owner;

use self::run::Run;
use crate::catalog::TableRules;
use crate::definitions::SharedLookAhead;
use crate::error::{Error, Verdict};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::modify::Modifications;
use crate::pipeline::{Limits, TakenBack};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::log::{Log, LogError};
use crate::sink::topics::TopicSettings;
use crate::sink::transactor::SinkError;
use crate::source::Dump;
use crate::start::Start;
use crate::turn::Turn;

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
    /// Whether deletes are followed by records without a value.
    pub tombstones: bool,
    /// Whether rows are published.
    pub data_updates: bool,
    /// Whether statements that change the schema are published to `<task>.schema-changes`.
    pub schema_updates: bool,
    /// Time after which a heartbeat is published to `<task>.heartbeats`; `None` for none.
    pub heartbeat_interval: Option<Duration>,
    /// How tables are published.
    pub rules: TableRules,
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

impl Halt {
    fn new(error: Error, remedy: String, was_ready: bool) -> Self {
        Self {
            error,
            remedy,
            was_ready,
        }
    }
}

/// The first pause after an error; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// A run that was ready for so long begins with the shortest pause again.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Source transactions without end that are remembered: a server leaves at most one for each crash.
const DEAD_REMEMBERED_MAX: usize = 64;
/// Source transactions that have taken something back: each that is read again is committed, and done with.
const TAKEN_BACK_REMEMBERED_MAX: usize = 64;

/// Runs a task until the shutdown is asked for.
///
/// # Errors
/// [`Halt`] if somebody has to act.
pub async fn supervise<D: Dump, L: Log, R: Registry>(
    task: Arc<Task>,
    modifications: Modifications,
    connections: &Connections<D, L, R>,
    health: &Health,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<(), Halt> {
    let mut turn = None;
    let result = Box::pin(run_again(
        (task, modifications),
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
    (mut task, mut modifications): (Arc<Task>, Modifications),
    connections: &Connections<D, L, R>,
    health: &Health,
    metrics: &Metrics,
    shutdown: &Shutdown,
    turn: &mut Option<Turn>,
) -> Result<(), Halt> {
    let mut pause = PAUSE_MIN;
    let (mut fenced, mut remembered) = (VecDeque::new(), Remembered::default());
    let (mut was_ready, mut looked_again) = (false, false);
    let owned = AtomicBool::new(false);
    let ahead = SharedLookAhead::default();
    // The one before, until a run with the one that took its place was ready.
    let mut before: Option<Arc<Task>> = None;
    while !shutdown.is_asked() {
        if let Some(modified) = modifications.take() {
            before.get_or_insert(std::mem::replace(&mut task, modified));
        }
        let mut run = Run {
            task: &task,
            modifications: &modifications,
            connections,
            health,
            metrics,
            shutdown,
            remembered: &remembered,
            ahead: &ahead,
            owned: &owned,
            ready_since: None,
        };
        let result = run.unless_asked(turn, &mut fenced).await;
        let ready_since = run.ready_since;
        was_ready |= ready_since.is_some();
        if ready_since.is_some() {
            before = None;
        }
        let Err(error) = result else { break };
        metrics.active(false);
        if remembered.explains(&error, metrics) {
            continue;
        }
        health.not_ready(&error.to_string());
        if stands_by(turn, &error) {
            give_up_what_was_owned(&owned, &connections.server_id_taken);
            continue;
        }
        if let Some(remedy) = remedy_if_final(&error, was_ready, &mut looked_again) {
            if let Some(before) = before.take() {
                task = instead(before, &error, &remedy, metrics);
                remembered.taken_back.clear();
                continue;
            }
            if modifications.are_given() {
                continue;
            }
            return Err(Halt::new(error, remedy, was_ready));
        }
        if ready_since.is_some_and(|since| since.elapsed() >= STABLE_AFTER) {
            (pause, looked_again) = (PAUSE_MIN, false);
        }
        metrics.restarted();
        tracing::warn!(%error, pause_ms = pause.as_millis(), "the run ended; beginning again");
        wait(pause, shutdown).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    health.not_ready("shutting down");
    Ok(())
}

/// The task of before, as that of a changed configuration cannot be run.
fn instead(before: Arc<Task>, error: &Error, remedy: &str, metrics: &Metrics) -> Arc<Task> {
    tracing::error!(%error, remedy, "the changed configuration cannot be used; the one before stays in force");
    metrics.configuration_refused(true);
    before
}

/// Waits, unless the shutdown is asked for.
async fn wait(pause: Duration, shutdown: &Shutdown) {
    tokio::select! {
        biased;
        () = shutdown.asked() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// Another instance runs the task: whoever has the turn after it may take the task from anybody, and it was that instance
/// that threw us out at the server with our own id.
fn give_up_what_was_owned(owned: &AtomicBool, server_id_taken: &AtomicBool) {
    owned.store(false, Ordering::Relaxed);
    server_id_taken.store(false, Ordering::Relaxed);
}

/// True if another instance runs the task from now on, and this one waits for its turn.
fn stands_by(turn: &mut Option<Turn>, error: &Error) -> bool {
    let (Some(turn), Error::Sink(SinkError::TakenOver { .. } | SinkError::CameBack { .. })) =
        (turn, error)
    else {
        return false;
    };
    tracing::warn!(%error, "standing by");
    turn.rejoin();
    true
}

/// What runs have found out about source transactions, for the next one.
#[derive(Default)]
struct Remembered {
    /// Those that have no end.
    dead: VecDeque<DeadTransaction>,
    /// What they have taken back.
    taken_back: VecDeque<TakenBack>,
}

impl Remembered {
    /// Takes note of what an error tells. True if nothing is wrong: the next run begins at once.
    fn explains(&mut self, error: &Error, metrics: &Metrics) -> bool {
        match error {
            Error::Modified => {
                // Counted with another selection.
                self.taken_back.clear();
                true
            }
            Error::TakenBack(taken) if !self.taken_back.contains(taken) => {
                tracing::info!(first = %taken.first, "a source transaction has taken back changes: they are left out");
                metrics.restarted();
                let known = &mut self.taken_back;
                known.retain(|known| known.first != taken.first);
                remember(known, taken.clone(), TAKEN_BACK_REMEMBERED_MAX);
                true
            }
            error => {
                if let Some(found) = error.dead_transaction() {
                    tracing::warn!(first = %found.first, "the server crashed while it wrote a transaction and rolled it back: it is left out");
                    remember(&mut self.dead, found, DEAD_REMEMBERED_MAX);
                }
                false
            }
        }
    }
}

fn remember<T>(known: &mut VecDeque<T>, found: T, count_max: usize) {
    if known.len() >= count_max {
        known.pop_front();
    }
    known.push_back(found);
}

/// The remedy, if the error ends the task.
fn remedy_if_final(error: &Error, was_ready: bool, looked_again: &mut bool) -> Option<String> {
    // The place was there when the run began. What became of it the next start finds out.
    if error.is_elsewhere() && !std::mem::replace(looked_again, true) {
        return None;
    }
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
