//! How the Kafka clients are configured, and where their log lines go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use binlog_bridge_core::encode::TopicPartition;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tracing::{debug, error, info, warn};

use super::KafkaSettings;
use super::failure::{Failure, kind_of_cause};
use crate::sink::log::{Isolation, LogErrorKind};

/// Bytes that Kafka may add to a record: lengths, offsets and the header of a record batch.
/// A topic takes every record if its `max.message.bytes` is at least `record_bytes_max` and this.
pub const RECORD_OVERHEAD_BYTES: usize = 1024;

/// Messages the client holds at once. Each costs it some 150 bytes besides the arena, so this bounds
/// that cost at 15 MB; more records than this wait in their arena.
const MESSAGES_MAX: u32 = 100_000;

impl KafkaSettings {
    /// Whether the Kafka client takes the settings; connects to nothing.
    ///
    /// # Errors
    /// Which setting it refuses, without its value.
    pub fn check(&self) -> Result<(), String> {
        let refused = |error| Failure::from_client(&error).message;
        self.producer()
            .create_native_config()
            .map(drop)
            .map_err(refused)
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.common();
        config.set("linger.ms", "5").set("compression.type", "lz4");
        self.pass_through(&mut config);
        let queue_bytes = (2 * self.batch_bytes_max).max(self.record_bytes_max);
        let before_transaction_ends = self.transaction_timeout_ms / 10 * 9;
        config
            .set("transactional.id", &self.transactional_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set(
                "transaction.timeout.ms",
                self.transaction_timeout_ms.to_string(),
            )
            .set("message.timeout.ms", before_transaction_ends.to_string())
            .set(
                "socket.timeout.ms",
                self.request_timeout_ms
                    .min(before_transaction_ends)
                    .to_string(),
            )
            // A second EndTxn must not follow the first before a commit counts as unknown (500 ms).
            .set("retry.backoff.ms", "1000")
            .set("retry.backoff.max.ms", "1000")
            .set(
                "queue.buffering.max.kbytes",
                (queue_bytes / 1024 + 1).to_string(),
            )
            .set("queue.buffering.max.messages", MESSAGES_MAX.to_string())
            .set(
                "message.max.bytes",
                (self.record_bytes_max + RECORD_OVERHEAD_BYTES).to_string(),
            )
            .set("delivery.report.only.error", "true")
            .set("allow.auto.create.topics", "false")
            // A topic that was there and is not in the metadata for so long is gone.
            .set("topic.metadata.propagation.max.ms", "10000");
        config
    }

    pub(in crate::sink) fn consumer(&self, isolation: Isolation) -> ClientConfig {
        let mut config = self.common();
        self.pass_through(&mut config);
        let isolation = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        config
            .set("isolation.level", isolation)
            .set("socket.timeout.ms", self.request_timeout_ms.to_string())
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // What may wait in memory: a fetch for each broker, and as much again fetched ahead.
            .set("max.partition.fetch.bytes", "1048576")
            .set("fetch.max.bytes", "4194304")
            .set(
                "receive.message.max.bytes",
                (self.record_bytes_max + 8_388_608).to_string(),
            )
            .set("queued.max.messages.kbytes", "4096")
            .set("queued.min.messages", "10000")
            // With the default, a second between looks at a queue that was full, reading came to
            // 55,000 records a second instead of 800,000 (measured).
            .set("fetch.queue.backoff.ms", "2");
        config
    }

    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set_log_level(RDKafkaLogLevel::Info)
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", &self.transactional_id)
            .set("socket.keepalive.enable", "true")
            .set("socket.connection.setup.timeout.ms", "10000")
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    /// The user's settings go over our defaults, and under what the promise of exactly once rests on.
    fn pass_through(&self, config: &mut ClientConfig) {
        for (key, value) in &self.client {
            config.set(key, value);
        }
    }
}

/// Settings whose values no message may show.
const SECRETS: [&str; 6] = [
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// The client's words on why it could not be made, should they ever quote a secret.
pub(super) fn without_secrets(mut failure: Failure, config: &ClientConfig) -> Failure {
    for secret in SECRETS
        .iter()
        .filter_map(|key| config.get(key))
        .filter(|s| !s.is_empty())
    {
        failure.message = failure.message.replace(secret, "***");
    }
    failure
}

/// Receives what one Kafka client says of itself.
#[derive(Default)]
pub(in crate::sink) struct Context {
    /// EndTxn requests that ended without an answer of the broker.
    pub(super) end_txn_unanswered: Arc<AtomicU32>,
    /// The last connection error; it explains a time-out.
    connection_error: Mutex<Option<(Code, String)>>,
    /// Partitions that were said to have no leader, as `name[number]`.
    leaderless: Mutex<BTreeSet<String>>,
    /// When a line of each facility was last shown.
    shown: Mutex<BTreeMap<String, Instant>>,
}

/// Lines of one facility within this time go to debug: a broker that is down is said once a minute.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// The client's words for an answer in which a partition has no leader; only it says so, in
/// `Partition shop.orders(its id)[0]: new leader-1 not found in cache`.
const NO_LEADER: &str = "]: new leader-1 not found in cache";

impl Context {
    pub(super) fn end_txn_unanswered(&self) -> u32 {
        self.end_txn_unanswered.load(Ordering::Acquire)
    }

    /// A time-out is explained by what happened to the connections; a refused password shows only there.
    pub(in crate::sink) fn explain(&self, failure: Failure) -> Failure {
        let last = self
            .connection_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some((code, reason)) = last.as_ref() else {
            return failure;
        };
        if kind_of_cause(failure.code) != LogErrorKind::Unreachable || failure.fatal {
            return failure;
        }
        let code = match kind_of_cause(*code) {
            LogErrorKind::Authentication => *code,
            _ => failure.code,
        };
        Failure {
            code,
            message: format!("{}: {reason}", failure.message),
            ..failure
        }
    }

    /// True if the cluster refused our credentials: waiting on would not help.
    pub(in crate::sink) fn refused_credentials(&self) -> bool {
        let last = self
            .connection_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .is_some_and(|(code, _)| kind_of_cause(*code) == LogErrorKind::Authentication)
    }

    /// True if a broker answered that the partition has no leader for now. The client (2.12.1) then forgets where it is, and
    /// keeps its records until they time out, whatever it is told later (librdkafka issue 5430).
    pub(super) fn has_lost_leader(&self, to: &TopicPartition) -> bool {
        self.leaderless().contains(&partition_name(to))
    }

    /// Records were delivered there.
    pub(super) fn has_leader(&self, to: &TopicPartition) {
        let mut leaderless = self.leaderless();
        if !leaderless.is_empty() {
            leaderless.remove(&partition_name(to));
        }
    }

    fn leaderless(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.leaderless
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::sink) fn connected(&self) {
        self.connection_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn is_repeat(&self, facility: &str) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match shown.get_mut(facility) {
            Some(last) if now.duration_since(*last) < REPEAT_AFTER => true,
            Some(last) => {
                *last = now;
                false
            }
            None => {
                shown.insert(facility.to_owned(), now);
                false
            }
        }
    }
}

fn partition_name(to: &TopicPartition) -> String {
    format!("{}[{}]", to.topic, to.partition)
}

/// The partition that a line says to have no leader.
fn without_leader(line: &str) -> Option<String> {
    let (before, _) = line.split_once(NO_LEADER)?;
    let (_, partition) = before.split_once("Partition ")?;
    let (name, number) = partition.rsplit_once('[')?;
    let name = name.rsplit_once('(').map_or(name, |(name, _)| name);
    Some(format!("{name}[{number}]"))
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "METADATAUPDATE"
            && let Some(partition) = without_leader(line)
        {
            self.leaderless().insert(partition);
        }
        // CONFWARN: consumers get the settings of producers passed through, too, and say so.
        let quiet = facility == "CONFWARN" || (level as i32) >= (RDKafkaLogLevel::Info as i32);
        if quiet || self.is_repeat(facility) {
            debug!(target: "librdkafka", facility, "{line}");
            return;
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                warn!(target: "librdkafka", facility, "{line}");
            }
            _ => info!(target: "librdkafka", facility, "{line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "librdkafka", %error, "{reason}");
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        // "All brokers are down" follows the error that says why.
        if code == Code::AllBrokersDown {
            return;
        }
        // A connection lost while credentials were exchanged is reported as if they had been refused.
        let lost = ["transport failure", "imed out", "Disconnected"];
        let code = match kind_of_cause(code) {
            LogErrorKind::Authentication if lost.iter().any(|words| reason.contains(words)) => {
                Code::BrokerTransportFailure
            }
            _ => code,
        };
        let mut last = self
            .connection_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some((code, reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_a_leader_is_noticed() {
        let context = Context::default();
        let says = |line| context.log(RDKafkaLogLevel::Warning, "METADATAUPDATE", line);
        let lost = || {
            [0, 1].map(|partition| {
                let topic = "shop.orders".into();
                context.has_lost_leader(&TopicPartition { topic, partition })
            })
        };
        says("Topic shop.orders not found in cache");
        assert_eq!(lost(), [false, false]);
        says("[thrd:main]: Partition shop.orders(KCy4)[1]: new leader-1 not found in cache");
        says("[thrd:main]: Partition shop.others(KCy5)[0]: new leader-1 not found in cache");
        assert_eq!(lost(), [false, true]);
        context.has_leader(&TopicPartition {
            topic: "shop.orders".into(),
            partition: 1,
        });
        assert_eq!(lost(), [false, false]);
    }

    #[test]
    fn a_time_out_is_explained_by_what_happened_to_the_connections() {
        let context = Context::default();
        let failed = || context.explain(Failure::timed_out("no answer"));
        context.error(
            KafkaError::Global(Code::BrokerTransportFailure),
            "connection refused",
        );
        assert_eq!(failed().kind(), LogErrorKind::Unreachable);
        assert_eq!(failed().message, "no answer: connection refused");

        let lost = "SASL mechanism handshake failed: Local: Broker transport failure";
        context.error(KafkaError::Global(Code::Authentication), lost);
        assert_eq!(failed().kind(), LogErrorKind::Unreachable);

        context.error(
            KafkaError::Global(Code::Authentication),
            "invalid credentials",
        );
        context.error(
            KafkaError::Global(Code::AllBrokersDown),
            "1/1 brokers are down",
        );
        assert_eq!(failed().kind(), LogErrorKind::Authentication);
        assert!(context.refused_credentials());

        context.connected();
        assert_eq!(failed().message, "no answer");
    }
}
