//! The thread that owns the Kafka clients: it carries out one step after another.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use binlog_bridge_core::encode::Batch;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::KafkaSettings;
use super::client::Context;
use super::failure::Failure;
use super::native::{self, Fetch, Fetched, From, Handle, Producer, Role};
use super::patience::Patience;
use crate::sink::log::{
    CommitAnswer, CommittedRecords, Isolation, LogError, NewTopic, TopicDescription,
};

/// A step to carry out; it sends its own answer.
pub(super) type Step = Box<dyn FnOnce(&mut Worker) + Send>;

/// How often an idle thread passes on what its clients have to say.
const SERVE_EVERY: Duration = Duration::from_secs(1);
/// After so long without a step the clients that only read are dropped: they hold connections and threads.
const READERS_KEPT: Duration = Duration::from_secs(30);
/// How long a call waits before it looks whether the thread is to end.
const SLICE: Duration = Duration::from_millis(100);
/// A delivery report comes at the latest when the message times out; this much later we stop waiting.
const DELIVERY_GRACE: Duration = Duration::from_secs(5);
/// How long a topic just made may take to show up in the brokers' metadata.
const TOPIC_VISIBLE_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks for it.
const TOPIC_VISIBLE_PAUSE: Duration = Duration::from_millis(10);

/// Runs steps until their sender is gone.
pub(super) fn run(settings: KafkaSettings, stopped: Arc<AtomicBool>, steps: &Receiver<Step>) {
    let mut worker = Worker {
        settings,
        stopped,
        producer: None,
        latest: None,
        committed: None,
    };
    let mut last_step = Instant::now();
    loop {
        match steps.recv_timeout(SERVE_EVERY) {
            Ok(step) => {
                step(&mut worker);
                last_step = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) if last_step.elapsed() > READERS_KEPT => {
                worker.latest = None;
                worker.committed = None;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        worker.serve();
    }
}

/// The clients of one [`super::KafkaLog`].
pub(super) struct Worker {
    settings: KafkaSettings,
    stopped: Arc<AtomicBool>,
    producer: Option<Producer>,
    /// Reads at the high watermark, and asks what the cluster knows of topics.
    latest: Option<Handle>,
    /// Reads at the last stable offset.
    committed: Option<Handle>,
}

impl Worker {
    fn serve(&self) {
        let handles = [
            self.producer.as_ref().map(Producer::handle),
            self.latest.as_ref(),
        ];
        for handle in handles.into_iter().flatten().chain(&self.committed) {
            handle.serve();
        }
    }

    pub(super) fn init(&mut self) -> Result<(), LogError> {
        // The old one goes first: nothing of it may still be on its way when the new one begins.
        self.producer = None;
        let operation = "init_transactions";
        let producer =
            Producer::new(&self.settings.producer()).map_err(|failure| failure.at(operation))?;
        let patience = self.patience(self.request_timeout());
        loop {
            let result = producer.init_transactions(SLICE);
            producer.handle().serve();
            let context = producer.handle().context();
            match result {
                Ok(()) => break context.connected(),
                Err(failure) if failure.resumable && !context.refused_credentials() => {
                    if patience.check().is_err() {
                        return Err(context.explain(failure).at(operation));
                    }
                }
                Err(failure) => return Err(context.explain(failure).at(operation)),
            }
        }
        self.producer = Some(producer);
        Ok(())
    }

    pub(super) fn begin(&mut self) -> Result<(), LogError> {
        let operation = "begin_transaction";
        self.producer(operation)?
            .begin()
            .map_err(|failure| failure.at(operation))
    }

    pub(super) fn append(&mut self, batch: Batch) -> Result<Batch, LogError> {
        let operation = "append";
        let within = Duration::from_millis(u64::from(self.settings.transaction_timeout_ms));
        let patience = self.patience(within + DELIVERY_GRACE);
        let producer = self.producer(operation)?;
        producer
            .append(batch, &patience)
            .map_err(|failure| producer.handle().context().explain(failure).at(operation))
    }

    pub(super) fn commit(&mut self) -> CommitAnswer {
        let operation = "commit_transaction";
        let within = self.request_timeout();
        match self.producer(operation) {
            Err(error) => CommitAnswer {
                result: Err(error),
                elapsed: Duration::ZERO,
                transport_error: false,
            },
            Ok(producer) => {
                let ended = producer.commit(within);
                CommitAnswer {
                    result: ended.result.map_err(|failure| failure.at(operation)),
                    elapsed: ended.elapsed,
                    transport_error: ended.unanswered,
                }
            }
        }
    }

    pub(super) fn abort(&mut self) -> Result<(), LogError> {
        let operation = "abort_transaction";
        let patience = self.patience(self.request_timeout());
        self.producer(operation)?
            .abort(&patience)
            .map_err(|failure| failure.at(operation))
    }

    pub(super) fn end_offset(
        &mut self,
        topic: &str,
        isolation: Isolation,
    ) -> Result<i64, LogError> {
        let within = self.request_timeout();
        let handle = self.reader(isolation, "end_offset")?;
        end_offset(handle, topic, within).map_err(|f| handle.context().explain(f).at("end_offset"))
    }

    pub(super) fn held_back(
        &mut self,
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<(i32, i64)>, LogError> {
        let operation = "held_back";
        let within = self.request_timeout();
        let partitions: Vec<_> = (0..partitions)
            .map(|partition| (topic, partition))
            .collect();
        // The true ends first: what is appended between the two requests is not taken for held back.
        let [ends, stable] =
            [Isolation::ReadUncommitted, Isolation::ReadCommitted].map(|isolation| {
                let handle = self.reader(isolation, operation)?;
                let ends = native::end_offsets(handle, &partitions, within);
                handle.serve();
                ends.map_err(|failure| handle.context().explain(failure).at(operation))
            });
        let both = partitions.iter().zip(ends?.into_iter().zip(stable?));
        let held = both.filter(|(_, (end, stable))| stable < end);
        Ok(held
            .map(|((_, partition), (_, stable))| (*partition, stable))
            .collect())
    }

    pub(super) fn read_committed(
        &mut self,
        topic: &str,
        from: i64,
    ) -> Result<CommittedRecords, LogError> {
        let operation = "read_committed";
        let within = self.request_timeout();
        let patience = self.patience(within);
        let handle = self.reader(Isolation::ReadCommitted, operation)?;
        let read = end_offset(handle, topic, within).and_then(|end| {
            if end <= from {
                return Ok(CommittedRecords {
                    records: Vec::new(),
                    next_offset: end,
                });
            }
            read_to(handle, topic, from..end, patience)
        });
        handle.serve();
        read.map_err(|failure| handle.context().explain(failure).at(operation))
    }

    pub(super) fn describe_topics(
        &mut self,
        topics: &[String],
    ) -> Result<Vec<Option<TopicDescription>>, LogError> {
        // The client has no answer to that.
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.ask("describe_topics", |handle, within| {
            native::describe_topics(handle, topics, within)
        })
    }

    pub(super) fn begin_offset(&mut self, topic: &str) -> Result<i64, LogError> {
        self.ask("begin_offset", |handle, within| {
            native::begin_offset(handle, topic, within)
        })
    }

    pub(super) fn create_topic(&mut self, topic: &NewTopic) -> Result<(), LogError> {
        self.ask("create_topic", |handle, within| {
            native::create_topic(handle, topic, within)?;
            // The controller has made it; a broker may not know for a moment.
            let (asked, names) = (Instant::now(), [topic.name.clone()]);
            while native::describe_topics(handle, &names, within)? == [None]
                && asked.elapsed() < TOPIC_VISIBLE_WITHIN
            {
                std::thread::sleep(TOPIC_VISIBLE_PAUSE);
            }
            Ok(())
        })
    }

    pub(super) fn list_topics(&mut self, prefix: &str) -> Result<BTreeMap<String, u64>, LogError> {
        self.ask("list_topics", |handle, within| {
            let metadata = handle
                .client()
                .fetch_metadata(None, within)
                .map_err(|error| Failure::from_client(&error))?;
            let matching: Vec<_> = metadata
                .topics()
                .iter()
                .filter(|topic| topic.name().starts_with(prefix))
                .collect();
            let partitions: Vec<_> = matching
                .iter()
                .flat_map(|topic| topic.partitions().iter().map(|p| (topic.name(), p.id())))
                .collect();
            let ends = native::end_offsets(handle, &partitions, within)?;
            let mut sums: BTreeMap<String, u64> = matching
                .iter()
                .map(|topic| (topic.name().to_owned(), 0))
                .collect();
            for ((topic, _), end) in partitions.iter().zip(ends) {
                if let Some(sum) = sums.get_mut(*topic) {
                    *sum += u64::try_from(end).unwrap_or(0);
                }
            }
            Ok(sums)
        })
    }

    pub(super) fn broker_count(&mut self) -> Result<usize, LogError> {
        self.ask("broker_count", native::broker_count)
    }

    fn ask<T>(
        &mut self,
        operation: &'static str,
        question: impl FnOnce(&Handle, Duration) -> Result<T, Failure>,
    ) -> Result<T, LogError> {
        let within = self.request_timeout();
        let handle = self.reader(Isolation::ReadUncommitted, operation)?;
        let answer = question(handle, within);
        handle.serve();
        match answer {
            Ok(answer) => {
                handle.context().connected();
                Ok(answer)
            }
            Err(failure) => Err(handle.context().explain(failure).at(operation)),
        }
    }

    fn producer(&mut self, operation: &'static str) -> Result<&mut Producer, LogError> {
        self.producer.as_mut().ok_or_else(|| {
            Failure {
                fatal: true,
                ..Failure::new(Code::State, "there is no producer")
            }
            .at(operation)
        })
    }

    fn reader(
        &mut self,
        isolation: Isolation,
        operation: &'static str,
    ) -> Result<&Handle, LogError> {
        let slot = match isolation {
            Isolation::ReadCommitted => &mut self.committed,
            Isolation::ReadUncommitted => &mut self.latest,
        };
        if slot.is_none() {
            let mut config = self.settings.consumer(isolation);
            // The end of a partition is known from a fetch that finds nothing more: it is not to wait for more (by
            // default half a second, of which each start and each read-back would wait).
            config.set("fetch.wait.max.ms", "10");
            let handle = Handle::new(&config, Role::Consumer, Context::default());
            *slot = Some(handle.map_err(|failure| failure.at(operation))?);
        }
        slot.as_ref()
            .ok_or_else(|| Failure::new(Code::Fail, "there is no reader").at(operation))
    }

    fn request_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.settings.request_timeout_ms))
    }

    fn patience(&self, within: Duration) -> Patience {
        Patience::new(&self.stopped, within)
    }
}

