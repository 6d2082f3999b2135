//! Topics: described with their ids, and made.

use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::failure::Failure;
use super::{
    ERROR_SIZE, Event, Handle, OK, Queue, STEP_WAIT, c_string, millis, out_of_memory, text,
};
use crate::sink::log::{NewTopic, TopicDescription};

/// What the cluster says of each topic, its id included; `None` if there is none of that name.
pub(in crate::sink::kafka) fn describe_topics(
    handle: &Handle,
    names: &[String],
    wait: Duration,
) -> Result<Vec<Option<TopicDescription>>, Failure> {
    let names_c: Vec<_> = names
        .iter()
        .map(|name| c_string(name))
        .collect::<Result<_, _>>()?;
    let event = admin_request(handle, wait, |options, queue| {
        let mut pointers: Vec<_> = names_c.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the request copies names, collection and options, which are all alive here.
        unsafe {
            let topics =
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(handle.raw(), topics, options, queue);
            sys::rd_kafka_TopicCollection_destroy(topics);
        }
        Ok(())
    })?;
    // SAFETY: everything read here belongs to the event, which is alive until the end of the function; the result has
    // `count` topics.
    let topics = unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
        if result.is_null() {
            return Err(Failure::new(Code::Fail, "another answer than asked for"));
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count != names.len() || topics.is_null() {
            return Err(Failure::new(
                Code::Fail,
                "an answer for other topics than asked for",
            ));
        }
        std::slice::from_raw_parts(topics, count)
    };
    // SAFETY: as above.
    let described = |(topic, name): (&*const _, &String)| unsafe { describe(*topic, name) };
    topics.iter().zip(names).map(described).collect()
}

/// # Safety
/// The topic belongs to an answer that is alive.
unsafe fn describe(
    topic: *const sys::rd_kafka_TopicDescription_t,
    name: &str,
) -> Result<Option<TopicDescription>, Failure> {
    // SAFETY: the caller's promise; the texts live as long as the topic.
    unsafe {
        let answered = text(sys::rd_kafka_TopicDescription_name(topic));
        if answered != name {
            return Err(Failure::new(
                Code::Fail,
                format!("an answer for {answered} instead of {name}"),
            ));
        }
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

/// Number of brokers in the cluster; the answer names no topics, which may be many.
pub(in crate::sink::kafka) fn broker_count(
    handle: &Handle,
    wait: Duration,
) -> Result<usize, Failure> {
    let event = admin_request(handle, wait, |options, queue| {
        // SAFETY: the request copies the options, which are alive here.
        unsafe { sys::rd_kafka_DescribeCluster(handle.raw(), options, queue) };
        Ok(())
    })?;
    let mut count = 0;
    // SAFETY: the result belongs to the event, which is alive until the end of the function.
    unsafe {
        let result = sys::rd_kafka_event_DescribeCluster_result(event.0.as_ptr());
        if result.is_null() {
            return Err(Failure::new(Code::Fail, "another answer than asked for"));
        }
        sys::rd_kafka_DescribeCluster_result_nodes(result, &mut count);
    }
    Ok(count)
}

/// Makes a topic; `Ok` as well if there is one.
pub(in crate::sink::kafka) fn create_topic(
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
