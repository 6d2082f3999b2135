//! A Kafka cluster in memory, as far as transactions go: producer epochs, fencing, markers that are written after
//! the decision, last stable offsets, time-outs, and EndTxn requests that arrive late or twice.

use std::collections::BTreeMap;
use std::time::Duration;

use binlog_bridge::sink::log::LogErrorKind;
use tokio::time::Instant;

use crate::simulated::faults::{Fault, Faults, Step};
use crate::simulated::partitions::{Entry, Partition, Topic};
use crate::simulated::random::Random;
use crate::simulated::trace::Trace;

/// The transactional id of whoever does not say another.
pub const TRANSACTIONAL_ID: &str = "binlog-bridge.sim";

/// Looks at a transaction, given its number, when the decision to commit it falls.
pub type Observer = Box<dyn FnMut(usize, &Transaction) + Send>;

pub struct Broker {
    pub topics: BTreeMap<String, Topic>,
    pub transactions: Vec<Transaction>,
    /// The transactions that were committed, in the order of the decisions.
    pub committed: Vec<usize>,
    pub faults: Faults,
    pub random: Random,
    /// How often each step was begun.
    pub steps: BTreeMap<Step, u32>,
    /// Whose producers lost their epoch when.
    pub fences: Vec<Fence>,
    /// After this long, from its first record on, the broker ends an open transaction, and with it the epoch.
    pub transaction_timeout: Duration,
    /// How long a client waits for an answer.
    pub request_timeout: Duration,
    /// How long a client waits for the acknowledgement of a record.
    pub message_timeout: Duration,
    /// A new topic is unknown to some brokers for so long.
    pub topic_appears_after: Duration,
    /// Bytes of key and value that a record may have.
    pub record_bytes_max: usize,
    /// No broker answers before then.
    pub away_until: Option<Instant>,
    /// What the account is refused with until then.
    pub refused: Option<(LogErrorKind, Instant)>,
    pub trace: Trace,
    /// Told of each decision to commit.
    pub observer: Option<Observer>,
    producers: BTreeMap<String, Producer>,
    /// EndTxn requests on their way.
    requests: Vec<EndRequest>,
    answers: BTreeMap<u64, Result<(), LogErrorKind>>,
    tickets: u64,
    topics_made: u32,
}

/// An epoch that ended.
pub struct Fence {
    pub at: Instant,
    /// The process whose producer took its place; `None` if the broker ended it by itself.
    pub by: Option<String>,
}

/// What the coordinator knows of a transactional id.
#[derive(Default)]
struct Producer {
    epoch: u32,
    open: Option<usize>,
    /// How the epoch's last transaction ended.
    last: Option<bool>,
    /// Who is being initialised and waits for the end of the transaction that it found.
    fencing: Option<String>,
    /// Epochs below were forgotten.
    expired_below: u32,
}

pub struct Transaction {
    pub state: Ended,
    /// When its client began it.
    pub asked_for: Instant,
    /// When its first record came.
    pub began: Instant,
    pub decided: Option<Instant>,
    pub records: Vec<Record>,
    /// Where it begins in each partition.
    firsts: BTreeMap<(String, usize), i64>,
    id: Option<String>,
}

pub struct Record {
    pub topic: String,
    pub partition: usize,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// Key and value of a record.
pub type KeyValue = (Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    No,
    /// Decided, but the markers are still to be written.
    Soon {
        commit: bool,
        at: Instant,
    },
    Committed,
    Aborted,
}

struct EndRequest {
    ticket: u64,
    id: String,
    epoch: u32,
    commit: bool,
    at: Instant,
}

/// A producer is told to ask again: the markers of the transaction before are still being written.
pub struct Concurrent;

enum Due {
    Request(usize),
    Markers(String),
    TimeOut(String),
}

impl Broker {
    pub fn new(mut random: Random, faults_per_mille: u64) -> Self {
        Self {
            topics: BTreeMap::new(),
            transactions: Vec::new(),
            committed: Vec::new(),
            faults: Faults::new(random.fork(), faults_per_mille),
            random,
            steps: BTreeMap::new(),
            fences: Vec::new(),
            transaction_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(54),
            topic_appears_after: Duration::ZERO,
            record_bytes_max: 1 << 20,
            away_until: None,
            refused: None,
            trace: Trace::default(),
            observer: None,
            producers: BTreeMap::new(),
            requests: Vec::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            topics_made: 0,
        }
    }

