//! The real half of [`Log`]: Kafka through librdkafka.
//!
//! A [`KafkaLog`] is a channel to one thread that owns the transactional producer and the clients that
//! read. The thread carries out one step after another and decides nothing (no retry beyond the client's
//! own, no fencing rule): that is the business of the state machine above.
//!
//! Invariants kept here: a commit is reported as certain only if its EndTxn was answered, and never sent
//! when a record of the transaction was refused (I2, I3); a batch outlives its use by the client; no error
//! and no log line holds a row value or a secret (I9).

mod client;
pub(in crate::sink) mod failure;
mod group;
pub(in crate::sink) mod native;
mod patience;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use binlog_bridge_core::encode::Batch;
use tokio::sync::oneshot;
use tracing::warn;

pub(in crate::sink) use self::client::Context;
pub use self::client::RECORD_OVERHEAD_BYTES;
pub use self::group::queue_for_turn;
use self::worker::{Step, Worker};
use super::log::{
    CommitAnswer, CommittedRecords, Isolation, Log, LogError, LogErrorKind, NewTopic,
    TopicDescription,
};

/// How to reach the cluster, and the limits of what is sent to it.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Hosts to begin with, as `host:port,host:port`.
    pub bootstrap_servers: String,
    /// The identity that transactions are fenced by; also the client's name in the brokers' logs.
    pub transactional_id: String,
    /// Settings passed through to the Kafka client, such as `security.protocol` and `sasl.password`,
    /// already checked. What exactly once rests on is set over them.
    pub client: BTreeMap<String, String>,
    /// The most bytes of keys and values that one batch holds.
    pub batch_bytes_max: usize,
    /// The most bytes of key and value that one record holds.
    pub record_bytes_max: usize,
    /// After how many milliseconds the broker aborts an open transaction by itself; at least 1000.
    pub transaction_timeout_ms: u32,
    /// How many milliseconds a step other than `append` waits for the cluster.
    pub request_timeout_ms: u32,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("transactional_id", &self.transactional_id)
            // Any of the values may be a secret.
            .field("client", &self.client.keys().collect::<Vec<_>>())
            .field("batch_bytes_max", &self.batch_bytes_max)
            .field("record_bytes_max", &self.record_bytes_max)
            .field("transaction_timeout_ms", &self.transaction_timeout_ms)
            .field("request_timeout_ms", &self.request_timeout_ms)
            .finish()
    }
}

/// One transactional producer in Kafka. See [`Log`] for what each step promises.
pub struct KafkaLog {
    // Taken when dropped; the thread ends once there is no sender any more.
    steps: Option<mpsc::Sender<Step>>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected once the thread has dropped its clients.
    ended: mpsc::Receiver<()>,
    stopped: Arc<AtomicBool>,
    /// How long a step may take; the client's own time-outs end before.
    step_max: Duration,
    transaction_timeout: Duration,
}

/// How long dropping a [`KafkaLog`] waits for its thread.
const END_WITHIN: Duration = Duration::from_secs(1);
/// What a step may take beyond the time-outs of its requests, such as for topics to show up.
const STEP_GRACE: Duration = Duration::from_secs(60);

impl KafkaLog {
    /// Starts the thread. Nothing is connected before the first step.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(settings: KafkaSettings) -> Result<KafkaLog, LogError> {
        let transaction_timeout = Duration::from_millis(u64::from(settings.transaction_timeout_ms));
        let time_out_ms = settings.transaction_timeout_ms + settings.request_timeout_ms;
        let step_max = 2 * Duration::from_millis(u64::from(time_out_ms)) + STEP_GRACE;
        let (steps, receiver) = mpsc::channel::<Step>();
        let (ended_sender, ended) = mpsc::channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("kafka".to_owned()).spawn({
            let stopped = Arc::clone(&stopped);
            move || {
                let _ended = ended_sender; // dropped last
                worker::run(settings, stopped, &receiver);
            }
        });
        let thread = thread.map_err(|error| LogError {
            operation: "start",
            kind: LogErrorKind::Other,
            message: error.to_string(),
        })?;
        Ok(KafkaLog {
            steps: Some(steps),
            thread: Some(thread),
            ended,
            stopped,
            step_max,
            transaction_timeout,
        })
    }

    async fn step<T: Send + 'static>(
        &mut self,
        operation: &'static str,
        step: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let gone = || LogError {
            operation,
            kind: LogErrorKind::Fatal,
            message: "the thread of the Kafka client has ended".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        let step: Step = Box::new(move |worker| {
            // Nobody waits any more if the step's future was dropped.
            answer.send(step(worker)).ok();
        });
        self.steps
            .as_ref()
            .ok_or_else(gone)?
            .send(step)
            .map_err(|_| gone())?;
        match tokio::time::timeout(self.step_max, answered).await {
            Ok(answer) => answer.map_err(|_| gone()),
            Err(_) => {
                // Nothing more is asked of it: the next run has a client of its own.
                self.steps = None;
                Err(LogError {
                    operation,
                    kind: LogErrorKind::Unreachable,
                    message: "the Kafka client does not come back".to_owned(),
                })
            }
        }
    }
}

