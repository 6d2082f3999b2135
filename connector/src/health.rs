//! Is the task ready? Told by the supervisor, asked by the probes.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared between the supervisor and the listener.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<Result<(), String>>>,
}

impl Health {
    /// Not ready yet.
    #[must_use]
    pub fn starting() -> Self {
        Self { state: Arc::new(Mutex::new(Err("starting".to_owned()))) }
    }

    /// The stream is open and its start is committed.
    pub fn ready(&self) {
        self.set(Ok(()));
    }

    /// The stream is not open.
    pub fn not_ready(&self, why: &str) {
        self.set(Err(why.to_owned()));
    }

    fn set(&self, state: Result<(), String>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// `Ok` if ready, else why not.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<(), String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.check().is_ok()
    }
}
