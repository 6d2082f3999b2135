//! The simulated half of [`Log`]: one producer of the cluster in memory.
//!
//! Each step takes a moment before and after it takes effect, so that a process killed in it leaves it done or
//! not done; an EndTxn once sent arrives whatever becomes of its sender.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::sink::log::{
    CommitAnswer, CommittedRecords, Isolation, Log, LogError, LogErrorKind, NewTopic,
    TopicDescription,
};
use binlog_bridge_core::encode::Batch;
use tokio::time::Instant;

use crate::simulated::broker::{Broker, Concurrent, TRANSACTIONAL_ID};
use crate::simulated::faults::{Fault, Step};
use crate::simulated::process::Process;

pub struct SimLog {
    broker: Arc<Mutex<Broker>>,
    process: Process,
    /// The transactional id.
    id: String,
    /// The epoch that `init` gave.
    epoch: Option<u32>,
    in_transaction: bool,
    /// When the transaction was begun, which the brokers hear of with its first record.
    begun: Instant,
    has_records: bool,
    /// Not all records of the transaction were taken: it can only be aborted.
    has_failed: bool,
}

/// How late an EndTxn may arrive.
const LATE_MS_MAX: u64 = 8_000;
/// The client's `retry.backoff.ms`.
const RETRY_BACKOFF: Duration = Duration::from_millis(1000);
/// The client's pause after CONCURRENT_TRANSACTIONS.
const CONCURRENT_BACKOFF: Duration = Duration::from_millis(20);

impl SimLog {
    pub fn new(broker: Arc<Mutex<Broker>>, who: &str) -> Self {
        let trace = lock(&broker).trace.clone();
        Self::of(broker, Process::new(who, trace), TRANSACTIONAL_ID)
    }

    /// The log of a process, with a transactional id.
    pub fn of(broker: Arc<Mutex<Broker>>, process: Process, id: &str) -> Self {
        Self {
            broker,
            process,
            id: id.to_owned(),
            epoch: None,
            in_transaction: false,
            begun: Instant::now(),
            has_records: false,
            has_failed: false,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Broker) -> T) -> T {
        let mut broker = lock(&self.broker);
        broker.tick();
        work(&mut broker)
    }