impl Drop for KafkaLog {
    /// Waits for the thread, for a second at most. A thread that a host lookup or a slow broker holds
    /// up longer ends by itself when its step times out; all that it uses, batches too, is its own.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.steps = None;
        match self.ended.recv_timeout(END_WITHIN) {
            Err(mpsc::RecvTimeoutError::Timeout) => warn!("the Kafka client has not ended in time"),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                let ended = self.thread.take().map(JoinHandle::join);
                if let Some(Err(_)) = ended {
                    warn!("the thread of the Kafka client panicked");
                }
            }
        }
    }
}

impl Log for KafkaLog {
    async fn init(&mut self) -> Result<(), LogError> {
        self.step("init_transactions", Worker::init).await?
    }

    async fn begin(&mut self) -> Result<(), LogError> {
        self.step("begin_transaction", Worker::begin).await?
    }

    async fn append(&mut self, batch: Batch) -> Result<Batch, LogError> {
        self.step("append", |worker| worker.append(batch)).await?
    }

    async fn commit(&mut self) -> CommitAnswer {
        self.step("commit_transaction", Worker::commit)
            .await
            .unwrap_or_else(|error| CommitAnswer {
                result: Err(error),
                elapsed: Duration::ZERO,
                transport_error: true,
            })
    }

    async fn abort(&mut self) -> Result<(), LogError> {
        self.step("abort_transaction", Worker::abort).await?
    }

    async fn end_offset(&mut self, topic: &str, isolation: Isolation) -> Result<i64, LogError> {
        let topic = topic.to_owned();
        self.step("end_offset", move |worker| {
            worker.end_offset(&topic, isolation)
        })
        .await?
    }

    async fn read_committed(
        &mut self,
        topic: &str,
        from: i64,
    ) -> Result<CommittedRecords, LogError> {
        let topic = topic.to_owned();
        self.step("read_committed", move |worker| {
            worker.read_committed(&topic, from)
        })
        .await?
    }

    async fn describe_topics(
        &mut self,
        topics: &[String],
    ) -> Result<Vec<Option<TopicDescription>>, LogError> {
        let topics = topics.to_vec();
        self.step("describe_topics", move |worker| {
            worker.describe_topics(&topics)
        })
        .await?
    }

    fn transaction_timeout(&self) -> Duration {
        self.transaction_timeout
    }

    async fn held_back(
        &mut self,
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<(i32, i64)>, LogError> {
        let topic = topic.to_owned();
        self.step("held_back", move |worker| {
            worker.held_back(&topic, partitions)
        })
        .await?
    }

    async fn begin_offset(&mut self, topic: &str) -> Result<i64, LogError> {
        let topic = topic.to_owned();
        self.step("begin_offset", move |worker| worker.begin_offset(&topic))
            .await?
    }

    async fn create_topic(&mut self, topic: &NewTopic) -> Result<(), LogError> {
        let topic = topic.clone();
        self.step("create_topic", move |worker| worker.create_topic(&topic))
            .await?
    }

    async fn list_topics(&mut self, prefix: &str) -> Result<BTreeMap<String, u64>, LogError> {
        let prefix = prefix.to_owned();
        self.step("list_topics", move |worker| worker.list_topics(&prefix))
            .await?
    }

    async fn broker_count(&mut self) -> Result<usize, LogError> {
        self.step("broker_count", Worker::broker_count).await?
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use binlog_bridge_core::encode::TopicPartition;

    #[tokio::test]
    async fn a_connection_lost_during_a_commit_is_reported_though_the_commit_succeeds() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("topic", 1, 1).unwrap();
        let mut log = KafkaLog::new(settings(&cluster.bootstrap_servers())).unwrap();
        log.init().await.unwrap();
        for lost in [false, true, true, false] {
            log.begin().await.unwrap();
            log.append(batch()).await.unwrap();
            if lost {
                // The mock broker answers this "error" by closing the connection.
                let cut = RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT;
                cluster.request_errors(RDKafkaApiKey::EndTxn, &[cut]);
            }
            let answer = log.commit().await;
            answer.result.unwrap();
            assert_eq!(answer.transport_error, lost);
        }
    }

    #[tokio::test]
    async fn an_end_of_transaction_that_is_answered_late_by_a_retry_is_no_transport_error() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("topic", 1, 1).unwrap();
        let mut log = KafkaLog::new(settings(&cluster.bootstrap_servers())).unwrap();
        log.init().await.unwrap();
        log.begin().await.unwrap();
        log.append(batch()).await.unwrap();
        let busy = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
        cluster.request_errors(RDKafkaApiKey::EndTxn, &[busy]);
        let answer = log.commit().await;
        assert!(!answer.transport_error);
        assert!(
            answer.elapsed > Duration::from_millis(500),
            "{:?}",
            answer.elapsed
        );
        answer.result.unwrap();
    }

    fn settings(bootstrap_servers: &str) -> KafkaSettings {
        KafkaSettings {
            bootstrap_servers: bootstrap_servers.to_owned(),
            transactional_id: "test".to_owned(),
            client: BTreeMap::new(),
            batch_bytes_max: 1 << 20,
            record_bytes_max: 1 << 20,
            transaction_timeout_ms: 60_000,
            request_timeout_ms: 30_000,
        }
    }

    fn batch() -> Batch {
        let mut batch = Batch::default();
        let to = TopicPartition {
            topic: "topic".into(),
            partition: 0,
        };
        batch.push(&to, Some(b"key"), Some(b"value")).unwrap();
        batch
    }
}
