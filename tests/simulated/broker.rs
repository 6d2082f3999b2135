//! A Kafka cluster in memory, as far as transactions go: one transactional id, producer epochs, markers, last
//! stable offsets, and EndTxn requests that arrive late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::simulated::random::Random;

/// After this long the broker ends an open transaction, and with it the epoch.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Broker {
    pub topics: BTreeMap<String, Topic>,
    pub transactions: Vec<Transaction>,
    /// The transactions that were committed, in the order of the decisions.
    pub committed: Vec<usize>,
    pub epoch: u32,
    /// The transaction that the coordinator holds open.
    open: Option<usize>,
    /// EndTxn requests on their way.
    requests: Vec<EndRequest>,
    pub random: Random,
    pub faults_per_mille: u64,
    /// Which faults to make when, for tests that are directed.
    pub script: Vec<Scripted>,
    /// How often each step was begun.
    pub steps: BTreeMap<Step, u32>,
    /// Fencings that no instance made: the broker's or the script's.
    pub fenced_by_nobody: u32,
    trace: u64,
    is_loud: bool,
    started: Instant,
}

pub struct Topic {
    pub id: String,
    pub partitions: Vec<Vec<Entry>>,
}

pub enum Entry {
    Record {
        transaction: usize,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    },
    Marker,
}

pub struct Transaction {
    pub state: Ended,
    began: Instant,
    partitions: BTreeSet<(String, usize)>,
    /// Another program's: it has no time-out here.
    is_foreign: bool,
}

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
    epoch: u32,
    commit: bool,
    at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Init,
    Begin,
    Append,
    Commit,
    Abort,
    Read,
    Admin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error, and nothing was done.
    Before,
    /// An error, though it was done.
    After,
    /// The broker ended the transaction and the epoch before the step.
    TimedOut,
    /// Commit: an error at once; EndTxn arrives later.
    LateError,
    /// Commit: well after half a second, by a repetition; the first EndTxn arrives even later.
    Slow,
    /// Commit: well, but a connection broke; EndTxn arrives once more later.
    Transport,
}

pub struct Scripted {
    pub step: Step,
    /// How many such steps go well before.
    pub after: u32,
    pub fault: Fault,
}

impl Broker {
    pub fn new(random: Random, faults_per_mille: u64) -> Self {
        Self {
            topics: BTreeMap::new(),
            transactions: Vec::new(),
            committed: Vec::new(),
            epoch: 0,
            open: None,
            requests: Vec::new(),
            random,
            faults_per_mille,
            script: Vec::new(),
            steps: BTreeMap::new(),
            fenced_by_nobody: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            is_loud: std::env::var_os("SIM_TRACE").is_some(),
            started: Instant::now(),
        }
    }

