//! What [`Log`] promises.

mod compaction;
mod fencing;
mod reading;
mod topics;
mod writing;

use std::collections::BTreeMap;

use binlog_bridge::sink::log::{CommittedRecords, Isolation, Log, NewTopic};
use binlog_bridge_core::encode::{Batch, TopicPartition};

/// A Kafka cluster, with a transactional id that is this test's own.
pub(crate) trait Cluster {
    type Log: Log;

    async fn new() -> Self;

    /// A log of this test's transactional id.
    fn log(&self) -> Self::Log;

    /// The same, but the broker ends a transaction of it that stays open for a few seconds.
    fn hasty_log(&self) -> Self::Log;

    /// A log of another transactional id.
    fn log_elsewhere(&self) -> Self::Log;

    /// The name of a topic that nobody else uses.
    fn topic_name(&self) -> String;

    async fn delete_topic(&self, topic: &str);

    /// All that a client sees of a partition that reads committed records.
    async fn read_partition(&self, topic: &str, partition: i32) -> Vec<Pair>;

    /// Asks for compaction now, where one can ask.
    fn compact(&self, topic: &str);
}

/// Key and value.
pub(crate) type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Key and value as text, for keys that are never null.
type Text = (String, Option<String>);

/// A log that may begin a transaction, and a topic of one partition.
async fn log_and_topic<C: Cluster>(cluster: &C) -> (C::Log, String) {
    let mut log = cluster.log();
    log.init().await.unwrap();
    let topic = make_topic(cluster, &mut log, 1).await;
    (log, topic)
}

async fn make_topic<C: Cluster>(cluster: &C, log: &mut C::Log, partitions: i32) -> String {
    let topic = cluster.topic_name();
    log.create_topic(&new_topic(&topic, partitions, &[]))
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

/// A batch of one record for partition 0.
pub(crate) fn one(topic: &str, key: &str, value: Option<&str>) -> Batch {
    let mut batch = Batch::default();
    let (key, value) = (key.as_bytes(), value.map(str::as_bytes));
    batch.push(&partition(topic, 0), Some(key), value).unwrap();
    batch
}

/// Begins a transaction with one record.
async fn open(log: &mut impl Log, topic: &str, key: &str, value: Option<&str>) {
    log.begin().await.unwrap();
    let back = log.append(one(topic, key, value)).await.unwrap();
    assert!(back == one(topic, key, value), "the batch was changed");
}

/// One record in a transaction of its own.
async fn write(log: &mut impl Log, topic: &str, key: &str, value: Option<&str>) {
    open(log, topic, key, value).await;
    log.commit().await.result.unwrap();
}

/// Another producer's transaction, with one record, that is open.
async fn open_elsewhere<C: Cluster>(cluster: &C, topic: &str) -> C::Log {
    let mut log = cluster.log_elsewhere();
    log.init().await.unwrap();
    open(&mut log, topic, "elsewhere", Some("x")).await;
    log
}

async fn commit_elsewhere(mut log: impl Log) {
    log.commit().await.result.unwrap();
    settle(&mut log).await;
}

/// An end of transaction is answered once it is decided; readers see it a moment later, when the markers are
/// written to the partitions. An init returns only after that.
async fn settle(log: &mut impl Log) {
    log.init().await.unwrap();
}

/// The ends that clients see which read committed records, and all.
async fn ends(log: &mut impl Log, topic: &str) -> (i64, i64) {
    let committed = log.end_offset(topic, Isolation::ReadCommitted).await;
    let all = log.end_offset(topic, Isolation::ReadUncommitted).await;
    (committed.unwrap(), all.unwrap())
}

/// Partition 0, records and where the next read begins.
async fn read(log: &mut impl Log, topic: &str, from: i64) -> (Vec<Text>, i64) {
    let CommittedRecords {
        records,
        next_offset,
    } = log.read_committed(topic, from).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let records = records
        .into_iter()
        .map(|(key, value)| (text(key), value.map(text)))
        .collect();
    (records, next_offset)
}

/// The form in which [`read`] gives records.
fn records(of: &[(&str, Option<&str>)]) -> Vec<Text> {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
        .collect()
}

/// The newest value of each key, without those that were deleted.
fn newest(records: Vec<Text>) -> BTreeMap<String, String> {
    let mut newest = BTreeMap::new();
    for (key, value) in records {
        match value {
            Some(value) => newest.insert(key, value),
            None => newest.remove(&key),
        };
    }
    newest
}
