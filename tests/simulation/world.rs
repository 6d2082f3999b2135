//! A server, a cluster and a registry in memory, and instances of the connector between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use binlog_bridge::pipeline::Limits;
use binlog_bridge::sink::topics::TopicSettings;
use binlog_bridge::start::Start;
use binlog_bridge::supervise::{Connections, Task};
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::Owner;
use binlog_bridge_tests::simulated::broker::{Broker, TRANSACTIONAL_ID};
use binlog_bridge_tests::simulated::dump::{Network, SimDump};
use binlog_bridge_tests::simulated::faults::{Fault, Faults};
use binlog_bridge_tests::simulated::log::SimLog;
use binlog_bridge_tests::simulated::process::Process;
use binlog_bridge_tests::simulated::random::Random;
use binlog_bridge_tests::simulated::registry::SimRegistry;
use binlog_bridge_tests::simulated::server::Server;
use binlog_bridge_tests::simulated::trace::Trace;
use tokio::time::Instant;

use crate::check::{Checker, SplitLimits};
use crate::group::Group;
use crate::instance::Instance;

pub const TASK: &str = "sim";
pub const STATE: &str = "binlog-bridge.sim.state";

pub struct World {
    pub broker: Arc<Mutex<Broker>>,
    pub server: Arc<Mutex<Server>>,
    pub network: Arc<Mutex<Network>>,
    pub registry: SimRegistry,
    pub checker: Arc<Mutex<Checker>>,
    pub task: Task,
    pub trace: Trace,
    random: Random,
    pub started: u64,
    pub commands: u64,
    /// Where instances stand by for each other.
    pub group: Option<Group>,
}

impl World {
    /// A world in which nothing fails.
    pub fn calm(gtid_on: bool) -> Self {
        Self::new(Random::new(1), gtid_on, 0)
    }

    pub fn new(mut random: Random, gtid_on: bool, faults_per_mille: u64) -> Self {
        let trace = Trace::default();
        let mut broker = Broker::new(random.fork(), faults_per_mille);
        broker.trace = trace.clone();
        let server = Arc::new(Mutex::new(Server::new(random.fork(), gtid_on)));
        let network = Network::new(random.fork(), faults_per_mille / 3);
        let registry = SimRegistry::new(random.fork(), faults_per_mille / 3);
        let task = task();
        let split_limits = SplitLimits {
            bytes: task.limits.transaction_bytes_max,
            open: broker.transaction_timeout / 2,
            slack: Duration::ZERO,
        };
        let checker = Checker::new(TASK, Arc::clone(&server), registry.clone(), split_limits);
        let checker = Arc::new(Mutex::new(checker));
        let observer = Arc::clone(&checker);
        broker.observer = Some(Box::new(move |index, transaction| {
            let mut checker = observer.lock().unwrap_or_else(PoisonError::into_inner);
            checker.committed(index, transaction);
        }));
        Self {
            broker: Arc::new(Mutex::new(broker)),
            server,
            network: Arc::new(Mutex::new(network)),
            registry,
            checker,
            task,
            trace,
            random,
            started: 0,
            commands: 0,
            group: None,
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

    pub fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops a process for some time, as a virtual machine that is moved; connections stay open.
    pub fn freeze(&self, instance: &Instance, time: Duration) {
        instance.freeze(time);
        let slack = &mut self.checker().split_limits.slack;
        *slack = time.max(*slack);
    }

    /// Changes the faults of each seam.
    pub fn faults(&self, change: impl Fn(&mut Faults)) {
        change(&mut self.broker().faults);
        change(&mut self.network().faults);
        self.registry.faults(&change);
    }

    pub fn end_faults(&self) {
        self.faults(|faults| faults.per_mille = 0);
    }

    /// How often each fault was made.
    pub fn faults_made(&self) -> BTreeMap<Fault, u64> {
        let mut sum = BTreeMap::new();
        let mut add = |faults: &Faults| {
            for (fault, count) in &faults.made {
                *sum.entry(*fault).or_default() += count;
            }
        };
        add(&self.broker().faults);
        add(&self.network().faults);
        self.registry.faults(|faults| add(faults));
        sum
    }

    /// Starts a process, with an owner id of its own.
    pub fn start(&mut self) -> Instance {
        self.started += 1;
        {
            let mut checker = self.checker();
            checker.split_limits.bytes = self.task.limits.transaction_bytes_max;
            checker.split_limits.open = self.task.limits.transaction_time_max;
        }
        let name = format!("instance-{}", self.started);
        let mut task = self.task.clone();
        task.owner = Owner {
            instance: name.clone(),
            started_ts_ms: i64::try_from(self.started).unwrap(),
            command: None,
        };
        let process = Process::new(&name, self.trace.clone());
        self.trace.note(&name, "starts");
        let mut connections = self.connections(&process);
        if let Some(group) = &self.group {
            connections.turn = Some(group.member(&name));
        }
        Instance::start(task, process, connections)
    }

    pub fn connections(&mut self, process: &Process) -> Connections<SimDump, SimLog, SimRegistry> {
        let (server, network) = (Arc::clone(&self.server), Arc::clone(&self.network));
        let random = Mutex::new(self.random.fork());
        let of_dump = process.clone();
        let dump = Arc::new(move || {
            let random = random.lock().unwrap_or_else(PoisonError::into_inner).fork();
            let (server, network) = (Arc::clone(&server), Arc::clone(&network));
            SimDump::new(server, network, of_dump.clone(), random)
        });
        let another = Arc::clone(&dump);
        let (broker, of_log) = (Arc::clone(&self.broker), process.clone());
        let log = move || {
            let broker = Arc::clone(&broker);
            Ok(SimLog::of(broker, of_log.clone(), TRANSACTIONAL_ID))
        };
        Connections {
            dump: Box::new(move || dump()),
            look_ahead: Box::new(move || another().second()),
            log: Box::new(log),
            server_id_taken: Arc::default(),
            registry: Arc::new(self.registry.of(process.clone())),
            turn: None,
        }
    }

    /// What did not hold so far; else the number of source transactions that are published.
    pub fn check(&self) -> Result<usize, String> {
        // What is due happens first.
        drop(self.broker());
        let checker = self.checker();
        match &checker.violation {
            Some(why) => Err(why.clone()),
            None => Ok(checker.covered()),
        }
    }

    /// Waits until everything in the server's history is published.
    pub async fn caught_up(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        loop {
            let covered = self.check()?;
            let all = self.server().published().len();
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
            publish_held_back: false,
            transaction_timeout: Duration::from_secs(60),
        },
        transactions: true,
        tombstones: false,
        data_updates: true,
        schema_updates: true,
        heartbeat_interval: None,
        rules: Default::default(),
        limits: Limits {
            batch_bytes_max: 2_000,
            commit_interval_min: Duration::ZERO,
            checkpoint_interval: Duration::from_secs(1),
            record_bytes_max: 1 << 20,
            transaction_bytes_max: 1 << 30,
            transaction_time_max: Duration::from_secs(30),
        },
        lookahead_entries_max: 1000,
        owner: Owner {
            instance: String::new(),
            started_ts_ms: 0,
            command: None,
        },
    }
}
