//! The seam between the exactly-once state machine and Kafka.
//!
//! A [`Log`] carries out single steps and decides nothing: no retry, no fencing rule, no read-back. All of
//! that lives above, in [`super::transactor`], and is shared by the real and the simulated half.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use binlog_bridge_core::encode::Batch;

/// One transactional producer, and the reads and topic requests that go with it.
///
/// At most one step runs at a time. A step whose future is dropped may still be carried out.
pub trait Log: Send + 'static {
    /// Drops the producer there is, if any, makes a new one and calls `init_transactions`: every older
    /// producer of the same transactional id is fenced once this returns `Ok` (I5).
    fn init(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Begins a transaction.
    fn begin(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Appends all records of the batch to the open transaction and waits until each is acknowledged.
    ///
    /// Returns the batch, untouched, for its next use. After an error the batch is gone: its memory is
    /// released when the producer is.
    fn append(&mut self, batch: Batch) -> impl Future<Output = Result<Batch, LogError>> + Send;

    /// Ends the open transaction. Everything appended is acknowledged by now, so that the time this took
    /// is the time of EndTxn alone.
    fn commit(&mut self) -> impl Future<Output = CommitAnswer> + Send;

    /// The longest that brokers let a transaction of this producer be open.
    fn transaction_timeout(&self) -> Duration;

    /// Aborts the open transaction.
    fn abort(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;

    /// The end of a topic's partition 0 as a client of the given isolation sees it.
    fn end_offset(
        &mut self,
        topic: &str,
        isolation: Isolation,
    ) -> impl Future<Output = Result<i64, LogError>> + Send;

    /// A topic's partitions in which an open transaction has records, each with the offset of the first of them.
    fn held_back(
        &mut self,
        topic: &str,
        partitions: i32,
    ) -> impl Future<Output = Result<Vec<(i32, i64)>, LogError>> + Send;

    /// The first offset that a topic's partition 0 still has. Compaction does not move it; deletion does.
    fn begin_offset(&mut self, topic: &str) -> impl Future<Output = Result<i64, LogError>> + Send;

    /// Reads committed records of a topic's partition 0, from an offset up to its last stable offset.
    fn read_committed(
        &mut self,
        topic: &str,
        from: i64,
    ) -> impl Future<Output = Result<CommittedRecords, LogError>> + Send;

    /// What the cluster says of each topic, in the order asked for; `None` if there is none of that name.
    fn describe_topics(
        &mut self,
        topics: &[String],
    ) -> impl Future<Output = Result<Vec<Option<TopicDescription>>, LogError>> + Send;

    /// What the cluster says of one topic.
    fn describe_topic(
        &mut self,
        topic: &str,
    ) -> impl Future<Output = Result<Option<TopicDescription>, LogError>> + Send {
        let topics = [topic.to_owned()];
        async move { Ok(self.describe_topics(&topics).await?.pop().flatten()) }
    }

    /// Makes a topic. `Ok` as well if it exists by now; who needs certainty describes it.
    fn create_topic(
        &mut self,
        topic: &NewTopic,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// All topics whose name begins with the prefix, with the sum of their partitions' high watermarks.
    fn list_topics(
        &mut self,
        prefix: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, u64>, LogError>> + Send;

    /// Number of brokers in the cluster, for replication factors.
    fn broker_count(&mut self) -> impl Future<Output = Result<usize, LogError>> + Send;
}

/// What an end of transaction said, without judgement.
#[derive(Debug)]
pub struct CommitAnswer {
    /// What `commit_transaction` returned.
    pub result: Result<(), LogError>,
    /// How long EndTxn took.
    pub elapsed: Duration,
    /// True if an EndTxn request got no answer: its connection failed, or it timed out.
    pub transport_error: bool,
}

/// Which end of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The high watermark.
    ReadUncommitted,
    /// The last stable offset: open transactions hold it back.
    ReadCommitted,
}

/// The answer of [`Log::read_committed`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommittedRecords {
    /// Key and value of each record with a key, in order; a null value is a deletion.
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The last stable offset up to which this read went: where the next read begins.
    pub next_offset: i64,
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The topic's id, in the base64 text form that Kafka's tools print: another id is another topic.
    pub id: String,
    /// Number of partitions.
    pub partitions: i32,
}

/// A topic to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication_factor: i32,
    /// Topic settings, such as `retention.ms`.
    pub settings: BTreeMap<String, String>,
}

/// A step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka: {operation} failed: {message}")]
pub struct LogError {
    /// What was tried, such as `commit_transaction`.
    pub operation: &'static str,
    /// What kind of failure the client says it is.
    pub kind: LogErrorKind,
    /// The client's words.
    pub message: String,
}

/// Kinds of failure, as the Kafka client tells them apart; what follows is decided in `error.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogErrorKind {
    /// Another producer with our transactional id has been initialised since, or the broker ended our epoch.
    Fenced,
    /// The producer cannot be used any more, for another reason.
    Fatal,
    /// The open transaction can only be aborted.
    Abortable,
    /// The cluster could not be reached, or did not answer in time.
    Unreachable,
    /// The cluster refused the credentials.
    Authentication,
    /// The account lacks a right.
    Authorization,
    /// The topic or partition does not exist (any more).
    UnknownTopic,
    /// A record is larger than the cluster takes.
    TooLarge,
    /// The topic's settings refuse a record: one without a key in a compacted topic.
    InvalidRecord,
    /// The client refused its configuration.
    Configuration,
    /// Anything else.
    Other,
}

impl LogErrorKind {
    /// True if the producer was fenced or cannot be used any more: the owner record decides what follows.
    #[must_use]
    pub fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::Fatal)
    }
}
