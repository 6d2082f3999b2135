//! The topics that the connector makes, and their settings.

use std::collections::BTreeMap;
use std::time::Duration;

use binlog_bridge_core::avro::{TOPIC_LEN_MAX, TopicNames};
use binlog_bridge_core::selection::TableName;
use tokio::time::Instant;

use super::log::{Log, LogError, LogErrorKind, NewTopic, TopicDescription};

/// What the configuration says of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Partitions of a table's topic.
    pub partitions: i32,
    /// Copies of each partition; `None` is three, or as many as there are brokers.
    pub replication_factor: Option<i32>,
    /// How long records are kept, in milliseconds.
    pub retention_ms: u64,
    /// Largest record, key and value, in bytes.
    pub record_bytes_max: usize,
    /// Exceptions by table.
    pub tables: BTreeMap<TableName, TableTopic>,
    /// What a topic has of a transaction that is over is to be published with the next one.
    pub publish_held_back: bool,
    /// How long a transaction may be open before brokers end it.
    pub transaction_timeout: Duration,
}

/// What the configuration says of one table's topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableTopic {
    /// The topic's name instead of the usual one.
    pub name: Option<String>,
    /// Its partitions.
    pub partitions: Option<i32>,
}

/// Copies where nothing is configured and the cluster has as many brokers.
const REPLICATION_FACTOR: i32 = 3;
/// Bytes of a record batch beside key and value.
const RECORD_OVERHEAD_BYTES: usize = 1024;
/// Brokers learn of a new topic one after another; after this long something is wrong.
const TOPIC_APPEARS_MAX: Duration = Duration::from_secs(10);
/// So long after a transaction's time-out brokers have ended one that they know of.
const HELD_BACK_MARGIN: Duration = Duration::from_secs(10);
/// Between two looks whether it still is.
const HELD_BACK_PAUSE: Duration = Duration::from_millis(200);
/// Between two topics that are made: 50 a second. A cluster takes long for each; tables that a program makes in a loop are
/// not to keep it from its other work.
const TOPIC_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Between two looks for a new topic.
const TOPIC_APPEARS_PAUSE: Duration = Duration::from_millis(20);

impl TopicSettings {
    /// The settings on a server that writes names of databases and tables in lower case.
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        let tables = self.tables.iter();
        Self {
            tables: tables
                .map(|(table, topic)| (table.in_lower_case(), topic.clone()))
                .collect(),
            ..self.clone()
        }
    }

    /// The topic of a table that was given others `version` times before; `None` if its name is too long for Kafka.
    #[must_use]
    pub fn topic_of(&self, names: &TopicNames, table: &TableName, version: u32) -> Option<String> {
        let configured = self.tables.get(table).and_then(|topic| topic.name.clone());
        let first = configured.or_else(|| names.table(table))?;
        let topic = match version {
            0 => first,
            _ => format!("{first}.v{}", version.saturating_add(1)),
        };
        (topic.len() <= TOPIC_LEN_MAX).then_some(topic)
    }

    /// Partitions of a table's topic when it is made.
    #[must_use]
    pub fn partitions_of(&self, table: &TableName) -> i32 {
        self.tables
            .get(table)
            .and_then(|topic| topic.partitions)
            .unwrap_or(self.partitions)
    }

    /// A topic for events. Segments of an hour make 24 h of retention at least 24 h and at most about 25;
    /// the broker's time-stamps keep a backlog from being deleted on arrival.
    #[must_use]
    pub fn data_topic(&self, name: &str, partitions: i32) -> NewTopic {
        let segment_ms = (60 * 60 * 1000).min(self.retention_ms);
        self.topic(
            name,
            partitions,
            &[
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", self.retention_ms.to_string()),
                ("segment.ms", segment_ms.to_string()),
                ("message.timestamp.type", "LogAppendTime".to_owned()),
            ],
        )
    }

    /// The topic of a task's state: compacted soon, so that a start reads what the tables cost, not what
    /// history cost.
    #[must_use]
    pub fn state_topic(&self, name: &str) -> NewTopic {
        self.topic(
            name,
            1,
            &[
                ("cleanup.policy", "compact".to_owned()),
                ("segment.bytes", (16 * 1024 * 1024).to_string()),
                ("segment.ms", (10 * 60 * 1000).to_string()),
                ("min.cleanable.dirty.ratio", "0.01".to_owned()),
                ("delete.retention.ms", (60 * 1000).to_string()),
            ],
        )
    }

    fn topic(&self, name: &str, partitions: i32, settings: &[(&str, String)]) -> NewTopic {
        let bytes_max = self.record_bytes_max + RECORD_OVERHEAD_BYTES;
        let common = [
            ("max.message.bytes", bytes_max.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: self.replication_factor.unwrap_or(REPLICATION_FACTOR),
            settings: settings
                .iter()
                .cloned()
                .chain(common)
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        }
    }
}

