//! Whose turn is it to run the task? Asked only where instances stand by for each other.
//!
//! The turn spares instances that would fence each other in vain; it is not what exactly once rests on. Who has it
//! fences whoever ran the task before, and an instance that runs is not stopped by losing it (I5).

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::sink::log::{LogError, LogErrorKind};

/// What an instance is among those of its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not among them yet, or not any more.
    Joining,
    /// Another one has the turn.
    Waiting,
    /// This one has the turn.
    Ours,
    /// It cannot be among them until somebody acts.
    Refused(LogError),
}

/// An order of the instance, answered when it is carried out.
#[derive(Debug)]
pub enum Order {
    /// Give the turn up, and queue for it again.
    Rejoin(oneshot::Sender<()>),
    /// Give the turn up for good: the next one gets it at once.
    Leave(oneshot::Sender<()>),
}

/// An instance's place in the queue for the turn. Dropped, it leaves.
#[derive(Debug)]
pub struct Turn {
    standing: watch::Receiver<Standing>,
    orders: mpsc::UnboundedSender<Order>,
    /// Until it is answered, the standing is that of before.
    rejoined: Option<oneshot::Receiver<()>>,
}

/// The other end: who tells the instance of its standing, and carries out its orders.
#[derive(Debug)]
pub struct TurnKeeper {
    /// Tells of a new standing.
    pub standing: watch::Sender<Standing>,
    /// What the instance wants; closed once it is gone.
    pub orders: mpsc::UnboundedReceiver<Order>,
}

/// How long leaving may take; whoever leaves goes on then, as nothing rests on it.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// A turn and its keeper.
#[must_use]
pub fn turn() -> (Turn, TurnKeeper) {
    let (standing, told) = watch::channel(Standing::Joining);
    let (orders, wanted) = mpsc::unbounded_channel();
    let turn = Turn {
        standing: told,
        orders,
        rejoined: None,
    };
    let keeper = TurnKeeper {
        standing,
        orders: wanted,
    };
    (turn, keeper)
}

fn ended() -> LogError {
    LogError {
        operation: "standby",
        kind: LogErrorKind::Fatal,
        message: "the thread that waits for the turn has ended".to_owned(),
    }
}

impl Turn {
    /// Waits for the turn, and tells of every standing until then. Cancel-safe.
    ///
    /// # Errors
    /// If somebody has to act before it can come.
    pub async fn wait(&mut self, mut tell: impl FnMut(&Standing)) -> Result<(), LogError> {
        if let Some(rejoined) = &mut self.rejoined {
            tell(&Standing::Joining);
            let answered = rejoined.await;
            self.rejoined = None;
            answered.map_err(|_| ended())?;
        }
        loop {
            let standing = self.standing.borrow_and_update().clone();
            tell(&standing);
            match standing {
                Standing::Ours => return Ok(()),
                Standing::Refused(error) => return Err(error),
                Standing::Joining | Standing::Waiting => {}
            }
            self.standing.changed().await.map_err(|_| ended())?;
        }
    }

    /// Gives the turn up and queues again: what was known of it is worth nothing once another instance runs the task.
    pub fn rejoin(&mut self) {
        self.rejoined = self.order(Order::Rejoin);
    }

    /// True if it can never come any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.orders.is_closed()
    }

    /// Leaves, so that the next one gets the turn at once.
    pub async fn leave(self) {
        if let Some(left) = self.order(Order::Leave)
            && tokio::time::timeout(LEAVE_MAX, left).await.is_err()
        {
            tracing::debug!("leaving takes long");
        }
    }

    fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<()>) -> Order,
    ) -> Option<oneshot::Receiver<()>> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).is_ok().then_some(answered)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    fn is_waiting(future: impl Future<Output = Result<(), LogError>>) -> bool {
        pin!(future).now_or_never().is_none()
    }

    #[test]
    fn a_turn_that_was_given_up_is_not_believed_until_the_keeper_knows_of_it() {
        let (mut mine, mut keeper) = turn();
        keeper.standing.send_replace(Standing::Ours);
        mine.rejoin();
        let mut told = Vec::new();
        assert!(is_waiting(
            mine.wait(|standing| told.push(standing.clone()))
        ));
        assert_eq!(told, [Standing::Joining]);
        let Ok(Order::Rejoin(done)) = keeper.orders.try_recv() else {
            panic!("no order")
        };
        keeper.standing.send_replace(Standing::Waiting);
        done.send(()).unwrap();
        assert!(is_waiting(mine.wait(|_| ())));
        keeper.standing.send_replace(Standing::Ours);
        assert!(!is_waiting(mine.wait(|_| ())));
    }

    #[test]
    fn a_turn_whose_keeper_has_ended_is_over() {
        let (mut mine, keeper) = turn();
        keeper.standing.send_replace(Standing::Ours);
        assert!(!mine.is_over());
        mine.rejoin();
        drop(keeper);
        assert!(mine.is_over());
        let error = mine.wait(|_| ()).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.operation, "standby");
    }
}
