//! Reading partitions without a group, and asking for their ends.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::failure::Failure;
use super::{Handle, OK, Queue, Topic, bytes, c_string, millis, out_of_memory};

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

/// The first offset that a topic's partition 0 still has.
pub(in crate::sink::kafka) fn begin_offset(
    handle: &Handle,
    topic: &str,
    wait: Duration,
) -> Result<i64, Failure> {
    let found = offsets_for_times(handle, &[(topic, 0)], BEGINNING, wait)?;
    found
        .first()
        .copied()
        .ok_or_else(|| Failure::new(Code::UnknownPartition, format!("{topic} has no beginning")))
}

/// The ends of partitions as the client's isolation level sees them, in the order asked for.
pub(in crate::sink) fn end_offsets(
    handle: &Handle,
    partitions: &[(&str, i32)],
    wait: Duration,
) -> Result<Vec<i64>, Failure> {
    offsets_for_times(handle, partitions, END, wait)
}

/// In requests for the offset of a time, these stand for the two ends of a partition.
const BEGINNING: i64 = -2;
const END: i64 = -1;

fn offsets_for_times(
    handle: &Handle,
    partitions: &[(&str, i32)],
    time: i64,
    wait: Duration,
) -> Result<Vec<i64>, Failure> {
    let Some((first, _)) = partitions.first() else {
        return Ok(Vec::new());
    };
    let answer = ask_offsets(handle, partitions, time, wait);
    let is_unknown = |failure: &Failure| {
        matches!(
            failure.code,
            Code::UnknownPartition | Code::UnknownTopic | Code::UnknownTopicOrPartition
        )
    };
    if !answer.as_ref().is_err_and(is_unknown) {
        return answer;
    }
    // The client (2.12.1) goes by what brokers said of the topic last, for a quarter of an hour: what one said that was about to
    // end, as much as what one says of a topic that has just been made.
    let are_of_one = partitions.iter().all(|(topic, _)| topic == first);
    let metadata = (handle.client()).fetch_metadata(are_of_one.then_some(*first), wait);
    metadata.map_err(|error| Failure::from_client(&error))?;
    ask_offsets(handle, partitions, time, wait)
}

fn ask_offsets(
    handle: &Handle,
    partitions: &[(&str, i32)],
    time: i64,
    wait: Duration,
) -> Result<Vec<i64>, Failure> {
    let mut list = Partitions::new(partitions.len())?;
    for (topic, partition) in partitions {
        // In this request the offset stands for a time.
        list.add(topic, *partition, time)?;
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
