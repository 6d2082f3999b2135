//! The transactional producer, which lends its batches to the client.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use binlog_bridge_core::encode::{Arena, Batch, Record, TopicPartition};
use rdkafka::bindings as sys;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::client::Context;
use super::super::failure::Failure;
use super::super::patience::Patience;
use super::{Handle, OK, Role, STEP_WAIT, Topic, check, millis};

/// How an end of transaction went.
pub(in crate::sink::kafka) struct Ended {
    pub(in crate::sink::kafka) result: Result<(), Failure>,
    pub(in crate::sink::kafka) elapsed: Duration,
    pub(in crate::sink::kafka) unanswered: bool,
}

/// Messages in one call of `rd_kafka_produce_batch`.
const SLICE_RECORDS: usize = 1024;
/// How long to wait before another try when the client's queue is full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(1);
/// How long to wait for deliveries before looking for failed ones; a delivery ends the wait at once.
const DELIVERY_WAIT_MS: c_int = 20;
/// After so long without progress, and then every so long, the client is to look whether its topics exist.
const TOPICS_DOUBTED_AFTER: Duration = Duration::from_secs(5);
/// How long to wait for that; an answer that comes later is heeded by the client as well.
const TOPICS_LOOK_WAIT: Duration = Duration::from_millis(200);

/// A transactional producer and the batches that its client still reads from.
pub(in crate::sink::kafka) struct Producer {
    // Dropped in this order: destroying the client ends all reading from the batches.
    handle: Handle,
    lent: Vec<Batch>,
    /// Part of the open transaction was refused, so that committing it would lose records.
    incomplete: bool,
    /// When a wait began, or the client was last made to look for its topics.
    looked: Cell<Instant>,
}

impl Producer {
    pub(in crate::sink::kafka) fn new(config: &ClientConfig) -> Result<Producer, Failure> {
        let handle = Handle::new(config, Role::Producer, Context::default())?;
        Ok(Producer {
            handle,
            lent: Vec::new(),
            incomplete: false,
            looked: Cell::new(Instant::now()),
        })
    }

    pub(in crate::sink::kafka) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for the initialisation up to a time; a resumable failure asks for another call.
    pub(in crate::sink::kafka) fn init_transactions(&self, wait: Duration) -> Result<(), Failure> {
        // SAFETY: the client is alive; the error, if any, is freed by `check`.
        check(unsafe { sys::rd_kafka_init_transactions(self.handle.raw(), millis(wait)) })
    }

    pub(in crate::sink::kafka) fn begin(&self) -> Result<(), Failure> {
        // SAFETY: as above.
        check(unsafe { sys::rd_kafka_begin_transaction(self.handle.raw()) })
    }

    /// Hands the batch to the client and waits until every record is acknowledged.
    pub(in crate::sink::kafka) fn append(
        &mut self,
        batch: Batch,
        patience: &Patience,
    ) -> Result<Batch, Failure> {
        if self.incomplete {
            return Err(Failure::abortable(
                "an earlier batch of the transaction failed",
            ));
        }
        // Whatever happens from here on, a panic included, the batch outlives the client's use of it.
        self.lent.push(batch);
        self.incomplete = true;
        self.looked.set(Instant::now());
        self.hand_over(patience)?;
        self.await_delivery(patience)?;
        self.incomplete = false;
        let batch = self.lent.pop();
        self.lent.clear(); // nothing is outstanding any more
        for (to, _) in batch.iter().flat_map(Batch::arenas) {
            self.handle.context().has_leader(to);
        }
        batch.ok_or_else(|| Failure::new(Code::Fail, "the batch was lost"))
    }

    fn hand_over(&self, patience: &Patience) -> Result<(), Failure> {
        let Some(batch) = self.lent.last() else {
            return Ok(());
        };
        let mut messages = Vec::with_capacity(batch.records().min(SLICE_RECORDS));
        for (to, arena) in batch.arenas() {
            let topic = Topic::new(&self.handle, &to.topic)?;
            for records in arena.records().chunks(SLICE_RECORDS) {
                messages.clear();
                for record in records {
                    messages.push(message(arena, *record)?);
                }
                self.produce(&topic, to, &mut messages, patience)?;
            }
        }
        Ok(())
    }

