//! The worlds of the simulated halves, without faults: one for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use binlog_bridge_core::selection::TableName;
use binlog_bridge_tests::simulated::broker::Broker;
use binlog_bridge_tests::simulated::dump::{Network, SimDump};
use binlog_bridge_tests::simulated::log::SimLog;
use binlog_bridge_tests::simulated::process::Process;
use binlog_bridge_tests::simulated::random::Random;
use binlog_bridge_tests::simulated::registry::SimRegistry;
use binlog_bridge_tests::simulated::server::{Server, TABLES};
use binlog_bridge_tests::simulated::trace::Trace;

use crate::dump::Source;
use crate::log::{Cluster, Pair};
use crate::registry::Catalog;

/// The model of a Kafka cluster.
pub(crate) struct SimCluster {
    broker: Arc<Mutex<Broker>>,
    names: AtomicU32,
}

impl SimCluster {
    fn log_of(&self, transactional_id: &str) -> SimLog {
        let process = Process::new("contract", Trace::default());
        SimLog::of(Arc::clone(&self.broker), process, transactional_id)
    }
}

impl Cluster for SimCluster {
    type Log = SimLog;

    async fn new() -> Self {
        Self {
            broker: Arc::new(Mutex::new(Broker::new(Random::new(1), 0))),
            names: AtomicU32::new(0),
        }
    }

    fn log(&self) -> SimLog {
        self.log_of("contract")
    }

    /// A minute passes quickly here.
    fn hasty_log(&self) -> SimLog {
        self.log()
    }

    fn log_elsewhere(&self) -> SimLog {
        self.log_of("elsewhere")
    }

    fn topic_name(&self) -> String {
        format!("topic-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    async fn delete_topic(&self, topic: &str) {
        self.broker.lock().unwrap().topics.remove(topic).unwrap();
    }

    async fn read_partition(&self, topic: &str, partition: i32) -> Vec<Pair> {
        let partition = usize::try_from(partition).unwrap();
        let broker = self.broker.lock().unwrap();
        broker
            .records(topic, partition, 0)
            .map(|(_, key, value)| (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)))
            .collect()
    }

    fn compact(&self, topic: &str) {
        self.broker.lock().unwrap().compact(topic, 0, true);
    }
}

/// The model of a MySQL server.
pub(crate) struct SimSource {
    server: Arc<Mutex<Server>>,
    network: Arc<Mutex<Network>>,
    random: Mutex<Random>,
}

impl Source for SimSource {
    type Dump = SimDump;

    async fn new() -> Self {
        let mut random = Random::new(1);
        let network = Network::new(random.fork(), 0);
        Self {
            server: Arc::new(Mutex::new(Server::new(random.fork(), true))),
            network: Arc::new(Mutex::new(network)),
            random: Mutex::new(random),
        }
    }

    fn dump(&self) -> SimDump {
        SimDump::new(
            Arc::clone(&self.server),
            Arc::clone(&self.network),
            Process::new("contract", Trace::default()),
            self.random.lock().unwrap().fork(),
        )
    }

    /// Every dump hands on some events in parts here.
    fn dump_in_parts(&self) -> SimDump {
        self.dump()
    }

    fn table(&self) -> TableName {
        TableName::new("shop", TABLES[0])
    }

    async fn alter(&mut self) {
        let mut server = self.server.lock().unwrap();
        let before = server.tables[0].columns.to_vec();
        while *server.tables[0].columns == before {
            server.define();
        }
    }

    async fn execute(&mut self) {
        self.server.lock().unwrap().transaction(2, false);
    }

    async fn rotate(&mut self) {
        self.server.lock().unwrap().rotate();
    }

    async fn purge(&mut self) {
        let mut server = self.server.lock().unwrap();
        let last = server.files.len() - 1;
        server.purge(last);
    }
}

/// The model of a schema registry.
pub(crate) struct SimCatalog {
    registry: SimRegistry,
}

impl Catalog for SimCatalog {
    type Registry = SimRegistry;

    async fn new() -> Self {
        Self {
            registry: SimRegistry::new(Random::new(1), 0),
        }
    }

    fn registry(&self) -> &SimRegistry {
        &self.registry
    }

    fn subject(&self) -> String {
        "contract-value".to_owned()
    }
}
