//! Waiting for a condition, by a clock that is real for the real halves and jumps for the simulated ones.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Much longer than a server in working order takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A deadline for something that is tried again and again.
pub(crate) struct Deadline {
    what: &'static str,
    at: Instant,
}

impl Deadline {
    pub(crate) fn of(what: &'static str) -> Self {
        let at = Instant::now() + PATIENCE;
        Self { what, at }
    }

    /// Pauses before the next try.
    pub(crate) async fn pause(&self) {
        assert!(Instant::now() < self.at, "in vain: {}", self.what);
        sleep(Duration::from_millis(50)).await;
    }
}