    pub fn note(&self, what: &str) {
        self.trace.note("broker", what);
    }

    /// A step of a producer begins: which fault meets it?
    pub fn enter(&mut self, id: &str, step: Step) -> Option<Fault> {
        self.tick();
        *self.steps.entry(step).or_default() += 1;
        let fault = self.faults.meet(step);
        if fault == Some(Fault::TimedOut) {
            self.end_epoch(id);
            return None;
        }
        fault
    }

    /// Lets happen what is due by now, in its order.
    pub fn tick(&mut self) {
        let now = Instant::now();
        while let Some((at, due)) = self.next_due() {
            if at > now {
                break;
            }
            match due {
                Due::Request(index) => {
                    let request = self.requests.remove(index);
                    let answer = self.end(&request);
                    self.answers.insert(request.ticket, answer);
                }
                Due::Markers(id) => self.settle(&id),
                Due::TimeOut(id) => self.end_epoch(&id),
            }
        }
    }

    fn next_due(&self) -> Option<(Instant, Due)> {
        let mut next: Option<(Instant, Due)> = None;
        let mut offer = |at: Instant, due: Due| {
            if next.as_ref().is_none_or(|(earliest, _)| at < *earliest) {
                next = Some((at, due));
            }
        };
        for (index, request) in self.requests.iter().enumerate() {
            offer(request.at, Due::Request(index));
        }
        for (id, producer) in &self.producers {
            let Some(open) = producer.open else { continue };
            let transaction = &self.transactions[open];
            match transaction.state {
                Ended::No => offer(
                    transaction.began + self.transaction_timeout,
                    Due::TimeOut(id.clone()),
                ),
                Ended::Soon { at, .. } => offer(at, Due::Markers(id.clone())),
                Ended::Committed | Ended::Aborted => {}
            }
        }
        next
    }

    /// An EndTxn arrives: it ends whatever is open, if only its epoch is the current one.
    fn end(&mut self, request: &EndRequest) -> Result<(), LogErrorKind> {
        let producer = self.producers.get(&request.id).ok_or(LogErrorKind::Fatal)?;
        if request.epoch != producer.epoch {
            return Err(LogErrorKind::Fenced);
        }
        let commit = request.commit;
        match producer
            .open
            .map(|open| (open, self.transactions[open].state))
        {
            Some((open, Ended::No)) => {
                self.decide(open, commit, request.at);
                Ok(())
            }
            // A repetition.
            Some((
                _,
                Ended::Soon {
                    commit: decided, ..
                },
            )) if decided == commit => Ok(()),
            None if producer.last == Some(commit) => Ok(()),
            Some(_) | None => Err(LogErrorKind::Fatal),
        }
    }

    fn decide(&mut self, index: usize, commit: bool, at: Instant) {
        let slow = if self.random.per_mille(10) { 3_000 } else { 40 };
        let markers = at + Duration::from_millis(self.random.below(0..slow));
        self.note(&format!("end transaction={index} commit={commit}"));
        let transaction = &mut self.transactions[index];
        transaction.state = Ended::Soon {
            commit,
            at: markers,
        };
        transaction.decided = Some(at);
        if commit {
            self.committed.push(index);
            if let Some(mut observer) = self.observer.take() {
                observer(index, &self.transactions[index]);
                self.observer = Some(observer);
            }
        }
    }

    /// Writes the markers of what is decided; what is not is aborted.
    fn settle(&mut self, id: &str) {
        let Some(producer) = self.producers.get_mut(id) else {
            return;
        };
        let Some(open) = producer.open.take() else {
            return;
        };
        let commit = matches!(
            self.transactions[open].state,
            Ended::Soon { commit: true, .. }
        );
        producer.last = Some(commit);
        self.finish(open, commit);
    }

