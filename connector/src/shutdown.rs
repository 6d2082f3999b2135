//! The wish to end, told to everything that waits.

use tokio::sync::watch;

/// A wish to end that can be waited for. Clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

/// Asks for the end.
#[derive(Debug)]
pub struct ShutdownTrigger {
    ask: watch::Sender<bool>,
}

/// A shutdown and what triggers it.
#[must_use]
pub fn shutdown() -> (ShutdownTrigger, Shutdown) {
    let (ask, asked) = watch::channel(false);
    (ShutdownTrigger { ask }, Shutdown { asked })
}

impl ShutdownTrigger {
    /// Asks everybody to end.
    pub fn ask(&self) {
        self.ask.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until the end is asked for. Cancel-safe.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        // A trigger that is gone cannot ask any more, but nobody may go on without it either.
        let _is_set = asked.wait_for(|asked| *asked).await.map(|_| ());
    }

    /// True once the end was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }
}
