//! The one module that talks to librdkafka's C interface; all that is `unsafe` is here.
//!
//! Why not the safe wrapper: it has neither `rd_kafka_produce_batch` nor DescribeTopics with topic ids, it
//! hides the offset of a partition's end, its `flush` waits in steps of 100 ms, and only an interceptor
//! tells whether an EndTxn went unanswered.
//!
//! What keeps it sound:
//! - A [`Handle`] owns its client and the queue of its events; whatever else comes from a client borrows
//!   the handle, so that the client is destroyed last.
//! - `rd_kafka_destroy` returns once all threads of the client have ended. A [`Producer`] owns the batches
//!   that it has lent to its client, and drops them after that.
//! - Handles hold raw pointers and so stay on the thread that made them.
#![allow(unsafe_code)] // the reason is the paragraph above

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use binlog_bridge_core::encode::{Arena, Batch, Record, TopicPartition};
use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaType;

use super::client::Context;
use super::failure::Failure;
use super::patience::Patience;
use crate::sink::log::{NewTopic, TopicDescription};

const OK: sys::rd_kafka_resp_err_t = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// What a client is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sink) enum Role {
    Producer,
    Consumer,
}

/// One client, and the queue on which it tells of log lines, errors and failed deliveries.
pub(in crate::sink) struct Handle {
    // Dropped in this order: a queue must not outlive its client.
    events: Queue,
    client: Client<Context>,
}

impl Handle {
    pub(in crate::sink) fn new(
        config: &ClientConfig,
        role: Role,
        context: Context,
    ) -> Result<Handle, Failure> {
        let native = config
            .create_native_config()
            .map_err(|e| Failure::from_client(&e))?;
        // SAFETY: the configuration is alive and not yet given to a client.
        unsafe {
            sys::rd_kafka_conf_set_events(
                native.ptr(),
                sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR,
            );
        }
        if role == Role::Producer {
            watch_end_txn(native.ptr(), &context.end_txn_unanswered)?;
        }
        let kind = match role {
            Role::Producer => RDKafkaType::RD_KAFKA_PRODUCER,
            Role::Consumer => RDKafkaType::RD_KAFKA_CONSUMER,
        };
        let client =
            Client::new(config, native, kind, context).map_err(|e| Failure::from_client(&e))?;
        // SAFETY: the client is alive; the reference to its main queue is given back by `Queue::drop`.
        let events = Queue::new(unsafe { sys::rd_kafka_queue_get_main(client.native_ptr()) })?;
        Ok(Handle { events, client })
    }

    pub(in crate::sink) fn client(&self) -> &Client<Context> {
        &self.client
    }

    pub(in crate::sink) fn context(&self) -> &Context {
        self.client.context()
    }

    /// Passes on all that the client has to say. Returns the code of the first delivery that failed.
    pub(in crate::sink) fn serve(&self) -> Option<Code> {
        let mut failed = None;
        while let Some(event) = self.events.pop(0) {
            match event.kind() {
                sys::RD_KAFKA_EVENT_LOG => self.log(&event),
                sys::RD_KAFKA_EVENT_ERROR => self.error(&event),
                sys::RD_KAFKA_EVENT_DR => failed = failed.or(event.first_failed_delivery()),
                _ => {}
            }
        }
        failed
    }

    fn log(&self, event: &Event) {
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event is alive, and the text it points to lives as long.
        let (facility, line) = unsafe {
            if sys::rd_kafka_event_log(event.0.as_ptr(), &mut facility, &mut line, &mut level) != 0
            {
                return;
            }
            (text(facility), text(line))
        };
        self.context()
            .log(log_level(level), facility.trim(), line.trim());
    }

    fn error(&self, event: &Event) {
        // SAFETY: the event is alive, and the text it points to lives as long.
        let (code, reason) = unsafe {
            let event = event.0.as_ptr();
            (
                sys::rd_kafka_event_error(event),
                text(sys::rd_kafka_event_error_string(event)),
            )
        };
        self.context()
            .error(KafkaError::Global(code.into()), reason.trim());
    }

    /// The fatal error of the client, if there was one, else the given one.
    fn or_fatal(&self, failure: Failure) -> Failure {
        match self.client.fatal_error() {
            Some((code, message)) => Failure {
                code,
                message,
                fatal: true,
                ..failure
            },
            None => failure,
        }
    }

