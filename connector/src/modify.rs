//! What is published may change while a task runs: its configuration file is the one truth.

use std::sync::Arc;

use tokio::sync::watch;

use crate::supervise::Task;

/// Tasks that take the place of the one that runs. Clones see the same.
#[derive(Debug, Clone)]
pub struct Modifications {
    latest: watch::Receiver<Option<Arc<Task>>>,
}

/// Gives a task that takes the place of the one that runs.
pub type Modifier = watch::Sender<Option<Arc<Task>>>;

impl Modifications {
    /// What is given to the modifier from now on.
    #[must_use]
    pub fn new() -> (Modifier, Self) {
        let (modifier, latest) = watch::channel(None);
        (modifier, Self { latest })
    }

    /// There are none.
    #[must_use]
    pub fn none() -> Self {
        Self::new().1
    }

    /// The task that takes the place, if there is one that was not taken yet.
    pub fn take(&mut self) -> Option<Arc<Task>> {
        let is_new = self.are_given();
        let latest = self.latest.borrow_and_update().clone();
        latest.filter(|_| is_new)
    }

    /// True if there is one that was not taken yet.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.latest.has_changed().unwrap_or(false)
    }

    /// Waits for one that was not taken yet. Cancel-safe.
    pub async fn given(&self) {
        if self.latest.clone().changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
