//! Is the task ready? Told by the supervisor, asked by the probes.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared between the supervisor and the listener.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<Readiness>>,
}

/// Whether an instance does what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The stream is open and its start is committed.
    Ready,
    /// Another instance runs the task, and this one waits for its turn: that is what it is there for.
    Standby,
    /// Neither, and why.
    Not(String),
}

impl Health {
    /// Not ready yet.
    #[must_use]
    pub fn starting() -> Self {
        Self {
            state: Arc::new(Mutex::new(Readiness::Not("starting".to_owned()))),
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

    fn set(&self, state: Readiness) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// As it was told last.
    #[must_use]
    pub fn check(&self) -> Readiness {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True if the stream is open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.check() == Readiness::Ready
    }
}