    fn raw(&self) -> *mut sys::rd_kafka_t {
        self.client.native_ptr()
    }
}

fn log_level(level: c_int) -> RDKafkaLogLevel {
    match level {
        ..=2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

// ---------------------------------------------------------------------------------------------------------
// Whether an EndTxn was left without an answer

/// Kafka's number of the request that ends a transaction.
const END_TXN: i16 = 26;
const INTERCEPTOR: &CStr = c"end-txn-watch";

/// Counts the EndTxn requests that end with an error of the connection or of time instead of an answer.
///
/// The client sends such a request again by itself and then reports success, and the loss of a connection
/// with one request under way it logs at most once in 30 s: only an interceptor sees each.
fn watch_end_txn(
    config: *mut sys::rd_kafka_conf_t,
    counter: &Arc<AtomicU32>,
) -> Result<(), Failure> {
    let opaque = Arc::as_ptr(counter).cast_mut().cast::<c_void>();
    // SAFETY: the configuration is alive. The counter belongs to the context, which the client made from
    // this configuration drops after `rd_kafka_destroy` has returned.
    let code = unsafe {
        sys::rd_kafka_conf_interceptor_add_on_new(
            config,
            INTERCEPTOR.as_ptr(),
            Some(on_new),
            opaque,
        )
    };
    if code == OK {
        Ok(())
    } else {
        Err(Failure::new(code.into(), "interceptor refused"))
    }
}

unsafe extern "C" fn on_new(
    client: *mut sys::rd_kafka_t,
    _config: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _error: *mut c_char,
    _error_size: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: called by `rd_kafka_new` with the client it is making and the pointer of `watch_end_txn`.
    unsafe {
        sys::rd_kafka_interceptor_add_on_response_received(
            client,
            INTERCEPTOR.as_ptr(),
            Some(on_response_received),
            opaque,
        )
    }
}

unsafe extern "C" fn on_response_received(
    _client: *mut sys::rd_kafka_t,
    _socket: c_int,
    _broker_name: *const c_char,
    _broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation_id: i32,
    _size: usize,
    _round_trip: i64,
    error: sys::rd_kafka_resp_err_t,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    if api_key == END_TXN && error != OK {
        // SAFETY: the pointer of `watch_end_txn`, alive as long as the client; an atomic may be shared.
        unsafe { &*opaque.cast::<AtomicU32>() }.fetch_add(1, Ordering::Release);
    }
    OK
}

// ---------------------------------------------------------------------------------------------------------
// The transactional producer

/// How an end of transaction went.
pub(super) struct Ended {
    pub(super) result: Result<(), Failure>,
    pub(super) elapsed: Duration,
    pub(super) unanswered: bool,
}

/// Messages in one call of `rd_kafka_produce_batch`.
const SLICE_RECORDS: usize = 1024;
/// How long to wait before another try when the client's queue is full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(1);
/// How long to wait for deliveries before looking for failed ones; a delivery ends the wait at once.
const DELIVERY_WAIT_MS: c_int = 20;
/// How long a call to end a transaction may wait before events are served between.
const STEP_WAIT: Duration = Duration::from_millis(100);

/// A transactional producer and the batches that its client still reads from.
pub(super) struct Producer {
    // Dropped in this order: destroying the client ends all reading from the batches.
    handle: Handle,
    lent: Vec<Batch>,
    /// Part of the open transaction was refused, so that committing it would lose records.
    incomplete: bool,
}

impl Producer {
    pub(super) fn new(config: &ClientConfig) -> Result<Producer, Failure> {
        let handle = Handle::new(config, Role::Producer, Context::default())?;
        Ok(Producer {
            handle,
            lent: Vec::new(),
            incomplete: false,
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for the initialisation up to a time; a resumable failure asks for another call.
    pub(super) fn init_transactions(&self, wait: Duration) -> Result<(), Failure> {
        // SAFETY: the client is alive; the error, if any, is freed by `check`.
        check(unsafe { sys::rd_kafka_init_transactions(self.handle.raw(), millis(wait)) })
    }

    pub(super) fn begin(&self) -> Result<(), Failure> {
        // SAFETY: as above.
        check(unsafe { sys::rd_kafka_begin_transaction(self.handle.raw()) })
    }

    /// Hands the batch to the client and waits until every record is acknowledged.
    pub(super) fn append(&mut self, batch: Batch, patience: &Patience) -> Result<Batch, Failure> {
        if self.incomplete {
            return Err(Failure::abortable(
                "an earlier batch of the transaction failed",
            ));
        }
        // Whatever happens from here on, a panic included, the batch outlives the client's use of it.
        self.lent.push(batch);
        self.incomplete = true;
        self.hand_over(patience)?;
        self.await_delivery(patience)?;
        self.incomplete = false;
        let batch = self.lent.pop();
        self.lent.clear(); // nothing is outstanding any more
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
    /// goes on: k+1 is never enqueued when k was refused. Any other refusal may leave a gap; it fails the append, and
    /// `incomplete` keeps the transaction from being committed.
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
            patience.check()?;
        }
    }

    fn check_deliveries(&self) -> Result<(), Failure> {
        match self.handle.serve() {
            None => Ok(()),
            Some(code) => Err(self.handle.or_fatal(Failure {
                requires_abort: true,
                ..Failure::new(code, "a record was not delivered")
            })),
        }
    }

    /// True if no message is outstanding. Each counts from its acceptance until the client frees it, a
    /// failed one until its report was served, so that `true` means: all acknowledged, or all reported.
    fn flush(&self, wait_ms: c_int) -> bool {
        // SAFETY: the client is alive.
        unsafe { sys::rd_kafka_flush(self.handle.raw(), wait_ms) == OK }
    }

    /// Sends EndTxn; everything appended is acknowledged by now.
    pub(super) fn commit(&mut self, wait: Duration) -> Ended {
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
    pub(super) fn abort(&mut self, patience: &Patience) -> Result<(), Failure> {
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

// ---------------------------------------------------------------------------------------------------------
// Reading

/// Reads partitions without a group, one queue for all; stops when dropped.
pub(in crate::sink) struct Fetch<'a> {
    queue: Queue,
    started: Vec<(String, i32)>,
    handle: &'a Handle,
}

impl<'a> Fetch<'a> {
    pub(in crate::sink) fn new(handle: &'a Handle) -> Result<Fetch<'a>, Failure> {
        // SAFETY: the client is alive; the queue is destroyed by `Queue::drop`, before it.
        let queue = Queue::new(unsafe { sys::rd_kafka_queue_new(handle.raw()) })?;
        Ok(Fetch {
            queue,
            started: Vec::new(),
            handle,
        })
    }

    pub(in crate::sink) fn start(
        &mut self,
        topic: &str,
        partition: i32,
        from: From,
    ) -> Result<(), Failure> {
        let offset = match from {
            From::Beginning => i64::from(sys::RD_KAFKA_OFFSET_BEGINNING),
            From::End => i64::from(sys::RD_KAFKA_OFFSET_END),
            From::Offset(offset) => offset,
        };
        let native = Topic::new(self.handle, topic)?;
        // SAFETY: topic and queue are alive, and of one client.
        unsafe {
            if sys::rd_kafka_consume_start_queue(native.raw(), partition, offset, self.queue.raw())
                != 0
            {
                return Err(Failure::new(
                    sys::rd_kafka_last_error().into(),
                    format!("reading {topic} could not be started"),
                ));
            }
        }
        self.started.push((topic.to_owned(), partition));
        Ok(())
    }

    /// The next message, an end of partition, or an error; `None` if nothing came in time.
    pub(in crate::sink) fn next(&self, wait: Duration) -> Option<Message> {
        // SAFETY: the queue is alive; the message is destroyed by `Message::drop`.
        NonNull::new(unsafe { sys::rd_kafka_consume_queue(self.queue.raw(), millis(wait)) })
            .map(Message)
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        for (topic, partition) in &self.started {
            if let Ok(native) = Topic::new(self.handle, topic) {
                // SAFETY: the topic is alive; reading of this partition was started by `start`.
                unsafe { sys::rd_kafka_consume_stop(native.raw(), *partition) };
            }
        }
    }
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sink) enum From {
    Beginning,
    End,
    Offset(i64),
}

/// What a [`Message`] is.
pub(in crate::sink) enum Fetched {
    Record,
    /// The end of the partition: the message's offset is that of the next record to come.
    End,
    Failed(Failure),
}

/// One message that was fetched.
pub(in crate::sink) struct Message(NonNull<sys::rd_kafka_message_t>);

impl Message {
    pub(in crate::sink) fn fetched(&self) -> Fetched {
        match self.native().err {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Fetched::Record,
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => Fetched::End,
            // The client's words stand where the value of a record would; they hold no row.
            code => Fetched::Failed(Failure::new(
                code.into(),
                format!("reading {}", self.topic()),
            )),
        }
    }

    pub(in crate::sink) fn topic(&self) -> &str {
        let topic = self.native().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the message holds a reference to its topic, whose name does not change.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) }
            .to_str()
            .unwrap_or_default()
    }

    pub(in crate::sink) fn partition(&self) -> i32 {
        self.native().partition
    }

    pub(in crate::sink) fn offset(&self) -> i64 {
        self.native().offset
    }

    /// Milliseconds since 1970 UTC, -1 if the record has no time.
    pub(in crate::sink) fn timestamp_ms(&self) -> i64 {
        // SAFETY: the message is alive; the second argument may be null.
        unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), ptr::null_mut()) }
    }

    pub(in crate::sink) fn key(&self) -> Option<&[u8]> {
        let message = self.native();
        // SAFETY: key and length describe memory that the message owns.
        unsafe { bytes(message.key, message.key_len) }
    }

    pub(in crate::sink) fn value(&self) -> Option<&[u8]> {
        let message = self.native();
        // SAFETY: as above.
        unsafe { bytes(message.payload, message.len) }
    }

    fn native(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: alive until `drop`, and changed by nobody.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_consume_queue`, destroyed once.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

/// The ends of partitions as the client's isolation level sees them, in the order asked for.
pub(in crate::sink) fn end_offsets(
    handle: &Handle,
    partitions: &[(&str, i32)],
    wait: Duration,
) -> Result<Vec<i64>, Failure> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = Partitions::new(partitions.len())?;
    for (topic, partition) in partitions {
        // In this request the offset stands for a time, and the time -1 for the end.
        list.add(topic, *partition, -1)?;
    }
    // SAFETY: client and list are alive.
    let code =
        unsafe { sys::rd_kafka_offsets_for_times(handle.raw(), list.0.as_ptr(), millis(wait)) };
    if code != OK {
        return Err(Failure::new(
            code.into(),
            "the ends of partitions could not be read",
        ));
    }
    list.elements()
        .iter()
        .zip(partitions)
        .map(|(element, (topic, partition))| match element.err {
            OK if element.offset >= 0 => Ok(element.offset),
            OK => Err(Failure::new(
                Code::UnknownPartition,
                format!("{topic} {partition} has no end"),
            )),
            code => Err(Failure::new(
                code.into(),
                format!("the end of {topic} {partition}"),
            )),
        })
        .collect()
}

/// A list of partitions.
struct Partitions(NonNull<sys::rd_kafka_topic_partition_list_t>);

impl Partitions {
    fn new(count: usize) -> Result<Partitions, Failure> {
        let size =
            c_int::try_from(count).map_err(|_| Failure::new(Code::InvalidArgument, "too many"))?;
        // SAFETY: no requirements; destroyed by `drop`.
        let list = unsafe { sys::rd_kafka_topic_partition_list_new(size) };
        NonNull::new(list).map(Partitions).ok_or_else(out_of_memory)
    }

    fn add(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), Failure> {
        let topic = c_string(topic)?;
        // SAFETY: the list is alive and copies the name; the element returned is valid until the next add.
        unsafe {
            let element =
                sys::rd_kafka_topic_partition_list_add(self.0.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset;
        }
        Ok(())
    }

    fn elements(&self) -> &[sys::rd_kafka_topic_partition_t] {
        // SAFETY: `elems` are `cnt` elements, and nobody changes the list while it is borrowed.
        unsafe {
            let list = self.0.as_ref();
            std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
        }
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: destroyed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) };
    }
}

// ---------------------------------------------------------------------------------------------------------
// Topics

/// What the cluster says of a topic, its id included; `None` if there is none of that name.
pub(super) fn describe_topic(
    handle: &Handle,
    name: &str,
    wait: Duration,
) -> Result<Option<TopicDescription>, Failure> {
    let name_c = c_string(name)?;
    let event = admin_request(handle, wait, |options, queue| {
        let mut names = [name_c.as_ptr()];
        // SAFETY: the request copies names, collection and options, which are all alive here.
        unsafe {
            let topics =
                sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            sys::rd_kafka_DescribeTopics(handle.raw(), topics, options, queue);
            sys::rd_kafka_TopicCollection_destroy(topics);
        }
        Ok(())
    })?;
    // SAFETY: everything read here belongs to the event, which is alive until the end of the function.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
        if result.is_null() {
            return Err(Failure::new(Code::Fail, "another answer than asked for"));
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count == 0 || topics.is_null() {
            return Err(Failure::new(Code::Fail, "an empty answer"));
        }
        let topic = *topics;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        match Code::from(sys::rd_kafka_error_code(error)) {
            Code::NoError => {}
            Code::UnknownTopicOrPartition | Code::UnknownTopic => return Ok(None),
            code => return Err(Failure::new(code, format!("describing {name}"))),
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let id = text(sys::rd_kafka_Uuid_base64str(
            sys::rd_kafka_TopicDescription_topic_id(topic),
        ));
        Ok(Some(TopicDescription {
            // The client prints the alphabet of MIME, Kafka's tools that of URLs.
            id: id.replace('+', "-").replace('/', "_"),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        }))
    }
}

/// Makes a topic; `Ok` as well if there is one.
pub(super) fn create_topic(
    handle: &Handle,
    topic: &NewTopic,
    wait: Duration,
) -> Result<(), Failure> {
    let native = NativeNewTopic::new(topic)?;
    let event = admin_request(handle, wait, |options, queue| {
        let mut topics = [native.0.as_ptr()];
        // SAFETY: the request copies topics and options, which are alive here.
        unsafe {
            sys::rd_kafka_CreateTopics(
                handle.raw(),
                topics.as_mut_ptr(),
                topics.len(),
                options,
                queue,
            );
        }
        Ok(())
    })?;
    // SAFETY: everything read here belongs to the event, which is alive until the end of the function.
    unsafe {
        let result = sys::rd_kafka_event_CreateTopics_result(event.0.as_ptr());
        if result.is_null() {
            return Err(Failure::new(Code::Fail, "another answer than asked for"));
        }
        let mut count = 0;
        let topics = sys::rd_kafka_CreateTopics_result_topics(result, &mut count);
        if count == 0 || topics.is_null() {
            return Err(Failure::new(Code::Fail, "an empty answer"));
        }
        match Code::from(sys::rd_kafka_topic_result_error(*topics)) {
            Code::NoError | Code::TopicAlreadyExists => Ok(()),
            code => Err(Failure::new(
                code,
                text(sys::rd_kafka_topic_result_error_string(*topics)),
            )),
        }
    }
}

struct NativeNewTopic(NonNull<sys::rd_kafka_NewTopic_t>);

impl NativeNewTopic {
    fn new(topic: &NewTopic) -> Result<NativeNewTopic, Failure> {
        let name = c_string(&topic.name)?;
        let mut error = [0; ERROR_SIZE];
        // SAFETY: the name is copied; the error buffer is as long as said; destroyed by `drop`.
        let native = unsafe {
            sys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions,
                topic.replication_factor,
                error.as_mut_ptr(),
                error.len(),
            )
        };
        let native = NonNull::new(native)
            .map(NativeNewTopic)
            // SAFETY: the client ends what it writes with a zero.
            .ok_or_else(|| Failure::new(Code::InvalidArgument, unsafe { text(error.as_ptr()) }))?;
        for (key, value) in &topic.settings {
            let (key, value) = (c_string(key)?, c_string(value)?);
            // SAFETY: the topic is alive and copies both.
            let code = unsafe {
                sys::rd_kafka_NewTopic_set_config(native.0.as_ptr(), key.as_ptr(), value.as_ptr())
            };
            if code != OK {
                return Err(Failure::new(code.into(), "a topic setting was refused"));
            }
        }
        Ok(native)
    }
}

impl Drop for NativeNewTopic {
    fn drop(&mut self) {
        // SAFETY: destroyed once.
        unsafe { sys::rd_kafka_NewTopic_destroy(self.0.as_ptr()) };
    }
}

/// Sends an admin request and waits for its answer.
fn admin_request(
    handle: &Handle,
    wait: Duration,
    send: impl FnOnce(
        *const sys::rd_kafka_AdminOptions_t,
        *mut sys::rd_kafka_queue_t,
    ) -> Result<(), Failure>,
) -> Result<Event, Failure> {
    // SAFETY: the client is alive; the queue is destroyed by `Queue::drop`.
    let queue = Queue::new(unsafe { sys::rd_kafka_queue_new(handle.raw()) })?;
    let mut error = [0; ERROR_SIZE];
    // SAFETY: the options are alive between new and destroy; the buffer is as long as said.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(
            handle.raw(),
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ANY,
        );
        if options.is_null() {
            return Err(out_of_memory());
        }
        let (errors, size) = (error.as_mut_ptr(), error.len());
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), errors, size);
        sys::rd_kafka_AdminOptions_set_operation_timeout(options, millis(wait), errors, size);
        let sent = send(options, queue.raw());
        sys::rd_kafka_AdminOptions_destroy(options);
        sent?;
    }
    // The client answers in any case, with its own time-out if need be.
    let event = queue
        .pop(millis(wait + STEP_WAIT))
        .ok_or_else(|| Failure::timed_out("the cluster did not answer in time"))?;
    // SAFETY: the event is alive, and the text it points to lives as long.
    let (code, message) = unsafe {
        let event = event.0.as_ptr();
        (
            sys::rd_kafka_event_error(event),
            text(sys::rd_kafka_event_error_string(event)),
        )
    };
    if code == OK {
        Ok(event)
    } else {
        Err(Failure::new(code.into(), message))
    }
}

// ---------------------------------------------------------------------------------------------------------
// Small owners

const ERROR_SIZE: usize = 512;

struct Queue(NonNull<sys::rd_kafka_queue_t>);

impl Queue {
    fn new(queue: *mut sys::rd_kafka_queue_t) -> Result<Queue, Failure> {
        NonNull::new(queue).map(Queue).ok_or_else(out_of_memory)
    }

    fn pop(&self, wait_ms: c_int) -> Option<Event> {
        // SAFETY: the queue is alive; the event is destroyed by `Event::drop`.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.raw(), wait_ms) }).map(Event)
    }

    fn raw(&self) -> *mut sys::rd_kafka_queue_t {
        self.0.as_ptr()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: this reference is given back once, before its client goes.
        unsafe { sys::rd_kafka_queue_destroy(self.raw()) };
    }
}

struct Event(NonNull<sys::rd_kafka_event_t>);

impl Event {
    fn kind(&self) -> c_int {
        // SAFETY: the event is alive.
        unsafe { sys::rd_kafka_event_type(self.0.as_ptr()) }
    }

    fn first_failed_delivery(&self) -> Option<Code> {
        let mut first = None;
        // SAFETY: the event is alive, and its messages live as long.
        unsafe {
            while let Some(message) = sys::rd_kafka_event_message_next(self.0.as_ptr()).as_ref() {
                if message.err != OK {
                    first = first.or(Some(message.err.into()));
                }
            }
        }
        first
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// A reference to a topic, which must not outlive its client.
struct Topic<'a>(NonNull<sys::rd_kafka_topic_t>, PhantomData<&'a Handle>);

impl<'a> Topic<'a> {
    fn new(handle: &'a Handle, name: &str) -> Result<Topic<'a>, Failure> {
        let name_c = c_string(name)?;
        // SAFETY: the client is alive and copies the name.
        let topic =
            unsafe { sys::rd_kafka_topic_new(handle.raw(), name_c.as_ptr(), ptr::null_mut()) };
        NonNull::new(topic)
            .map(|topic| Topic(topic, PhantomData))
            .ok_or_else(|| Failure::new(Code::InvalidTopic, format!("{name} is no topic name")))
    }

    fn raw(&self) -> *mut sys::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

impl Drop for Topic<'_> {
    fn drop(&mut self) {
        // SAFETY: this reference is given back once.
        unsafe { sys::rd_kafka_topic_destroy(self.raw()) };
    }
}

/// Turns the error object of a transaction call into a result, and frees it.
fn check(error: *mut sys::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the call that returned the error leaves it to us; it is freed once, after the last use.
    unsafe {
        let code = Code::from(sys::rd_kafka_error_code(error));
        let failure = Failure {
            code,
            message: text(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            resumable: sys::rd_kafka_error_is_retriable(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// # Safety
/// The pointer is null or a zero-terminated text.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

/// # Safety
/// The pointer is null or `len` bytes that stay valid and unchanged for `'a`.
unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), len) })
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::new(Code::InvalidArgument, "a name holds a zero byte"))
}

fn out_of_memory() -> Failure {
    Failure::new(
        Code::CriticalSystemResource,
        "the Kafka client could not get memory",
    )
}

fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}
