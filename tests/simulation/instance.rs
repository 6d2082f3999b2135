//! One process of the connector: it can be killed at any point, frozen, and asked to end.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use binlog_bridge::health::Health;
use binlog_bridge::metrics::Metrics;
use binlog_bridge::modify::Modifications;
use binlog_bridge::shutdown::{Shutdown, ShutdownTrigger, shutdown};
use binlog_bridge::supervise::{Connections, Halt, Task, supervise};
use binlog_bridge_tests::simulated::dump::SimDump;
use binlog_bridge_tests::simulated::log::SimLog;
use binlog_bridge_tests::simulated::process::Process;
use binlog_bridge_tests::simulated::registry::SimRegistry;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

pub struct Instance {
    pub name: String,
    pub process: Process,
    pub health: Health,
    pub trigger: Arc<ShutdownTrigger>,
    frozen: Arc<Mutex<Option<Instant>>>,
    task: JoinHandle<Option<Result<(), Halt>>>,
}

impl Instance {
    pub fn start(
        task: Task,
        process: Process,
        connections: Connections<SimDump, SimLog, SimRegistry>,
    ) -> Self {
        let name = task.owner.instance.clone();
        let (trigger, asked) = shutdown();
        let health = Health::starting();
        let run = run(task, connections, health.clone(), asked);
        let frozen = Arc::new(Mutex::new(None));
        let life = Life {
            inner: Box::pin(run),
            process: process.clone(),
            until: Arc::clone(&frozen),
            sleep: None,
        };
        Self {
            name,
            process,
            health,
            trigger: Arc::new(trigger),
            frozen,
            task: tokio::spawn(life),
        }
    }

    /// See [`crate::world::World::freeze`].
    pub(crate) fn freeze(&self, time: Duration) {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        *frozen = Some(Instant::now() + time);
    }

    /// kill -9
    pub async fn kill(self) {
        self.task.abort();
        let _killed = self.task.await;
    }

    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// How the process ended; `None` if it was killed at a point.
    pub async fn end(self) -> Option<Result<(), Halt>> {
        let limit = Duration::from_secs(3600);
        let result = tokio::time::timeout(limit, self.task)
            .await
            .expect("it ends by itself");
        result.expect("the process does not panic")
    }

    /// How the process ended by itself.
    pub async fn ended(self) -> Result<(), Halt> {
        self.end().await.expect("it is not killed")
    }

    pub async fn ready(&self) {
        let wait = async {
            while !self.health.is_ready() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), wait)
            .await
            .expect("it gets ready");
    }
}

async fn run(
    task: Task,
    connections: Connections<SimDump, SimLog, SimRegistry>,
    health: Health,
    asked: Shutdown,
) -> Result<(), Halt> {
    let metrics = Metrics::new().expect("the names of metrics differ");
    let (task, modifications) = (Arc::new(task), Modifications::none());
    supervise(task, modifications, &connections, &health, &metrics, &asked).await
}

/// A future that is not polled while it is frozen, and never again once its process is dead.
struct Life<F> {
    inner: Pin<Box<F>>,
    process: Process,
    until: Arc<Mutex<Option<Instant>>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Life<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let until = self
            .until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(until) = until {
            self.sleep = Some(Box::pin(tokio::time::sleep_until(until)));
        }
        if let Some(sleep) = &mut self.sleep {
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
        let polled = self.inner.as_mut().poll(context);
        if self.process.is_dead() {
            return Poll::Ready(None);
        }
        polled.map(Some)
    }
}
