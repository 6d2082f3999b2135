//! How long a step goes on waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::failure::Failure;

/// Ends a wait when its time is over, or when the whole [`super::KafkaLog`] is to end.
pub(super) struct Patience {
    stopped: Arc<AtomicBool>,
    within: Duration,
    deadline: Instant,
}

impl Patience {
    pub(super) fn new(stopped: &Arc<AtomicBool>, within: Duration) -> Patience {
        Patience {
            stopped: Arc::clone(stopped),
            within,
            deadline: Instant::now() + within,
        }
    }

    /// There was progress: the time begins anew.
    pub(super) fn renew(&mut self) {
        self.deadline = Instant::now() + self.within;
    }

    /// An error once waiting is over.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Failure::timed_out("stopped while waiting for the cluster"));
        }
        if Instant::now() > self.deadline {
            let ms = self.within.as_millis();
            return Err(Failure::timed_out(format!(
                "no answer of the cluster within {ms} ms"
            )));
        }
        Ok(())
    }
}
