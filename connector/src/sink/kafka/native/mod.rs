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

mod end_txn;
mod producer;
mod reads;
mod topics;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaType;

use self::end_txn::watch_end_txn;
pub(super) use self::producer::Producer;
pub(super) use self::reads::begin_offset;
pub(in crate::sink) use self::reads::{Fetch, Fetched, From, end_offsets};
pub(super) use self::topics::{broker_count, create_topic, describe_topics};
use super::client::{Context, without_secrets};
use super::failure::Failure;

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
        let client = Client::new(config, native, kind, context)
            .map_err(|e| without_secrets(Failure::from_client(&e), config))?;
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

    /// Passes on all that the client has to say. Returns the code of the first delivery that failed, and its topic.
    pub(in crate::sink) fn serve(&self) -> Option<(Code, String)> {
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

/// How long one call to end a transaction waits before events are served.
const STEP_WAIT: Duration = Duration::from_millis(100);
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

    fn first_failed_delivery(&self) -> Option<(Code, String)> {
        let mut first = None;
        // SAFETY: the event is alive, and its messages live as long; each has a topic.
        unsafe {
            while let Some(message) = sys::rd_kafka_event_message_next(self.0.as_ptr()).as_ref() {
                if message.err != OK && first.is_none() {
                    let topic = text(sys::rd_kafka_topic_name(message.rkt));
                    first = Some((message.err.into(), topic));
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
