//! A server, a cluster and a registry in memory, and instances of the connector between them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use binlog_bridge::health::Health;
use binlog_bridge::metrics::Metrics;
use binlog_bridge::pipeline::Limits;
use binlog_bridge::shutdown::{Shutdown, ShutdownTrigger, shutdown};
use binlog_bridge::sink::topics::TopicSettings;
use binlog_bridge::start::Start;
use binlog_bridge::supervise::{Connections, Halt, Task, supervise};
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::Owner;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use crate::check::check;
use binlog_bridge_tests::simulated::broker::Broker;
use binlog_bridge_tests::simulated::dump::{Network, SimDump};
use binlog_bridge_tests::simulated::log::SimLog;
use binlog_bridge_tests::simulated::random::Random;
use binlog_bridge_tests::simulated::registry::SimRegistry;
use binlog_bridge_tests::simulated::server::Server;

pub const TASK: &str = "sim";
pub const STATE: &str = "binlog-bridge.sim.state";

pub struct World {
    pub broker: Arc<Mutex<Broker>>,
    pub server: Arc<Mutex<Server>>,
    pub network: Arc<Mutex<Network>>,
    pub registry: Arc<SimRegistry>,
    pub task: Task,
    random: Random,
    started: u64,
}

/// One process of the connector.
pub struct Instance {
    pub name: String,
    pub health: Health,
    pub trigger: ShutdownTrigger,
    frozen: Arc<Mutex<Option<Instant>>>,
    process: JoinHandle<Result<(), Halt>>,
}

impl World {
    /// A world in which nothing fails.
    pub fn calm(gtid_on: bool) -> Self {
        Self::new(Random::new(1), gtid_on, 0)
    }

    pub fn new(mut random: Random, gtid_on: bool, faults_per_mille: u64) -> Self {
        let broker = Broker::new(random.fork(), faults_per_mille);
        let server = Server::new(random.fork(), gtid_on);
        let network = Network {
            cuts_per_mille: faults_per_mille / 3,
            block_events_max: 8,
        };
        let registry = SimRegistry::new(random.fork(), faults_per_mille / 3);
        Self {
            broker: Arc::new(Mutex::new(broker)),
            server: Arc::new(Mutex::new(server)),
            network: Arc::new(Mutex::new(network)),
            registry: Arc::new(registry),
            task: task(),
            random,
            started: 0,
        }
    }

    pub fn broker(&self) -> MutexGuard<'_, Broker> {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        broker.tick();
        broker
    }

    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn end_faults(&self) {
        self.broker().faults_per_mille = 0;
        self.registry.end_faults();
        self.network
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cuts_per_mille = 0;
    }

    /// Starts a process, with an owner id of its own.
    pub fn start(&mut self) -> Instance {
        self.started += 1;
        let name = format!("instance-{}", self.started);
        let mut task = self.task.clone();
        task.owner = Owner {
            instance: name.clone(),
            started_ts_ms: i64::try_from(self.started).unwrap(),
        };
        let connections = self.connections(&name);
        let (trigger, asked) = shutdown();
        let health = Health::starting();
        let run = run(task, connections, health.clone(), asked);
        let frozen = Arc::new(Mutex::new(None));
        let process = Freezer {
            inner: Box::pin(run),
            until: Arc::clone(&frozen),
            sleep: None,
        };
        let process = tokio::spawn(process);
        self.broker().note(&format!("{name} starts"));
        Instance {
            name,
            health,
            trigger,
            frozen,
            process,
        }
    }

    fn connections(&mut self, name: &str) -> Connections<SimDump, SimLog, SimRegistry> {
        let (broker, who) = (Arc::clone(&self.broker), name.to_owned());
        let (server, network) = (Arc::clone(&self.server), Arc::clone(&self.network));
        let random = Mutex::new(self.random.fork());
        let dump = move || {
            let random = random.lock().unwrap_or_else(PoisonError::into_inner).fork();
            SimDump::new(Arc::clone(&server), random, Arc::clone(&network))
        };
        Connections {
            dump: Box::new(dump),
            log: Box::new(move || Ok(SimLog::new(Arc::clone(&broker), &who))),
            registry: Arc::clone(&self.registry),
        }
    }

    /// Checks all that is committed; the number of source transactions that it covers.
    pub fn check(&self) -> Result<usize, String> {
        check(&self.broker(), &self.server(), TASK)
    }

    /// Waits until everything in the server's history is published.
    pub async fn caught_up(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        loop {
            let covered = self.check()?;
            let all = self.server().history.len();
            if covered == all {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "only {covered} of {all} source transactions are published"
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Instance {
    /// Stops the process for some time, as a virtual machine that is moved; connections stay open.
    pub fn freeze(&self, time: Duration) {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        *frozen = Some(Instant::now() + time);
    }

    /// kill -9
    pub async fn kill(self) {
        self.process.abort();
        let _killed = self.process.await;
    }

    pub fn has_ended(&self) -> bool {
        self.process.is_finished()
    }

    /// How the process ended.
    pub async fn ended(self) -> Result<(), Halt> {
        let limit = Duration::from_secs(3600);
        let result = tokio::time::timeout(limit, self.process)
            .await
            .expect("it ends by itself");
        result.expect("the process neither panics nor is killed")
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
    supervise(&task, &connections, &health, &metrics, &asked).await
}

/// A future that is not polled while it is frozen.
struct Freezer<F> {
    inner: Pin<Box<F>>,
    until: Arc<Mutex<Option<Instant>>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Freezer<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
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
        self.inner.as_mut().poll(context)
    }
}

fn task() -> Task {
    Task {
        name: TASK.to_owned(),
        selection: Selection {
            databases: ["shop".to_owned()].into(),
            ..Selection::default()
        },
        start: Start::Earliest,
        topics: TopicSettings {
            partitions: 3,
            replication_factor: None,
            retention_ms: 86_400_000,
            record_bytes_max: 1 << 20,
            tables: Default::default(),
        },
        transactions: true,
        limits: Limits {
            batch_bytes_max: 2_000,
            commit_interval_min: Duration::ZERO,
            checkpoint_interval: Duration::from_secs(1),
            record_bytes_max: 1 << 20,
            transaction_bytes_max: 1 << 30,
            transaction_time_max: Duration::from_secs(30),
        },
        owner: Owner {
            instance: String::new(),
            started_ts_ms: 0,
        },
    }
}