    async fn pause(&self, ms_max: u64) {
        let ms = self.with(|broker| broker.random.below(0..ms_max));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Begins a step: the brokers may be away, or refuse the account.
    async fn enter(&self, step: Step) -> Result<Option<Fault>, LogErrorKind> {
        self.pause(10).await;
        self.process.point(name(step)).await;
        let limit = match step {
            Step::Append => self.with(|broker| broker.message_timeout),
            _ => self.with(|broker| broker.request_timeout),
        };
        let deadline = Instant::now() + limit;
        if let Some(until) = self.with(|broker| broker.away_until) {
            tokio::time::sleep_until(until.min(deadline)).await;
            if until > deadline {
                return Err(LogErrorKind::Unreachable);
            }
        }
        let refused = self.with(|broker| broker.refused);
        if let Some((kind, until)) = refused
            && Instant::now() < until
        {
            return Err(kind);
        }
        let fault = self.with(|broker| broker.enter(&self.id, step));
        if let Some(fault) = fault {
            self.process
                .trace
                .note(&self.process.name, &format!("meets {fault:?}"));
        }
        Ok(fault)
    }

    /// The coordinator has moved: the client finds the new one, which may still be loading.
    async fn find_coordinator(&self) {
        let times = self.with(|broker| broker.random.below(1..4));
        for _ in 0..times {
            tokio::time::sleep(RETRY_BACKOFF).await;
        }
    }

    /// Waits for an answer that is held. False if the client gives up before.
    async fn held(&self, limit: Duration) -> bool {
        let hold = self.with(|broker| broker.faults.hold());
        tokio::time::sleep(hold.min(limit)).await;
        hold < limit
    }

    /// A step that is done as a whole.
    async fn simple<T>(
        &self,
        step: Step,
        operation: &'static str,
        work: impl FnOnce(&mut Broker) -> T,
    ) -> Result<T, LogError> {
        let failed = |kind| error(operation, kind);
        let fault = self.enter(step).await.map_err(failed)?;
        match fault {
            Some(Fault::Before) => return Err(failed(LogErrorKind::Unreachable)),
            Some(Fault::Missing) => return Err(failed(LogErrorKind::UnknownTopic)),
            Some(Fault::Moved) => self.find_coordinator().await,
            Some(Fault::Lazy) => self.pause(3_000).await,
            _ => {}
        }
        let answer = self.with(work);
        self.process.point(name(step)).await;
        self.pause(10).await;
        match fault {
            Some(Fault::After) => Err(failed(LogErrorKind::Unreachable)),
            Some(Fault::Held) => {
                let limit = self.with(|broker| broker.request_timeout);
                match self.held(limit).await {
                    true => Ok(answer),
                    false => Err(failed(LogErrorKind::Unreachable)),
                }
            }
            _ => Ok(answer),
        }
    }

    /// The transaction that records go into: the first of them waits for the markers of the one before.
    async fn transaction(&self, deadline: Instant) -> Result<usize, LogErrorKind> {
        let epoch = self.epoch.ok_or(LogErrorKind::Other)?;
        loop {
            match self.with(|broker| broker.transaction(&self.id, epoch))? {
                Ok(transaction) => {
                    self.with(|broker| broker.transactions[transaction].asked_for = self.begun);
                    return Ok(transaction);
                }
                Err(Concurrent) if Instant::now() >= deadline => {
                    return Err(LogErrorKind::Abortable);
                }
                Err(Concurrent) => tokio::time::sleep(CONCURRENT_BACKOFF).await,
            }
        }
    }

    /// Appends one half of a batch's arenas.
    async fn append_half(
        &mut self,
        batch: &Batch,
        half: usize,
        deadline: Instant,
    ) -> Result<(), LogErrorKind> {
        let transaction = self.transaction(deadline).await?;
        self.has_records = true;
        let count = batch.arenas().count().div_ceil(2);
        for (to, arena) in batch.arenas().skip(half * count).take(count) {
            let partition = usize::try_from(to.partition).unwrap();
            for record in arena.records() {
                let (key, value) = arena.get(*record).unwrap();
                let record = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
                self.with(|broker| broker.append(transaction, &to.topic, partition, record))?;
            }
        }
        Ok(())
    }

    async fn try_append(&mut self, batch: &Batch) -> Result<(), LogErrorKind> {
        let fault = self.enter(Step::Append).await?;
        let limit = self.with(|broker| broker.message_timeout);
        let deadline = Instant::now() + limit;
        match fault {
            Some(Fault::Before) => return Err(LogErrorKind::Abortable),
            Some(Fault::Missing) => return Err(LogErrorKind::UnknownTopic),
            Some(Fault::Moved) => self.find_coordinator().await,
            Some(Fault::Lazy) => self.pause(20_000).await,
            _ => {}
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.append_half(batch, 0, deadline).await?;
        self.process.point("half of the batch is appended").await;
        self.pause(10).await;
        if fault == Some(Fault::Hang) {
            // A full disk, or too few replicas.
            tokio::time::sleep_until(deadline).await;
            return Err(LogErrorKind::Abortable);
        }
        self.append_half(batch, 1, deadline).await?;
        self.process.point("the batch is appended").await;
        self.pause(10).await;
        match fault {
            Some(Fault::After) => Err(LogErrorKind::Unreachable),
            Some(Fault::Held) if !self.held(limit).await => Err(LogErrorKind::Abortable),
            _ => Ok(()),
        }
    }

    /// Sends EndTxn, and waits for its arrival and its answer.
    async fn send_end(&self, epoch: u32, commit: bool) -> Result<(), LogErrorKind> {
        let after = self.with(|broker| Duration::from_millis(broker.random.below(0..30)));
        let ticket = self.with(|broker| broker.send_end(&self.id, epoch, commit, after));
        self.process.point("EndTxn is sent").await;
        tokio::time::sleep(after).await;
        let answer = self.with(|broker| broker.answer(ticket));
        self.process.point("EndTxn is answered").await;
        answer.expect("it has arrived")
    }

    /// Sends an EndTxn that arrives later than anybody waits for.
    fn send_late_end(&self, epoch: u32, commit: bool, after: Duration) {
        self.with(|broker| {
            let late = Duration::from_millis(broker.random.below(1..LATE_MS_MAX));
            broker.send_end(&self.id, epoch, commit, after + late);
        });
    }

    /// What the end of a transaction says, and whether a request was left without an answer.
    async fn end(&mut self, commit: bool, step: Step) -> (Result<(), LogErrorKind>, bool) {
        const LOST: (Result<(), LogErrorKind>, bool) = (Err(LogErrorKind::Unreachable), true);
        let fault = match self.enter(step).await {
            Ok(fault) => fault,
            Err(kind) => return (Err(kind), true),
        };
        self.in_transaction = false;
        let Some(epoch) = self.epoch else {
            return (Err(LogErrorKind::Fatal), false);
        };
        if commit && self.has_failed {
            return (Err(LogErrorKind::Abortable), false);
        }
        if !self.has_records {
            return (Ok(()), false);
        }
        let is_seen = self.with(|broker| broker.random.per_mille(500));
        match fault {
            Some(Fault::Before) => LOST,
            Some(Fault::LateError) => {
                self.send_late_end(epoch, commit, Duration::ZERO);
                LOST
            }
            Some(Fault::Slow) => {
                self.send_late_end(epoch, commit, RETRY_BACKOFF);
                tokio::time::sleep(RETRY_BACKOFF).await;
                (self.send_end(epoch, commit).await, is_seen)
            }
            Some(Fault::AnswerLost) => {
                let _lost = self.send_end(epoch, commit).await;
                tokio::time::sleep(RETRY_BACKOFF).await;
                (self.send_end(epoch, commit).await, is_seen)
            }
            Some(Fault::Transport) => {
                self.send_late_end(epoch, commit, Duration::ZERO);
                (self.send_end(epoch, commit).await, true)
            }
            Some(Fault::After) => {
                let _lost = self.send_end(epoch, commit).await;
                LOST
            }
            Some(Fault::Held) => {
                let answer = self.send_end(epoch, commit).await;
                let limit = self.with(|broker| broker.request_timeout);
                match self.held(limit).await {
                    true => (answer, false),
                    false => LOST,
                }
            }
            Some(Fault::Moved) => {
                self.find_coordinator().await;
                (self.send_end(epoch, commit).await, false)
            }
            Some(Fault::Lazy) => {
                self.pause(3_000).await;
                (self.send_end(epoch, commit).await, false)
            }
            Some(Fault::TimedOut | Fault::Missing | Fault::Hang) | None => {
                (self.send_end(epoch, commit).await, false)
            }
        }
    }
}

fn lock(broker: &Arc<Mutex<Broker>>) -> std::sync::MutexGuard<'_, Broker> {
    broker.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Init => "init",
        Step::Begin => "begin",
        Step::Append => "append",
        Step::Commit => "commit",
        Step::Abort => "abort",
        Step::Read => "read",
        Step::Describe => "describe",
        Step::Admin => "admin",
        Step::Survey | Step::Definition | Step::Open | Step::Next | Step::Registry => {
            "a step of another seam"
        }
    }
}

