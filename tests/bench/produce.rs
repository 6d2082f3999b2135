//! The yardstick: what the Kafka client alone costs, used as its documentation shows, for the same records.

use std::time::Duration;

use anyhow::Context;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::topic;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Kafka brokers, host:port
    #[arg(long)]
    bootstrap: String,
    /// The topic with the records
    #[arg(long)]
    from: String,
    /// The topic to send them to
    #[arg(long)]
    to: String,
    /// A transaction ends after so many bytes of keys and values
    #[arg(long)]
    transaction_bytes: usize,
}

/// How long a full queue, or what is outstanding, is waited for before the next look.
const WAIT: Duration = Duration::from_millis(1);
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn produce(arguments: &Arguments) -> anyhow::Result<()> {
    let mut records = Records::default();
    topic::read(&arguments.bootstrap, &arguments.from, |key, value| {
        records.push(key, value);
        Ok(())
    })?;
    super::await_start()?;
    let producer = producer(&arguments.bootstrap)?;
    producer.init_transactions(REQUEST_WITHIN)?;
    let mut commits = 0;
    let mut open_bytes = 0;
    for (key, value) in records.iter() {
        if open_bytes == 0 {
            producer.begin_transaction()?;
        }
        send(&producer, &arguments.to, key, value)?;
        open_bytes += key.len() + value.len();
        if open_bytes >= arguments.transaction_bytes {
            commit(&producer)?;
            (commits, open_bytes) = (commits + 1, 0);
        }
    }
    if open_bytes > 0 {
        commit(&producer)?;
        commits += 1;
    }
    drop(producer);
    super::finish(&serde_json::json!({
        "records": records.ends.len(),
        "bytes": records.bytes.len(),
        "commits": commits,
    }))
}

fn send(producer: &BaseProducer, topic: &str, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(topic).partition(0).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                wait(producer);
                record = refused;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// The wrapper's own flush looks every 100 ms only, as nothing reports a success: what is outstanding is
/// waited for first, so that it finds nothing to do. A failed delivery makes the commit fail.
fn commit(producer: &BaseProducer) -> anyhow::Result<()> {
    while producer.in_flight_count() > 0 {
        wait(producer);
    }
    producer
        .commit_transaction(REQUEST_WITHIN)
        .context("the commit failed")
}

/// The wrapper's poll with a limit would spin: it rounds what is left of a millisecond down to nothing.
fn wait(producer: &BaseProducer) {
    std::thread::sleep(WAIT);
    producer.poll(Duration::ZERO);
}

/// As the connector sets what costs time: compression, lingering, the size of the queue, reports of failures
/// only.
fn producer(bootstrap: &str) -> anyhow::Result<BaseProducer> {
    let producer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", "bench-bare")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "8193")
        .set("queue.buffering.max.messages", "100000")
        .set("delivery.report.only.error", "true")
        .create()?;
    Ok(producer)
}

/// Records one after another in one piece of memory.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    /// Where each key and each value ends.
    ends: Vec<(usize, usize)>,
}

impl Records {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(key_end, end)| {
            let key = self.bytes.get(start..*key_end).unwrap_or_default();
            let value = self.bytes.get(*key_end..*end).unwrap_or_default();
            start = *end;
            (key, value)
        })
    }
}