    fn finish(&mut self, index: usize, commit: bool) {
        let transaction = &mut self.transactions[index];
        transaction.state = if commit {
            Ended::Committed
        } else {
            Ended::Aborted
        };
        for (topic, partition) in transaction.firsts.keys() {
            let topic = self.topics.get_mut(topic);
            if let Some(partition) = topic.and_then(|topic| topic.partitions.get_mut(*partition)) {
                partition.push(index, None);
            }
        }
    }

    /// The broker ends the open transaction and fences its producer.
    pub fn end_epoch(&mut self, id: &str) {
        self.note("fenced by nobody");
        let now = Instant::now();
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        producer.last = None;
        let open = producer.open;
        self.fences.push(Fence { at: now, by: None });
        if let Some(open) = open
            && self.transactions[open].state == Ended::No
        {
            self.decide(open, false, now);
        }
    }

    /// Begins a new epoch, once the transaction that is open has ended: it is aborted, if nothing is decided.
    pub fn init(&mut self, id: &str, who: &str) -> Result<u32, Concurrent> {
        let now = Instant::now();
        let producer = self.producers.entry(id.to_owned()).or_default();
        if let Some(open) = producer.open {
            if self.transactions[open].state == Ended::No {
                producer.epoch += 1;
                producer.fencing = Some(who.to_owned());
                self.fences.push(Fence {
                    at: now,
                    by: Some(who.to_owned()),
                });
                self.decide(open, false, now);
            }
            return Err(Concurrent);
        }
        if producer.fencing.take().as_deref() != Some(who) {
            self.fences.push(Fence {
                at: now,
                by: Some(who.to_owned()),
            });
        }
        producer.epoch += 1;
        producer.last = None;
        Ok(producer.epoch)
    }

    /// As `init`, without any wait.
    pub fn init_at_once(&mut self, id: &str, who: &str) -> u32 {
        loop {
            match self.init(id, who) {
                Ok(epoch) => return epoch,
                Err(Concurrent) => self.settle(id),
            }
        }
    }

    /// Sends an EndTxn that arrives later. Its answer can be asked for by the number returned.
    pub fn send_end(&mut self, id: &str, epoch: u32, commit: bool, after: Duration) -> u64 {
        self.tickets += 1;
        self.requests.push(EndRequest {
            ticket: self.tickets,
            id: id.to_owned(),
            epoch,
            commit,
            at: Instant::now() + after,
        });
        self.tick();
        self.tickets
    }

    /// What an EndTxn was answered, once it has arrived.
    pub fn answer(&mut self, ticket: u64) -> Option<Result<(), LogErrorKind>> {
        self.tick();
        self.answers.remove(&ticket)
    }

    /// The transaction that the producer's records go into.
    pub fn transaction(
        &mut self,
        id: &str,
        epoch: u32,
    ) -> Result<Result<usize, Concurrent>, LogErrorKind> {
        let producer = self.producers.get(id).ok_or(LogErrorKind::Fatal)?;
        if epoch < producer.expired_below {
            return Err(LogErrorKind::Fatal);
        }
        if epoch != producer.epoch {
            return Err(LogErrorKind::Fenced);
        }
        if let Some(open) = producer.open {
            return Ok(match self.transactions[open].state {
                Ended::Soon { .. } => Err(Concurrent),
                Ended::No | Ended::Committed | Ended::Aborted => Ok(open),
            });
        }
        let open = self.begin(Some(id));
        self.producers.get_mut(id).unwrap().open = Some(open);
        Ok(Ok(open))
    }

    fn begin(&mut self, id: Option<&str>) -> usize {
        self.transactions.push(Transaction {
            state: Ended::No,
            asked_for: Instant::now(),
            began: Instant::now(),
            decided: None,
            records: Vec::new(),
            firsts: BTreeMap::new(),
            id: id.map(str::to_owned),
        });
        self.transactions.len() - 1
    }

