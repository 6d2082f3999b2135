//! Reads the committed records of a topic with one partition, from its beginning to its end.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

/// A topic that gives nothing for so long is broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Hands every record's key and value to `take`, in order, until the last committed one.
pub(super) fn read(
    bootstrap: &str,
    topic: &str,
    mut take: impl FnMut(&[u8], &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let consumer = consumer(bootstrap)?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let mut last = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                last = Instant::now();
                let key = message.key().context("a record without a key")?;
                let value = message.payload().context("a record without a value")?;
                take(key, value)?;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
            None if last.elapsed() > SILENCE_MAX => bail!("{topic} gives no records"),
            None => {}
        }
    }
}

fn consumer(bootstrap: &str) -> anyhow::Result<BaseConsumer> {
    let consumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        // Else a second goes by whenever the queue was full.
        .set("fetch.queue.backoff.ms", "2")
        .create()?;
    Ok(consumer)
}