    /// Everything that was noted so far, as one number: equal runs have equal ones.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    pub fn note(&mut self, what: &str) {
        let line = format!("{:?} {what}", self.started.elapsed());
        for byte in line.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.is_loud {
            eprintln!("{line}");
        }
    }

    /// A step begins: which fault meets it?
    pub fn enter(&mut self, step: Step) -> Option<Fault> {
        self.tick();
        *self.steps.entry(step).or_default() += 1;
        let scripted = self.scripted(step);
        let fault = scripted.or_else(|| self.roll(step));
        if fault == Some(Fault::TimedOut) {
            self.end_epoch();
            return None;
        }
        fault
    }

    fn scripted(&mut self, step: Step) -> Option<Fault> {
        let index = self
            .script
            .iter()
            .position(|scripted| scripted.step == step)?;
        let scripted = &mut self.script[index];
        if scripted.after > 0 {
            scripted.after -= 1;
            return None;
        }
        Some(self.script.remove(index).fault)
    }

    fn roll(&mut self, step: Step) -> Option<Fault> {
        let rate = self.faults_per_mille;
        if !self.random.per_mille(rate) {
            return None;
        }
        if self.random.per_mille(100) && self.open.is_some() {
            return Some(Fault::TimedOut);
        }
        Some(match step {
            Step::Commit => self.random.one_of(&[
                Fault::Before,
                Fault::After,
                Fault::LateError,
                Fault::Slow,
                Fault::Transport,
            ]),
            Step::Init | Step::Begin | Step::Append | Step::Abort | Step::Read | Step::Admin => {
                self.random.one_of(&[Fault::Before, Fault::After])
            }
        })
    }

    /// Lets happen what is due by now.
    pub fn tick(&mut self) {
        let now = Instant::now();
        loop {
            let due = self
                .requests
                .iter()
                .enumerate()
                .filter(|(_, request)| request.at <= now);
            let Some(index) = due
                .min_by_key(|(_, request)| request.at)
                .map(|(index, _)| index)
            else {
                break;
            };
            let request = self.requests.remove(index);
            self.end_request(&request);
        }
        for index in 0..self.transactions.len() {
            if let Ended::Soon { commit, at } = self.transactions[index].state
                && at <= now
            {
                self.finish(index, commit);
            }
        }
        if let Some(open) = self.open {
            let transaction = &self.transactions[open];
            let is_over = now.duration_since(transaction.began) >= TRANSACTION_TIMEOUT;
            if transaction.state == Ended::No && is_over {
                self.end_epoch();
            }
        }
    }

    /// An EndTxn arrives: it ends whatever is open, if only its epoch is the current one.
    fn end_request(&mut self, request: &EndRequest) {
        let Some(open) = self.open else { return };
        let is_open = self.transactions[open].state == Ended::No;
        if request.epoch != self.epoch || !is_open {
            return;
        }
        let commit = request.commit;
        let at = request.at + Duration::from_millis(self.random.below(0..40));
        self.note(&format!("end transaction={open} commit={commit}"));
        self.transactions[open].state = Ended::Soon { commit, at };
        if commit {
            self.committed.push(open);
        }
    }

    fn finish(&mut self, index: usize, commit: bool) {
        let transaction = &mut self.transactions[index];
        transaction.state = if commit {
            Ended::Committed
        } else {
            Ended::Aborted
        };
        for (topic, partition) in &transaction.partitions {
            self.topics.get_mut(topic).unwrap().partitions[*partition].push(Entry::Marker);
        }
        if self.open == Some(index) {
            self.open = None;
        }
    }

    /// What is decided is carried out, what is not is aborted.
    fn settle(&mut self) {
        if let Some(open) = self.open {
            match self.transactions[open].state {
                Ended::Soon { commit, .. } => self.finish(open, commit),
                Ended::No => self.finish(open, false),
                Ended::Committed | Ended::Aborted => {}
            }
        }
    }

    /// The broker ends the open transaction and fences its producer.
    fn end_epoch(&mut self) {
        self.note("fenced by nobody");
        self.settle();
        self.epoch += 1;
        self.fenced_by_nobody += 1;
    }

    pub fn init(&mut self) -> u32 {
        self.settle();
        self.epoch += 1;
        self.epoch
    }

    pub fn send_end(&mut self, epoch: u32, commit: bool, after: Duration) {
        self.requests.push(EndRequest {
            epoch,
            commit,
            at: Instant::now() + after,
        });
        self.tick();
    }

    /// The transaction that the producer's records go into; `None` if it is fenced.
    pub fn transaction(&mut self, epoch: u32) -> Option<usize> {
        if epoch != self.epoch {
            return None;
        }
        if let Some(open) = self.open {
            match self.transactions[open].state {
                Ended::Soon { commit, .. } => self.finish(open, commit),
                Ended::No | Ended::Committed | Ended::Aborted => return Some(open),
            }
        }
        self.open = Some(self.begin(false));
        self.open
    }

    fn begin(&mut self, is_foreign: bool) -> usize {
        let began = Instant::now();
        let partitions = BTreeSet::new();
        self.transactions.push(Transaction {
            state: Ended::No,
            began,
            partitions,
            is_foreign,
        });
        self.transactions.len() - 1
    }

    pub fn append(
        &mut self,
        transaction: usize,
        topic: &str,
        partition: usize,
        record: (Option<Vec<u8>>, Option<Vec<u8>>),
    ) -> bool {
        let entries = self
            .topics
            .get_mut(topic)
            .and_then(|topic| topic.partitions.get_mut(partition));
        let Some(entries) = entries else { return false };
        let (key, value) = record;
        entries.push(Entry::Record {
            transaction,
            key,
            value,
        });
        self.transactions[transaction]
            .partitions
            .insert((topic.to_owned(), partition));
        true
    }

    pub fn create(&mut self, topic: &str, partitions: usize) {
        if !self.topics.contains_key(topic) {
            let id = format!("id-{}-{topic}", self.topics.len());
            let partitions = (0..partitions).map(|_| Vec::new()).collect();
            self.topics
                .insert(topic.to_owned(), Topic { id, partitions });
        }
    }

    /// Another program's transaction, which is open from now on.
    pub fn begin_foreign(&mut self, topic: &str) -> usize {
        let transaction = self.begin(true);
        assert!(self.append(transaction, topic, 0, (None, None)));
        transaction
    }

    pub fn end_foreign(&mut self, transaction: usize, commit: bool) {
        assert!(self.transactions[transaction].is_foreign);
        self.finish(transaction, commit);
    }

    pub fn high_watermark(&self, topic: &str, partition: usize) -> usize {
        self.topics
            .get(topic)
            .map_or(0, |topic| topic.partitions[partition].len())
    }

    pub fn last_stable_offset(&self, topic: &str, partition: usize) -> usize {
        let Some(topic) = self.topics.get(topic) else {
            return 0;
        };
        let entries = &topic.partitions[partition];
        let is_open = |entry: &Entry| match entry {
            Entry::Marker => false,
            Entry::Record { transaction, .. } => {
                matches!(
                    self.transactions[*transaction].state,
                    Ended::No | Ended::Soon { .. }
                )
            }
        };
        entries.iter().position(is_open).unwrap_or(entries.len())
    }

    /// Committed records of a partition, with their transactions.
    pub fn records(
        &self,
        topic: &str,
        partition: usize,
        from: usize,
    ) -> impl Iterator<Item = (usize, Option<&[u8]>, Option<&[u8]>)> {
        let end = self.last_stable_offset(topic, partition);
        let entries = self
            .topics
            .get(topic)
            .map_or(&[][..], |topic| &topic.partitions[partition]);
        entries
            .iter()
            .take(end)
            .skip(from)
            .filter_map(|entry| match entry {
                Entry::Record {
                    transaction,
                    key,
                    value,
                } => {
                    let is_committed = self.transactions[*transaction].state == Ended::Committed;
                    is_committed.then_some((*transaction, key.as_deref(), value.as_deref()))
                }
                Entry::Marker => None,
            })
    }
}
