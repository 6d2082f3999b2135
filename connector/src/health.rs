//! Is the task ready? Told by the supervisor, asked by the probes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When Kafka has not answered for so long, the task is not ready.
pub const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Shared between the supervisor and the listener.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    told: Readiness,
    /// Since when an answer of Kafka is waited for.
    asked_at: Option<Instant>,
    /// That it takes long was logged.
    is_logged: bool,
}

/// Whether an instance does what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The stream is open and its start is committed.
    Ready,
    /// Another instance runs the task, and this one waits for its turn: that is what it is there for.
    Standby,
    /// The stream is open, but Kafka has not answered for a while.
    Stalled,
    /// None of these, and why.
    Not(String),
}

impl Health {
    /// Not ready yet.
    #[must_use]
    pub fn starting() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                told: Readiness::Not("starting".to_owned()),
                asked_at: None,
                is_logged: false,
            })),
        }
    }

    /// The stream is open and its start is committed.
    pub fn ready(&self) {
        self.set(Readiness::Ready);
    }

    /// Another instance runs the task.
    pub fn standby(&self) {
        self.set(Readiness::Standby);
    }

    /// The stream is not open.
    pub fn not_ready(&self, why: &str) {
        self.set(Readiness::Not(why.to_owned()));
    }

    fn set(&self, told: Readiness) {
        *self.state() = State {
            told,
            asked_at: None,
            is_logged: false,
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kafka was asked for something: its answer is waited for from now on.
    pub fn asked(&self) {
        let mut state = self.state();
        (state.asked_at, state.is_logged) = (Some(Instant::now()), false);
    }

    /// Kafka has answered, or is not asked any more.
    pub fn answered(&self) {
        let asked_at = self.state().asked_at.take();
        if let Some(waited) = asked_at.map(|at| at.elapsed())
            && waited >= STALLED_AFTER
        {
            tracing::warn!(
                seconds = waited.as_secs(),
                "kafka did not answer for a while"
            );
        }
    }

    /// What is so now.
    #[must_use]
    pub fn check(&self) -> Readiness {
        let mut state = self.state();
        let is_late = |at: Instant| at.elapsed() >= STALLED_AFTER;
        if state.told != Readiness::Ready || !state.asked_at.is_some_and(is_late) {
            return state.told.clone();
        }
        if !std::mem::replace(&mut state.is_logged, true) {
            tracing::warn!("kafka has not answered for a while; not ready until it does");
        }
        Readiness::Stalled
    }

    /// True if the stream is open, and Kafka answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.check() == Readiness::Ready
    }

    /// True if the stream is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().told == Readiness::Ready
    }
}
