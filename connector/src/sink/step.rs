//! The step that the sink is doing while the pipeline goes on reading.
//!
//! At most one: it owns the transactor and gives it back with its result, so that no lock and no thread is
//! needed to know who may use it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use binlog_bridge_core::encode::{Batch, TopicPartition};
use tokio::time::Instant;

use super::log::Log;
use super::transactor::{Committed, Mark, SinkError, Transactor};
use crate::health::Health;
use crate::metrics::Metrics;

type Step<L> = Pin<Box<dyn Future<Output = (Transactor<L>, Result<Done, SinkError>)> + Send>>;

/// What a step did.
struct Done {
    elapsed: Duration,
    /// Bytes of keys and values that it appended.
    bytes: usize,
    /// How the commit went; `None` for an append.
    committed: Option<Committed>,
    batch: Batch,
}

/// The transactor, or the step that has it.
pub struct SinkSlot<L> {
    state: State<L>,
    /// Where records of the state go.
    state_target: TopicPartition,
    /// Emptied batches, for their memory.
    spare: Vec<Batch>,
    has_open: bool,
    metrics: Metrics,
    /// Is told what is waited for.
    health: Health,
}

enum State<L> {
    Idle(Transactor<L>),
    Busy(Step<L>),
    /// A step failed, and its transactor is kept for looking at the owner record.
    Failed(Transactor<L>),
    /// Between two states; seen by nobody.
    Moving,
}

/// One batch is filled while another is sent: no third is ever needed.
const SPARE_MAX: usize = 2;

impl<L: Log> SinkSlot<L> {
    /// A slot at rest.
    pub fn new(transactor: Transactor<L>, metrics: Metrics, health: Health) -> Self {
        Self {
            state_target: transactor.state_target().clone(),
            state: State::Idle(transactor),
            spare: Vec::new(),
            has_open: false,
            metrics,
            health,
        }
    }

    /// True while a step is being done.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(_))
    }

    /// Where records of the state go. Known without waiting for the step: of many statements in a row, none waits for a commit.
    pub fn state_target(&self) -> &TopicPartition {
        &self.state_target
    }

    /// True if a part of a source transaction was handed over and its commit was not.
    pub fn has_open_transaction(&self) -> bool {
        self.has_open
    }

    /// An empty batch, with the memory of an earlier one if there is one.
    pub fn take_spare(&mut self) -> Batch {
        self.spare.pop().unwrap_or_default()
    }

    /// Begins to append a part of a source transaction. The slot is at rest.
    pub fn append(&mut self, batch: Batch) {
        self.has_open = true;
        self.begin(|mut transactor| {
            Box::pin(async move {
                let (start, bytes) = (Instant::now(), batch.bytes());
                let result = transactor.append(batch).await.map(|batch| Done {
                    elapsed: start.elapsed(),
                    bytes,
                    committed: None,
                    batch,
                });
                (transactor, result)
            })
        });
    }

    /// Begins to append the last part and to commit. The slot is at rest.
    pub fn commit(&mut self, batch: Batch, mark: Mark) {
        self.has_open = false;
        self.begin(|mut transactor| {
            Box::pin(async move {
                let (start, bytes) = (Instant::now(), batch.bytes());
                let result = transactor
                    .commit(batch, &mark)
                    .await
                    .map(|(batch, committed)| Done {
                        elapsed: start.elapsed(),
                        bytes,
                        committed: Some(committed),
                        batch,
                    });
                (transactor, result)
            })
        });
    }

    fn begin(&mut self, step: impl FnOnce(Transactor<L>) -> Step<L>) {
        self.health.asked();
        self.state = match std::mem::replace(&mut self.state, State::Moving) {
            State::Idle(transactor) => State::Busy(step(transactor)),
            other @ (State::Busy(_) | State::Failed(_) | State::Moving) => {
                debug_assert!(false, "a step was begun while the slot was not at rest");
                other
            }
        };
    }

    /// Waits for the end of the step. Cancel-safe: the step stays in the slot.
    ///
    /// # Errors
    /// What the step failed with.
    pub async fn done(&mut self) -> Result<(), SinkError> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Looks whether the step has ended by now.
    ///
    /// # Errors
    /// What the step failed with.
    pub fn poll_done(&mut self) -> Result<(), SinkError> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => Ok(()),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        let State::Busy(step) = &mut self.state else {
            return Poll::Pending;
        };
        let Poll::Ready((transactor, result)) = step.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.health.answered();
        Poll::Ready(match result {
            Ok(mut done) => {
                let mut batch = std::mem::take(&mut done.batch);
                batch.clear();
                if self.spare.len() < SPARE_MAX {
                    self.spare.push(batch);
                }
                self.state = State::Idle(transactor);
                self.count(&done);
                Ok(())
            }
            Err(error) => {
                self.state = State::Failed(transactor);
                Err(error)
            }
        })
    }

    fn count(&self, done: &Done) {
        self.metrics.sent(done.bytes);
        if let Some(committed) = done.committed {
            self.metrics.committed(done.elapsed);
            if committed == Committed::ReadBack {
                self.metrics.read_back();
            }
        }
    }

    /// Waits until the slot is at rest, and lends the transactor.
    ///
    /// # Errors
    /// What the step failed with.
    pub async fn idle(&mut self) -> Result<&mut Transactor<L>, SinkError> {
        if self.is_busy() {
            self.done().await?;
        }
        match &mut self.state {
            State::Idle(transactor) | State::Failed(transactor) => Ok(transactor),
            State::Busy(_) | State::Moving => Err(SinkError::NotCommitted),
        }
    }

    /// Ends the slot after an error elsewhere: the transactor, once no step has it, and what that last step
    /// failed with.
    pub async fn into_transactor(mut self) -> (Option<Transactor<L>>, Option<SinkError>) {
        let error = match self.is_busy() {
            true => self.done().await.err(),
            false => None,
        };
        match self.state {
            State::Idle(transactor) | State::Failed(transactor) => (Some(transactor), error),
            State::Busy(_) | State::Moving => (None, error),
        }
    }
}
