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

use crate::simulated::broker::{Broker, Ended, Fault, Step};

pub struct SimLog {
    broker: Arc<Mutex<Broker>>,
    who: String,
    /// The epoch that `init` gave.
    epoch: Option<u32>,
    in_transaction: bool,
    /// What the coordinator called the open transaction.
    transaction: Option<usize>,
}

/// How late an EndTxn may arrive.
const LATE_MS_MAX: u64 = 8_000;

impl SimLog {
    pub fn new(broker: Arc<Mutex<Broker>>, who: &str) -> Self {
        let (epoch, in_transaction, transaction) = (None, false, None);
        Self {
            broker,
            who: who.to_owned(),
            epoch,
            in_transaction,
            transaction,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Broker) -> T) -> T {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        broker.tick();
        work(&mut broker)
    }

    async fn pause(&self, ms_max: u64) {
        let ms = self.with(|broker| broker.random.below(0..ms_max));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn enter(&self, step: Step) -> Option<Fault> {
        self.pause(10).await;
        let fault = self.with(|broker| broker.enter(step));
        let line = format!("{} epoch={:?} {step:?} {fault:?}", self.who, self.epoch);
        self.with(|broker| broker.note(&line));
        fault
    }

    /// A step that is done as a whole.
    async fn simple<T>(
        &self,
        step: Step,
        operation: &'static str,
        work: impl FnOnce(&mut Broker) -> T,
    ) -> Result<T, LogError> {
        let fault = self.enter(step).await;
        if fault == Some(Fault::Before) {
            return Err(error(operation, LogErrorKind::Unreachable));
        }
        let answer = self.with(work);
        self.pause(10).await;
        match fault {
            None => Ok(answer),
            Some(_) => Err(error(operation, LogErrorKind::Unreachable)),
        }
    }

    /// Appends some arenas of a batch.
    fn append_part(&mut self, batch: &Batch, part: usize) -> Result<(), LogErrorKind> {
        let epoch = self.epoch.ok_or(LogErrorKind::Other)?;
        let transaction = self
            .with(|broker| broker.transaction(epoch))
            .ok_or(LogErrorKind::Fenced)?;
        self.transaction.get_or_insert(transaction);
        let half = batch.arenas().count().div_ceil(2);
        for (to, arena) in batch.arenas().skip(part * half).take(half) {
            let partition = usize::try_from(to.partition).unwrap();
            for record in arena.records() {
                let (key, value) = arena.get(*record).unwrap();
                let record = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
                if !self.with(|broker| broker.append(transaction, &to.topic, partition, record)) {
                    return Err(LogErrorKind::UnknownTopic);
                }
            }
        }
        Ok(())
    }

    /// What `commit_transaction` returns once the coordinator has answered.
    fn outcome(&self, epoch: u32) -> Result<(), LogError> {
        let Some(transaction) = self.transaction else {
            return Ok(());
        };
        let (state, current) =
            self.with(|broker| (broker.transactions[transaction].state, broker.epoch));
        match state {
            Ended::Committed | Ended::Soon { commit: true, .. } => Ok(()),
            _ if current != epoch => Err(error("commit_transaction", LogErrorKind::Fenced)),
            Ended::No | Ended::Aborted | Ended::Soon { commit: false, .. } => {
                Err(error("commit_transaction", LogErrorKind::Fatal))
            }
        }
    }

    async fn end(&mut self, commit: bool, fault: Option<Fault>) -> (Result<(), LogError>, bool) {
        let failed = || error("end_transaction", LogErrorKind::Unreachable);
        let Some(epoch) = self.epoch else {
            return (Err(error("end_transaction", LogErrorKind::Other)), false);
        };
        let late = self.with(|broker| Duration::from_millis(broker.random.below(1..LATE_MS_MAX)));
        let soon = self.with(|broker| Duration::from_millis(broker.random.below(0..30)));
        let send = |after| self.with(|broker| broker.send_end(epoch, commit, after));
        match fault {
            Some(Fault::Before) => return (Err(failed()), true),
            Some(Fault::LateError) => {
                send(late);
                return (Err(failed()), true);
            }
            Some(Fault::Slow) => {
                send(Duration::from_millis(600) + late);
                tokio::time::sleep(Duration::from_millis(600)).await;
            }
            Some(Fault::Transport | Fault::After) => send(late),
            Some(Fault::TimedOut) | None => {}
        }
        send(soon);
        tokio::time::sleep(soon).await;
        let outcome = self.outcome(epoch);
        self.pause(20).await;
        match fault {
            Some(Fault::After) => (Err(failed()), true),
            fault => (outcome, fault == Some(Fault::Transport)),
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
        self.epoch = None;
        self.in_transaction = false;
        self.transaction = None;
        let epoch = self
            .simple(Step::Init, "init_transactions", Broker::init)
            .await?;
        self.epoch = Some(epoch);
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), LogError> {
        self.simple(Step::Begin, "begin_transaction", |_| ())
            .await?;
        assert!(!self.in_transaction, "a transaction is open already");
        (self.in_transaction, self.transaction) = (true, None);
        Ok(())
    }

    async fn append(&mut self, batch: Batch) -> Result<Batch, LogError> {
        assert!(self.in_transaction, "records outside of a transaction");
        let fault = self.enter(Step::Append).await;
        if fault == Some(Fault::Before) {
            return Err(error("produce", LogErrorKind::Abortable));
        }
        self.append_part(&batch, 0)
            .map_err(|kind| error("produce", kind))?;
        self.pause(10).await;
        self.append_part(&batch, 1)
            .map_err(|kind| error("produce", kind))?;
        self.pause(10).await;
        match fault {
            None => Ok(batch),
            Some(_) => Err(error("flush", LogErrorKind::Unreachable)),
        }
    }

    async fn commit(&mut self) -> CommitAnswer {
        let start = Instant::now();
        let fault = self.enter(Step::Commit).await;
        let (result, transport_error) = self.end(true, fault).await;
        self.in_transaction = false;
        CommitAnswer {
            result,
            elapsed: start.elapsed(),
            transport_error,
        }
    }

    async fn abort(&mut self) -> Result<(), LogError> {
        let fault = self.enter(Step::Abort).await;
        self.in_transaction = false;
        self.end(false, fault).await.0
    }

    async fn end_offset(&mut self, topic: &str, isolation: Isolation) -> Result<i64, LogError> {
        let end = |broker: &mut Broker| match isolation {
            Isolation::ReadUncommitted => broker.high_watermark(topic, 0),
            Isolation::ReadCommitted => broker.last_stable_offset(topic, 0),
        };
        Ok(i64::try_from(self.simple(Step::Read, "end_offset", end).await?).unwrap())
    }

    async fn read_committed(
        &mut self,
        topic: &str,
        from: i64,
    ) -> Result<CommittedRecords, LogError> {
        let from = usize::try_from(from).unwrap();
        let read = |broker: &mut Broker| {
            let records = broker
                .records(topic, 0, from)
                .filter_map(|(_, key, value)| Some((key?.to_vec(), value.map(<[u8]>::to_vec))))
                .collect();
            let end = broker.last_stable_offset(topic, 0).max(from);
            CommittedRecords {
                records,
                next_offset: i64::try_from(end).unwrap(),
            }
        };
        self.simple(Step::Read, "read_committed", read).await
    }

    async fn describe_topic(&mut self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        let describe = |broker: &mut Broker| {
            broker.topics.get(topic).map(|topic| TopicDescription {
                id: topic.id.clone(),
                partitions: i32::try_from(topic.partitions.len()).unwrap(),
            })
        };
        self.simple(Step::Admin, "describe_topic", describe).await
    }

    async fn create_topic(&mut self, topic: &NewTopic) -> Result<(), LogError> {
        let partitions = usize::try_from(topic.partitions).unwrap();
        let create = |broker: &mut Broker| broker.create(&topic.name, partitions);
        self.simple(Step::Admin, "create_topic", create).await
    }

    async fn list_topics(&mut self, prefix: &str) -> Result<BTreeMap<String, u64>, LogError> {
        let list = |broker: &mut Broker| {
            let all = broker
                .topics
                .iter()
                .filter(|(name, _)| name.starts_with(prefix));
            all.map(|(name, topic)| {
                let records: usize = topic.partitions.iter().map(Vec::len).sum();
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
