//! The Kafka cluster that the tests share, and what it says of topics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use binlog_bridge::sink::kafka::{KafkaLog, KafkaSettings};
use binlog_bridge::sink::log::{Isolation, Log, LogErrorKind};
use binlog_bridge::sink::reader::{ReadEvent, Start, TopicReader};

use crate::log::{Cluster, Pair, new_topic};

/// The cluster as one test sees it.
pub(crate) struct KafkaCluster {
    transactional_id: String,
}

impl Cluster for KafkaCluster {
    type Log = KafkaLog;

    async fn new() -> Self {
        Self {
            transactional_id: name(),
        }
    }

    fn log(&self) -> KafkaLog {
        KafkaLog::new(settings(&self.transactional_id)).unwrap()
    }

    fn hasty_log(&self) -> KafkaLog {
        let mut settings = settings(&self.transactional_id);
        settings.transaction_timeout_ms = 1000;
        KafkaLog::new(settings).unwrap()
    }

    fn log_elsewhere(&self) -> KafkaLog {
        KafkaLog::new(settings(&name())).unwrap()
    }

    fn topic_name(&self) -> String {
        name()
    }

    async fn delete_topic(&self, topic: &str) {
        delete_topic(topic);
    }

    async fn read_partition(&self, topic: &str, partition: i32) -> Vec<Pair> {
        let topics = vec![topic.to_owned()];
        let mut reader = TopicReader::new(settings(&name()), topics, Start::Beginning).unwrap();
        let mut pairs = Vec::new();
        while let ReadEvent::Record(record) = reader.next().await.unwrap() {
            if record.partition == partition {
                pairs.push((record.key, record.value));
            }
        }
        pairs
    }

    /// The broker compacts by itself, all but the segment that is written to.
    fn compact(&self, _: &str) {}
}

#[tokio::test]
async fn a_wrong_topic_setting_is_a_matter_of_configuration() {
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    let wrong = log
        .create_topic(&new_topic(&name(), 1, &[("retention.ms", "soon")]))
        .await;
    assert_eq!(wrong.unwrap_err().kind, LogErrorKind::Configuration);
}

#[tokio::test]
async fn asking_for_a_missing_topic_is_answered_soon() {
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    let missing = name();
    assert_eq!(log.describe_topic(&missing).await.unwrap(), None);
    let started = Instant::now();
    for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
        let end = log.end_offset(&missing, isolation).await;
        assert_eq!(end.unwrap_err().kind, LogErrorKind::UnknownTopic);
    }
    let read = log.read_committed(&missing, 0).await;
    assert_eq!(read.unwrap_err().kind, LogErrorKind::UnknownTopic);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

/// Settings for the broker under test.
pub(crate) fn settings(transactional_id: &str) -> KafkaSettings {
    KafkaSettings {
        bootstrap_servers: brokers(),
        transactional_id: transactional_id.to_owned(),
        client: BTreeMap::new(),
        batch_bytes_max: 4 << 20,
        record_bytes_max: 2 << 20,
        transaction_timeout_ms: 60_000,
        request_timeout_ms: 30_000,
    }
}

/// A name that no other test and no other run uses.
pub(crate) fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_micros();
    format!("contract-{now:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn make_topic(partitions: i32) -> String {
    make_topic_with(partitions, &[]).await
}

pub(crate) async fn make_topic_with(partitions: i32, topic_settings: &[(&str, &str)]) -> String {
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    let topic = name();
    log.create_topic(&new_topic(&topic, partitions, topic_settings))
        .await
        .unwrap();
    topic
}

fn brokers() -> String {
    std::env::var("BINLOG_BRIDGE_TEST_KAFKA")
        .expect("these tests need a broker: set BINLOG_BRIDGE_TEST_KAFKA to its host:port")
}

/// Sends DeleteTopics, version 1, by hand: the connector never deletes a topic.
fn delete_topic(topic: &str) {
    let text = |text: &str| {
        let mut bytes = i16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    };
    let mut request = vec![0, 20, 0, 1, 0, 0, 0, 7]; // API 20, version 1, correlation 7
    request.extend(text("contract-tests"));
    request.extend(1_i32.to_be_bytes());
    request.extend(text(topic));
    request.extend(10_000_i32.to_be_bytes());
    let mut broker = TcpStream::connect(brokers()).unwrap();
    broker
        .write_all(&i32::try_from(request.len()).unwrap().to_be_bytes())
        .unwrap();
    broker.write_all(&request).unwrap();
    // Length, correlation, throttle time, one topic: name and error code.
    let mut response = vec![0; 4 + 4 + 4 + 4 + 2 + topic.len() + 2];
    broker.read_exact(&mut response).unwrap();
    assert_eq!(
        response[response.len() - 2..],
        [0, 0],
        "the broker did not delete the topic"
    );
}