    /// Enqueues messages of one partition, in order.
    ///
    /// `rd_kafka_produce_batch` (2.12.1) tries one message after another. A full queue refuses that message
    /// and *all* after it in the same call, so that the accepted ones are a prefix, after which the next call
    /// goes on: k+1 is never enqueued when k was refused. Any other refusal may leave a gap; it fails the
    /// append, and `incomplete` keeps the transaction from being committed.
    fn produce(
        &self,
        topic: &Topic<'_>,
        to: &TopicPartition,
        messages: &mut [sys::rd_kafka_message_t],
        patience: &Patience,
    ) -> Result<(), Failure> {
        let mut rest = messages;
        while !rest.is_empty() {
            let count = c_int::try_from(rest.len()).unwrap_or(c_int::MAX);
            // SAFETY: topic and messages are alive during the call. Without COPY and FREE the client goes on
            // reading the values afterwards: they lie in arenas of a batch in `lent`, which nobody changes
            // and which is only released when no message is outstanding or the client is destroyed.
            let accepted = unsafe {
                sys::rd_kafka_produce_batch(topic.raw(), to.partition, 0, rest.as_mut_ptr(), count)
            };
            let accepted = usize::try_from(accepted).unwrap_or(0);
            let refusal = rest.iter().map(|m| m.err).find(|e| *e != OK);
            match refusal {
                None => return Ok(()),
                Some(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL) => {
                    rest = rest.get_mut(accepted..).unwrap_or_default();
                    self.check_deliveries()?;
                    self.doubt_topics()?;
                    patience.check()?;
                    std::thread::sleep(QUEUE_FULL_WAIT);
                }
                Some(code) => {
                    self.check_deliveries()?;
                    let message = format!("records for {} were refused", to.topic);
                    return Err(self.handle.or_fatal(Failure::new(code.into(), message)));
                }
            }
        }
        Ok(())
    }

    fn await_delivery(&self, patience: &Patience) -> Result<(), Failure> {
        loop {
            let delivered = self.flush(DELIVERY_WAIT_MS);
            self.check_deliveries()?;
            if delivered {
                return Ok(());
            }
            // Waiting on would not help.
            if self.handle.context().refused_credentials() {
                return Err(Failure::timed_out("records were not delivered"));
            }
            self.doubt_topics()?;
            patience.check()?;
        }
    }

    /// Makes the client look, in a long wait, whether the topics it writes to exist.
    ///
    /// A partition that cannot be added to the transaction holds up the records of all of them. If its topic was deleted,
    /// the client (2.12.1) adds it again and again until the records time out: only metadata, for which it does not
    /// ask then, tells it that the topic is gone, and makes it fail the records at once.
    fn doubt_topics(&self) -> Result<(), Failure> {
        if self.looked.get().elapsed() < TOPICS_DOUBTED_AFTER {
            return Ok(());
        }
        // Another producer finds the leader.
        let mut targets = self.lent.iter().flat_map(Batch::arenas);
        if targets.any(|(to, _)| self.handle.context().has_lost_leader(to)) {
            let what = "records were not delivered: a partition had no leader for a while";
            return Err(Failure::timed_out(what));
        }
        self.looked.set(Instant::now());
        let mut metadata = ptr::null();
        // SAFETY: the client is alive; what it gives, if anything, is freed below and not looked at. Without a topic
        // and without "all", it asks for those it has messages for.
        unsafe {
            let wait_ms = millis(TOPICS_LOOK_WAIT);
            let raw = self.handle.raw();
            if sys::rd_kafka_metadata(raw, 0, ptr::null_mut(), &raw mut metadata, wait_ms) == OK {
                sys::rd_kafka_metadata_destroy(metadata);
            }
        }
        Ok(())
    }