    /// # Errors
    /// If there is no such partition, or the record is too large.
    pub fn append(
        &mut self,
        transaction: usize,
        topic: &str,
        partition: usize,
        (key, value): KeyValue,
    ) -> Result<(), LogErrorKind> {
        let found = self.topics.get_mut(topic);
        let place = found.and_then(|topic| topic.partitions.get_mut(partition));
        let place = place.ok_or(LogErrorKind::UnknownTopic)?;
        let bytes = key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len);
        if bytes > self.record_bytes_max {
            return Err(LogErrorKind::TooLarge);
        }
        let into = &mut self.transactions[transaction];
        let offset = place.push(transaction, Some(into.records.len()));
        let to = (topic.to_owned(), partition);
        into.firsts.entry(to).or_insert(offset);
        into.records.push(Record {
            topic: topic.to_owned(),
            partition,
            offset,
            key,
            value,
        });
        Ok(())
    }

    /// The cluster forgets a producer that was idle for too long: what it sends next is refused.
    pub fn expire(&mut self, id: &str) {
        self.end_epoch(id);
        self.settle(id);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.expired_below = producer.epoch;
    }

    pub fn create(&mut self, topic: &str, partitions: usize) {
        if !self.topics.contains_key(topic) {
            self.topics_made += 1;
            let new = Topic {
                id: format!("id-{}-{topic}", self.topics_made),
                partitions: (0..partitions).map(|_| Partition::default()).collect(),
                visible_at: Instant::now() + self.topic_appears_after,
            };
            self.topics.insert(topic.to_owned(), new);
        }
    }

    /// The topics that clients are told of.
    pub fn visible_topics(&self) -> impl Iterator<Item = (&String, &Topic)> {
        let now = Instant::now();
        self.topics
            .iter()
            .filter(move |(_, topic)| topic.visible_at <= now)
    }

    /// Another program's transaction without a time-out, which is open from now on.
    pub fn begin_foreign(&mut self, topic: &str) -> usize {
        let transaction = self.begin(None);
        assert_eq!(self.append(transaction, topic, 0, (None, None)), Ok(()));
        transaction
    }

    pub fn end_foreign(&mut self, transaction: usize, commit: bool) {
        assert!(self.transactions[transaction].id.is_none());
        self.finish(transaction, commit);
    }

    fn partition(&self, topic: &str, partition: usize) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(partition)
    }

    pub fn high_watermark(&self, topic: &str, partition: usize) -> i64 {
        self.partition(topic, partition)
            .map_or(0, |partition| partition.end)
    }

    /// Where the first record of a transaction lies that has not ended.
    pub fn last_stable_offset(&self, topic: &str, partition: usize) -> i64 {
        let place = (topic.to_owned(), partition);
        let is_open = |transaction: &&Transaction| {
            matches!(transaction.state, Ended::No | Ended::Soon { .. })
        };
        let open = self.transactions.iter().rev().filter(is_open);
        open.filter_map(|transaction| transaction.firsts.get(&place))
            .min()
            .copied()
            .unwrap_or_else(|| self.high_watermark(topic, partition))
    }

    /// Committed records of a partition, with their transactions.
    pub fn records(
        &self,
        topic: &str,
        partition: usize,
        from: i64,
    ) -> impl Iterator<Item = (usize, Option<&[u8]>, Option<&[u8]>)> {
        let end = self.last_stable_offset(topic, partition);
        let entries = self
            .partition(topic, partition)
            .map_or(&[][..], |partition| partition.range(from, end));
        entries.iter().filter_map(|entry: &Entry| {
            let transaction = &self.transactions[entry.transaction];
            let record = transaction.records.get(entry.record?)?;
            let is_committed = transaction.state == Ended::Committed;
            is_committed.then_some((
                entry.transaction,
                record.key.as_deref(),
                record.value.as_deref(),
            ))
        })
    }

    /// Compacts a partition below the last stable offset, but for its last entries.
    pub fn compact(&mut self, topic: &str, keep: i64, drop_tombstones: bool) {
        let below = self.last_stable_offset(topic, 0) - keep;
        let transactions = &self.transactions;
        let found = self.topics.get_mut(topic);
        let Some(partition) = found.and_then(|topic| topic.partitions.first_mut()) else {
            return;
        };
        partition.compact(below, drop_tombstones, |entry| {
            let transaction = &transactions[entry.transaction];
            let record = transaction.records.get(entry.record?)?;
            let is_committed = transaction.state == Ended::Committed;
            is_committed.then_some((record.key.as_deref()?, record.value.is_none()))
        });
    }
}
