//! Topics: made, described, listed; and what the tests of this folder share.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use binlog_bridge::sink::kafka::{KafkaLog, KafkaSettings};
use binlog_bridge::sink::log::{Log, LogErrorKind, NewTopic};
use binlog_bridge_core::encode::TopicPartition;

#[tokio::test]
async fn a_topic_made_again_has_another_id() {
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    let topic = make_topic(3).await;
    let before = log.describe_topic(&topic).await.unwrap().unwrap();
    assert_eq!((before.partitions, before.id.len()), (3, 22));
    let same = log.describe_topic(&topic).await.unwrap().unwrap();
    assert_eq!(before, same);

    delete_topic(&topic);
    let until = Instant::now() + Duration::from_secs(20);
    while log.describe_topic(&topic).await.unwrap().is_some() {
        assert!(Instant::now() < until, "the topic is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    log.create_topic(&new_topic(&topic, 3, &[])).await.unwrap();
    let after = log.describe_topic(&topic).await.unwrap().unwrap();
    assert_ne!(before.id, after.id);
}

#[tokio::test]
async fn a_topic_that_is_there_already_is_no_error_and_a_wrong_one_is() {
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    let topic = make_topic(1).await;
    log.create_topic(&new_topic(&topic, 1, &[])).await.unwrap();
    let wrong = log
        .create_topic(&new_topic(&name(), 1, &[("retention.ms", "soon")]))
        .await;
    assert_eq!(wrong.unwrap_err().kind, LogErrorKind::Configuration);
}

#[tokio::test]
async fn topics_are_listed_by_prefix() {
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    let topic = make_topic(2).await;
    let longer = format!("{topic}.more");
    log.create_topic(&new_topic(&longer, 1, &[])).await.unwrap();
    let expected = BTreeMap::from([(topic.clone(), 0), (longer, 0)]);
    assert_eq!(log.list_topics(&topic).await.unwrap(), expected);
    assert_eq!(
        log.list_topics("no-such-prefix").await.unwrap(),
        BTreeMap::new()
    );
    assert!(log.broker_count().await.unwrap() >= 1);
}

#[tokio::test]
async fn asking_for_a_topic_does_not_make_it() {
    use binlog_bridge::sink::log::Isolation;
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
    assert_eq!(log.describe_topic(&missing).await.unwrap(), None);
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

pub(crate) fn new_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        settings: settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
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
