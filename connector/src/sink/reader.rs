//! Reads topics from outside of any transaction, for `tail`: committed records only, all partitions.

use std::collections::BTreeSet;
use std::sync::mpsc as commands;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::metadata::MetadataPartition;
use tokio::sync::mpsc;

use super::kafka::failure::Failure;
use super::kafka::native::{Fetch, Fetched, From, Handle, Role};
use super::kafka::{Context, KafkaSettings};
use super::log::{Isolation, LogError, LogErrorKind};

/// Where reading of a topic begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Beginning,
    /// With the first record written from now on.
    End,
}

/// What a [`TopicReader`] yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadEvent {
    /// One committed record.
    Record(ReadRecord),
    /// Every partition has been read to its end. Comes again each time all ends are reached again.
    AllCaughtUp,
}

/// One record as it lies in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The record's offset in its partition.
    pub offset: i64,
    /// The record's time in milliseconds since 1970 UTC; -1 if it has none.
    pub timestamp_ms: i64,
    /// The key; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a null value.
    pub value: Option<Vec<u8>>,
}

/// Reads committed records of topics on a thread of its own, with bounded memory.
pub struct TopicReader {
    // Taken when dropped; the thread ends once the events have no receiver.
    events: Option<mpsc::Receiver<Result<ReadEvent, LogError>>>,
    topics: commands::Sender<Topics>,
    thread: Option<JoinHandle<()>>,
}

type Topics = (Vec<String>, Start);

/// Records that wait for their reader; with the client's own limits this bounds what lies in memory.
const EVENTS_MAX: usize = 16;
/// How long the thread waits for a record before it looks for new topics or its end.
const WAIT: Duration = Duration::from_millis(100);
/// How long a topic may stay unknown, once asked for.
const METADATA_WITHIN: Duration = Duration::from_secs(10);

impl TopicReader {
    /// Starts reading all partitions of the topics.
    ///
    /// # Errors
    /// If the system gives no thread. That a topic is missing or the cluster away comes with the events.
    pub fn new(
        settings: KafkaSettings,
        topics: Vec<String>,
        start: Start,
    ) -> Result<TopicReader, LogError> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (topic_sender, topic_receiver) = commands::channel();
        let thread = std::thread::Builder::new()
            .name("kafka-reader".to_owned())
            .spawn(move || {
                if let Err(error) = read(&settings, &topic_receiver, &sender) {
                    sender.blocking_send(Err(error)).ok();
                }
            });
        let thread = thread.map_err(|error| LogError {
            operation: "read",
            kind: LogErrorKind::Other,
            message: error.to_string(),
        })?;
        let reader = TopicReader {
            events: Some(events),
            topics: topic_sender,
            thread: Some(thread),
        };
        reader.add_topics(topics, start);
        Ok(reader)
    }

    /// Starts reading topics that were not read before; others go on as they are.
    pub fn add_topics(&self, topics: Vec<String>, start: Start) {
        // A thread that has ended has left its error among the events.
        self.topics.send((topics, start)).ok();
    }

    /// The next record, or the news that there is none at present. Cancel-safe.
    ///
    /// # Errors
    /// What made reading impossible; the reader has ended then.
    pub async fn next(&mut self) -> Result<ReadEvent, LogError> {
        let next = match self.events.as_mut() {
            Some(events) => events.recv().await,
            None => None,
        };
        next.unwrap_or_else(|| {
            Err(LogError {
                operation: "read",
                kind: LogErrorKind::Fatal,
                message: "the reader has ended".to_owned(),
            })
        })
    }
}

impl Drop for TopicReader {
    fn drop(&mut self) {
        self.events = None;
        // The thread sees that within `WAIT`, unless it asks for metadata; then it ends by itself.
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            thread.join().ok();
        }
    }
}

/// The thread: fetches until nobody listens any more.
fn read(
    settings: &KafkaSettings,
    topics: &commands::Receiver<Topics>,
    events: &mpsc::Sender<Result<ReadEvent, LogError>>,
) -> Result<(), LogError> {
    let config = settings.consumer(Isolation::ReadCommitted);
    let handle = Handle::new(&config, Role::Consumer, Context::default())
        .map_err(|failure| failure.at("read"))?;
    let failed = |failure| handle.context().explain(failure).at("read");
    let mut fetch = Fetch::new(&handle).map_err(failed)?;
    let mut reading = Reading::default();
    while !events.is_closed() {
        while let Ok((names, start)) = topics.try_recv() {
            reading
                .add(&handle, &mut fetch, names, start)
                .map_err(failed)?;
        }
        let message = fetch.next(WAIT);
        handle.serve();
        let Some(message) = message else { continue };
        let at = (message.topic().to_owned(), message.partition());
        let event = match message.fetched() {
            Fetched::Failed(failure) => return Err(failed(failure)),
            Fetched::Record => {
                reading.behind.insert(at.clone());
                ReadEvent::Record(ReadRecord {
                    topic: at.0,
                    partition: at.1,
                    offset: message.offset(),
                    timestamp_ms: message.timestamp_ms(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.value().map(<[u8]>::to_vec),
                })
            }
            Fetched::End => {
                reading.behind.remove(&at);
                if !reading.behind.is_empty() {
                    continue;
                }
                ReadEvent::AllCaughtUp
            }
        };
        if events.blocking_send(Ok(event)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What is read, and which partitions have not come to their end.
#[derive(Default)]
struct Reading {
    topics: BTreeSet<String>,
    behind: BTreeSet<(String, i32)>,
}

impl Reading {
    fn add(
        &mut self,
        handle: &Handle,
        fetch: &mut Fetch<'_>,
        names: Vec<String>,
        start: Start,
    ) -> Result<(), Failure> {
        let from = match start {
            Start::Beginning => From::Beginning,
            Start::End => From::End,
        };
        for name in names {
            if self.topics.contains(&name) {
                continue;
            }
            for partition in partitions(handle, &name)? {
                fetch.start(&name, partition, from)?;
                self.behind.insert((name.clone(), partition));
            }
            self.topics.insert(name);
        }
        Ok(())
    }
}

fn partitions(handle: &Handle, topic: &str) -> Result<Vec<i32>, Failure> {
    let metadata = handle
        .client()
        .fetch_metadata(Some(topic), METADATA_WITHIN)
        .map_err(|error| Failure::from_client(&error))?;
    let topic = metadata.topics().iter().find(|found| found.name() == topic);
    match topic.map(|found| (found.error(), found.partitions())) {
        Some((None, partitions)) => Ok(partitions.iter().map(MetadataPartition::id).collect()),
        Some((Some(code), _)) => Err(Failure::new(code.into(), "the topic cannot be read")),
        None => Ok(Vec::new()),
    }
}
