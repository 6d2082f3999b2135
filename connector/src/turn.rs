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
}

/// The other end: who tells the instance of its standing, and carries out its orders.
#[derive(Debug)]
pub struct TurnKeeper {
    /// Tells of a new standing.
    pub standing: watch::Sender<Standing>,
    /// What the instance wants; closed once it is gone.
    pub orders: mpsc::UnboundedReceiver<Order>,
}

/// How long an order may take; whoever gave it goes on then, as nothing rests on it.
const ORDER_MAX: Duration = Duration::from_secs(3);

/// A turn and its keeper.
#[must_use]
pub fn turn() -> (Turn, TurnKeeper) {
    let (standing, told) = watch::channel(Standing::Joining);
    let (orders, wanted) = mpsc::unbounded_channel();
    let turn = Turn {
        standing: told,
        orders,
    };
    let keeper = TurnKeeper {
        standing,
        orders: wanted,
    };
    (turn, keeper)
}

impl Turn {
    /// Waits for the turn, and tells of every standing until then. Cancel-safe.
    ///
    /// # Errors
    /// If somebody has to act before it can come.
    pub async fn wait(&mut self, mut tell: impl FnMut(&Standing)) -> Result<(), LogError> {
        loop {
            let standing = self.standing.borrow_and_update().clone();
            tell(&standing);
            match standing {
                Standing::Ours => return Ok(()),
                Standing::Refused(error) => return Err(error),
                Standing::Joining | Standing::Waiting => {}
            }
            self.standing.changed().await.map_err(|_| LogError {
                operation: "standby",
                kind: LogErrorKind::Fatal,
                message: "the thread that waits for the turn has ended".to_owned(),
            })?;
        }
    }

    /// Gives the turn up and queues again: what was known of it is worth nothing once another instance runs the task.
    pub async fn rejoin(&mut self) {
        self.order(Order::Rejoin).await;
    }

    /// Leaves, so that the next one gets the turn at once.
    pub async fn leave(self) {
        self.order(Order::Leave).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(order(answer)).is_ok()
            && tokio::time::timeout(ORDER_MAX, answered).await.is_err()
        {
            tracing::debug!("giving up the turn takes long");
        }
    }
}