/// How fast topics are made.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Waits until another topic may be made.
    pub async fn wait(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + TOPIC_INTERVAL_MIN).await;
        }
        self.last = Some(Instant::now());
    }
}

/// True for a topic of this name, and for those that a table goes on in behind it: see [`TopicSettings::topic_of`].
#[must_use]
pub fn is_version_of(topic: &str, first: &str) -> bool {
    match topic.strip_prefix(first) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix(".v")
            .is_some_and(|version| version.parse::<u32>().is_ok()),
        None => false,
    }
}

/// Makes the topic unless it exists, and describes it.
///
/// # Errors
/// [`LogError`]
pub async fn ensure_topic<L: Log>(
    log: &mut L,
    settings: &TopicSettings,
    mut topic: NewTopic,
) -> Result<TopicDescription, LogError> {
    if let Some(found) = log.describe_topic(&topic.name).await? {
        return Ok(found);
    }
    let brokers = i32::try_from(log.broker_count().await?).unwrap_or(i32::MAX);
    if brokers == 0 {
        return Err(LogError {
            operation: "create_topic",
            kind: LogErrorKind::Unreachable,
            message: "the cluster has no broker that is ready".to_owned(),
        });
    }
    // A configured number is waited for: a broker may be away for a moment.
    if settings.replication_factor.is_none() && brokers < topic.replication_factor {
        tracing::warn!(
            topic = topic.name,
            brokers,
            "fewer brokers than copies wanted of the topic"
        );
        topic.replication_factor = brokers;
    }
    // One copy may be away without stopping the stream, and no acknowledged record is lost by it.
    let in_sync = if topic.replication_factor >= REPLICATION_FACTOR {
        2
    } else {
        1
    };
    topic
        .settings
        .insert("min.insync.replicas".to_owned(), in_sync.to_string());
    log.create_topic(&topic).await?;
    find_topic(log, &topic.name).await?.ok_or_else(|| LogError {
        operation: "create_topic",
        kind: LogErrorKind::Unreachable,
        message: format!("topic {} was made but does not appear", topic.name),
    })
}

/// What an open transaction holds back of a topic, if it does not end soon. See [`Log::held_back`].
///
/// To be asked of each topic before a producer's first record goes there. A producer that has been initialised has no
/// transaction left, unless another instance of the task has fenced it since: that one's transaction ends. But brokers
/// may end one without telling a partition that has no leader at that moment (4.1 to 4.3: KAFKA-20734), and what is in
/// that partition would be published with the producer's next transaction.
///
/// What moves meanwhile is the work of somebody else, and does not last.
///
/// # Errors
/// [`LogError`]
pub async fn held_back<L: Log>(
    log: &mut L,
    topic: &str,
    partitions: i32,
    transaction_timeout: Duration,
) -> Result<Option<(i32, i64)>, LogError> {
    let deadline = Instant::now() + transaction_timeout + HELD_BACK_MARGIN;
    let mut suspects: Option<Vec<(i32, i64)>> = None;
    loop {
        let is_late = Instant::now() >= deadline;
        match log.held_back(topic, partitions).await {
            Ok(held) => {
                let suspects = suspects.get_or_insert_with(|| {
                    if !held.is_empty() {
                        tracing::warn!(
                            topic,
                            "an open transaction holds back the topic; waiting for its end"
                        );
                    }
                    held.clone()
                });
                suspects.retain(|suspect| held.contains(suspect));
                if suspects.is_empty() || is_late {
                    return Ok(suspects.first().copied());
                }
            }
            // The leader of a new partition may not know of it yet, and a client may know a former one.
            Err(error) if is_late || !may_pass(error.kind) => return Err(error),
            Err(error) => tracing::debug!(%error, topic, "the ends of the topic are not known yet"),
        }
        tokio::time::sleep(HELD_BACK_PAUSE).await;
    }
}

fn may_pass(kind: LogErrorKind) -> bool {
    matches!(
        kind,
        LogErrorKind::Unreachable | LogErrorKind::UnknownTopic | LogErrorKind::Other
    )
}

/// Describes a topic that should be there: a broker that has just begun may not know it for a moment.
///
/// # Errors
/// [`LogError`]
pub async fn find_topic<L: Log>(
    log: &mut L,
    topic: &str,
) -> Result<Option<TopicDescription>, LogError> {
    let mut deadline = None;
    loop {
        let found = log.describe_topic(topic).await?;
        // From the first answer on: what brokers say that were away the longest is worth least.
        let now = Instant::now();
        if found.is_some() || now >= *deadline.get_or_insert(now + TOPIC_APPEARS_MAX) {
            return Ok(found);
        }
        tokio::time::sleep(TOPIC_APPEARS_PAUSE).await;
    }
}