fn error(operation: &'static str, kind: LogErrorKind) -> LogError {
    LogError {
        operation,
        kind,
        message: "simulated".to_owned(),
    }
}

impl Log for SimLog {
    async fn init(&mut self) -> Result<(), LogError> {
        let operation = "init_transactions";
        self.epoch = None;
        self.in_transaction = false;
        (self.has_records, self.has_failed) = (false, false);
        let deadline = Instant::now() + self.with(|broker| broker.request_timeout);
        let (id, who) = (self.id.clone(), Arc::clone(&self.process.name));
        let mut answer = self
            .simple(Step::Init, operation, |broker| broker.init(&id, &who))
            .await?;
        // The transaction that it found has to end first.
        while answer.is_err() {
            if Instant::now() >= deadline {
                return Err(error(operation, LogErrorKind::Unreachable));
            }
            tokio::time::sleep(CONCURRENT_BACKOFF).await;
            answer = self.with(|broker| broker.init(&id, &who));
        }
        self.process.point("the producer is initialised").await;
        self.epoch = answer.ok();
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), LogError> {
        let fault = self.with(|broker| broker.enter(&self.id, Step::Begin));
        if fault.is_some() || self.epoch.is_none() {
            return Err(error("begin_transaction", LogErrorKind::Fatal));
        }
        assert!(!self.in_transaction, "a transaction is open already");
        (self.in_transaction, self.has_records, self.has_failed) = (true, false, false);
        self.begun = Instant::now();
        Ok(())
    }

    async fn append(&mut self, batch: Batch) -> Result<Batch, LogError> {
        assert!(self.in_transaction, "records outside of a transaction");
        match self.try_append(&batch).await {
            Ok(()) => Ok(batch),
            Err(kind) => {
                self.has_failed = true;
                Err(error("produce", kind))
            }
        }
    }

    async fn commit(&mut self) -> CommitAnswer {
        let start = Instant::now();
        let (result, transport_error) = self.end(true, Step::Commit).await;
        self.in_transaction = false;
        CommitAnswer {
            result: result.map_err(|kind| error("commit_transaction", kind)),
            elapsed: start.elapsed(),
            transport_error,
        }
    }