    /// Records that wait when the client is fenced are reported only after their time-out: it is asked as well.
    fn check_deliveries(&self) -> Result<(), Failure> {
        match self.handle.serve() {
            None => match self.handle.client().fatal_error() {
                None => Ok(()),
                Some(_) => {
                    let lost = Failure::new(Code::Fail, "records were not delivered");
                    Err(self.handle.or_fatal(lost))
                }
            },
            Some((code, topic)) => {
                let message = format!("a record for topic {topic} was not delivered");
                Err(self.handle.or_fatal(self.cause(Failure {
                    requires_abort: true,
                    ..Failure::new(code, message)
                })))
            }
        }
    }

    /// Once the transaction has failed, its records are purged, and their reports say no more than that. Why it failed
    /// the client says when it is asked to begin another: it does not do that.
    fn cause(&self, failure: Failure) -> Failure {
        if !matches!(failure.code, Code::PurgeQueue | Code::PurgeInflight) {
            return failure;
        }
        match self.begin() {
            Err(cause) if cause.requires_abort || cause.fatal => Failure {
                message: format!("{}: {}", failure.message, cause.message),
                ..cause
            },
            Ok(()) | Err(_) => failure,
        }
    }

    /// True if no message is outstanding. Each counts from its acceptance until the client frees it, a
    /// failed one until its report was served, so that `true` means: all acknowledged, or all reported.
    fn flush(&self, wait_ms: c_int) -> bool {
        // SAFETY: the client is alive.
        unsafe { sys::rd_kafka_flush(self.handle.raw(), wait_ms) == OK }
    }

    /// Sends EndTxn; everything appended is acknowledged by now.
    pub(in crate::sink::kafka) fn commit(&mut self, wait: Duration) -> Ended {
        if self.incomplete {
            let result = Err(Failure::abortable("a batch of the transaction failed"));
            return Ended {
                result,
                elapsed: Duration::ZERO,
                unanswered: false,
            };
        }
        let before = self.handle.context().end_txn_unanswered();
        let started = Instant::now();
        // SAFETY: the client is alive; the error, if any, is freed by `check`.
        let result =
            check(unsafe { sys::rd_kafka_commit_transaction(self.handle.raw(), millis(wait)) });
        let elapsed = started.elapsed();
        let unanswered = self.handle.context().end_txn_unanswered() != before;
        self.handle.serve();
        Ended {
            result: result.map_err(|f| self.handle.or_fatal(f)),
            elapsed,
            unanswered,
        }
    }

    /// Aborts in steps, as reports of what is purged have to be served between.
    pub(in crate::sink::kafka) fn abort(&mut self, patience: &Patience) -> Result<(), Failure> {
        loop {
            // SAFETY: the client is alive; the error, if any, is freed by `check`.
            let result = check(unsafe {
                sys::rd_kafka_abort_transaction(self.handle.raw(), millis(STEP_WAIT))
            });
            self.handle.serve();
            match result {
                Ok(()) => break,
                Err(failure) if failure.resumable => patience.check()?,
                Err(failure) => return Err(self.handle.or_fatal(failure)),
            }
        }
        self.incomplete = false;
        if self.flush(0) {
            self.lent.clear();
        }
        Ok(())
    }
}

/// The message of one record. The value is not copied (the client copies keys by itself).
fn message(arena: &Arena, record: Record) -> Result<sys::rd_kafka_message_t, Failure> {
    let (key, value) = arena
        .get(record)
        .ok_or_else(|| Failure::new(Code::Fail, "a record lies outside of its arena"))?;
    // A null pointer is a null key or value; a pointer with length 0 an empty one.
    let part = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => (bytes.as_ptr().cast_mut().cast::<c_void>(), bytes.len()),
        None => (ptr::null_mut(), 0),
    };
    let ((payload, len), (key, key_len)) = (part(value), part(key));
    Ok(sys::rd_kafka_message_t {
        err: OK,
        rkt: ptr::null_mut(),
        partition: 0,
        payload,
        len,
        key,
        key_len,
        offset: 0,
        _private: ptr::null_mut(),
    })
}