fn end_offset(handle: &Handle, topic: &str, within: Duration) -> Result<i64, Failure> {
    let ends = native::end_offsets(handle, &[(topic, 0)], within);
    handle.serve();
    let end = ends?.first().copied();
    end.ok_or_else(|| {
        Failure::new(
            Code::UnknownPartition,
            format!("{topic} has no partition 0"),
        )
    })
}

/// Reads partition 0 up to an end of partition at or after the end of the offsets.
fn read_to(
    handle: &Handle,
    topic: &str,
    offsets: Range<i64>,
    mut patience: Patience,
) -> Result<CommittedRecords, Failure> {
    let mut fetch = Fetch::new(handle)?;
    fetch.start(topic, 0, From::Offset(offsets.start.max(0)))?;
    let mut read = CommittedRecords::default();
    loop {
        let Some(message) = fetch.next(SLICE) else {
            handle.serve();
            patience.check()?;
            continue;
        };
        patience.renew();
        match message.fetched() {
            // Where somebody writes all the time, the end of the partition may never be reached.
            Fetched::Record if message.offset() >= offsets.end => {
                read.next_offset = message.offset();
                return Ok(read);
            }
            Fetched::Record => {
                if let Some(key) = message.key() {
                    read.records
                        .push((key.to_vec(), message.value().map(<[u8]>::to_vec)));
                }
            }
            // An end below that was seen by a fetch that a broker answered before the last commit.
            Fetched::End if message.offset() >= offsets.end => {
                read.next_offset = message.offset();
                return Ok(read);
            }
            Fetched::End => {}
            Fetched::Failed(failure) => return Err(failure),
        }
    }
}