    async fn abort(&mut self) -> Result<(), LogError> {
        let (result, _) = self.end(false, Step::Abort).await;
        self.in_transaction = false;
        result.map_err(|kind| error("abort_transaction", kind))
    }

    async fn end_offset(&mut self, topic: &str, isolation: Isolation) -> Result<i64, LogError> {
        let operation = "end_offset";
        let end = |broker: &mut Broker| {
            broker.topics.get(topic)?;
            Some(match isolation {
                Isolation::ReadUncommitted => broker.high_watermark(topic, 0),
                Isolation::ReadCommitted => broker.last_stable_offset(topic, 0),
            })
        };
        let end = self.simple(Step::Read, operation, end).await?;
        end.ok_or_else(|| error(operation, LogErrorKind::UnknownTopic))
    }

    async fn read_committed(
        &mut self,
        topic: &str,
        from: i64,
    ) -> Result<CommittedRecords, LogError> {
        let operation = "read_committed";
        let read = |broker: &mut Broker| {
            broker.topics.get(topic)?;
            let records = broker
                .records(topic, 0, from)
                .filter_map(|(_, key, value)| Some((key?.to_vec(), value.map(<[u8]>::to_vec))))
                .collect();
            Some(CommittedRecords {
                records,
                next_offset: broker.last_stable_offset(topic, 0),
            })
        };
        let read = self.simple(Step::Read, operation, read).await?;
        read.ok_or_else(|| error(operation, LogErrorKind::UnknownTopic))
    }

    async fn describe_topics(
        &mut self,
        topics: &[String],
    ) -> Result<Vec<Option<TopicDescription>>, LogError> {
        let describe = |broker: &mut Broker| {
            let one = |asked: &String| {
                let mut all = broker.visible_topics();
                all.find(|(name, _)| *name == asked)
                    .map(|(_, topic)| TopicDescription {
                        id: topic.id.clone(),
                        partitions: i32::try_from(topic.partitions.len()).unwrap(),
                    })
            };
            topics.iter().map(one).collect()
        };
        match self
            .simple(Step::Describe, "describe_topics", describe)
            .await
        {
            Err(error) if error.kind == LogErrorKind::UnknownTopic => Ok(vec![None; topics.len()]),
            answer => answer,
        }
    }

    fn transaction_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn held_back(
        &mut self,
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<(i32, i64)>, LogError> {
        let operation = "held_back";
        let held = |broker: &mut Broker| {
            broker.topics.get(topic)?;
            let all = (0..partitions).map(|partition| {
                let index = usize::try_from(partition).unwrap();
                let stable = broker.last_stable_offset(topic, index);
                (partition, stable, broker.high_watermark(topic, index))
            });
            let held = all.filter(|(_, stable, end)| stable < end);
            Some(
                held.map(|(partition, stable, _)| (partition, stable))
                    .collect(),
            )
        };
        let held = self.simple(Step::Describe, operation, held).await?;
        held.ok_or_else(|| error(operation, LogErrorKind::UnknownTopic))
    }

    async fn begin_offset(&mut self, topic: &str) -> Result<i64, LogError> {
        let operation = "begin_offset";
        let begin = |broker: &mut Broker| Some(broker.topics.get(topic)?.partitions[0].begin);
        let begin = self.simple(Step::Read, operation, begin).await?;
        begin.ok_or_else(|| error(operation, LogErrorKind::UnknownTopic))
    }

    async fn create_topic(&mut self, topic: &NewTopic) -> Result<(), LogError> {
        let partitions = usize::try_from(topic.partitions).unwrap();
        let create = |broker: &mut Broker| broker.create(&topic.name, partitions);
        self.simple(Step::Admin, "create_topic", create).await
    }

    async fn list_topics(&mut self, prefix: &str) -> Result<BTreeMap<String, u64>, LogError> {
        let list = |broker: &mut Broker| {
            let all = broker
                .visible_topics()
                .filter(|(name, _)| name.starts_with(prefix));
            all.map(|(name, topic)| {
                let records: i64 = topic.partitions.iter().map(|p| p.end).sum();
                (name.clone(), u64::try_from(records).unwrap())
            })
            .collect()
        };
        self.simple(Step::Admin, "list_topics", list).await
    }

    async fn broker_count(&mut self) -> Result<usize, LogError> {
        self.simple(Step::Admin, "broker_count", |_| 1).await
    }
}
