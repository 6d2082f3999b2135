//! The configuration: read from YAML ([`raw`]), checked, and turned into what the program uses.

mod columns;
mod events;
pub mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use binlog_bridge_core::position::{FileOffset, GtidPos};
use binlog_bridge_core::selection::{Pattern, Selection, TableName, TablePattern};

use self::columns::columns;
use self::events::{heartbeat_interval, keys};
use self::raw::{RawClientValue, RawConfig, RawStart, RawStartGtidSet, RawStartWord, RawTlsMode};
use crate::catalog::TableRules;
use crate::pipeline::Limits;
use crate::registry::RegistrySettings;
use crate::secret::Secret;
use crate::sink::kafka::KafkaSettings;
use crate::sink::topics::{TableTopic, TopicSettings};
use crate::source::client::{SourceSettings, TlsMode, TlsSettings};
use crate::source::mysql::DumpSettings;
use crate::start::Start;
use crate::subjects::Incompatible;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the task.
    pub task: String,
    /// The dump; its server id is 0 if each run is to have a random one.
    pub dump: DumpSettings,
    /// What is published.
    pub selection: Selection,
    /// Where to begin if nothing was published yet.
    pub start: Start,
    /// Whether END records are made.
    pub transactions: bool,
    /// Whether deletes are followed by records without a value.
    pub tombstones: bool,
    /// Whether rows are published.
    pub data_updates: bool,
    /// Whether statements that change the schema are.
    pub schema_updates: bool,
    /// Time between heartbeats; `None` for none.
    pub heartbeat_interval: Option<Duration>,
    /// How tables are published.
    pub rules: TableRules,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// Topics that are made.
    pub topics: TopicSettings,
    /// The registry.
    pub registry: RegistrySettings,
    /// Whether other instances run the task in turn.
    pub standby: bool,
    /// Where probes and metrics are served.
    pub health: Option<SocketAddr>,
    /// Bounds.
    pub limits: Limits,
    /// Words of statements that are kept when the binlog is read ahead.
    pub lookahead_entries_max: usize,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not the YAML that is expected.
    #[error("{name} cannot be understood: {message}")]
    Yaml {
        /// The file.
        name: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A key has a value that cannot be.
    #[error("{key}: {message}")]
    Value {
        /// The key, such as `source.start`.
        key: String,
        /// What is wrong.
        message: String,
    },
}

fn wrong(key: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        key: key.to_owned(),
        message: message.into(),
    }
}

/// What every program's environment variables begin with.
const ENVIRONMENT_PREFIX: &str = "BINLOG_BRIDGE_";

/// Answers for environment variables; a function, so that tests need not change the process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads and checks a file, with secrets from the files and variables that it allows.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn load(path: &Path, environment: Environment<'_>) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read(path)?, environment)
    }

    /// Checks the text of a configuration; `name` stands in errors.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn parse(
        name: &str,
        text: &str,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        // The parser would show the lines around an error: a password may stand there (I9).
        let raw: RawConfig = serde_saphyr::from_str(text).map_err(|error| ConfigError::Yaml {
            name: name.to_owned(),
            message: match key_at(text, error.location()) {
                Some(key) => format!("{key}: {}", explain(&error.without_snippet().to_string())),
                None => explain(&error.without_snippet().to_string()),
            },
        })?;
        Self::check(raw, environment)
    }

    fn check(raw: RawConfig, environment: Environment<'_>) -> Result<Self, ConfigError> {
        check_task(&raw.task)?;
        let limits = limits(&raw)?;
        if !(raw.events.data_updates || raw.events.schema_updates) {
            return Err(wrong(
                "events.data_updates",
                "and events.schema_updates are both false: nothing would be published",
            ));
        }
        Ok(Self {
            selection: selection(&raw)?,
            start: start(&raw.source.start)?,
            transactions: raw.events.transactions,
            tombstones: raw.events.tombstones,
            data_updates: raw.events.data_updates,
            schema_updates: raw.events.schema_updates,
            heartbeat_interval: heartbeat_interval(raw.events.heartbeat_interval_ms)?,
            rules: TableRules {
                types: raw.events.types,
                columns: columns(&raw, environment)?,
                keys: keys(&raw.events.message_key)?,
                incompatible: raw.registry.incompatible,
                only_looks_up: only_looks_up(&raw.registry)?,
                begins_widened: false,
            },
            dump: dump(&raw, environment)?,
            kafka: kafka(&raw, environment)?,
            topics: topics(&raw)?,
            registry: registry(&raw, environment)?,
            health: raw.http.health,
            standby: raw.standby,
            limits,
            lookahead_entries_max: usize::try_from(raw.limits.lookahead_entries_max)
                .unwrap_or(usize::MAX),
            task: raw.task,
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })
}

fn check_task(task: &str) -> Result<(), ConfigError> {
    let is_letter = |c: char| c.is_ascii_lowercase();
    let is_other = |c: char| is_letter(c) || c.is_ascii_digit() || c == '-';
    // Topics of all tasks' states begin with this name.
    if task == "binlog-bridge" {
        return Err(wrong(
            "task",
            "'binlog-bridge' is taken by the program itself",
        ));
    }
    if task.starts_with(is_letter) && task.chars().all(is_other) && task.len() <= 63 {
        return Ok(());
    }
    Err(wrong(
        "task",
        format!(
            "'{task}' must begin with a-z and hold only a-z, 0-9 and '-', 63 characters at most"
        ),
    ))
}

/// A Kafka transaction takes a batch at least.
fn at_least_a_batch(limits: &raw::RawLimits) -> Result<u64, ConfigError> {
    if limits.transaction_bytes_max < u64::from(limits.batch_bytes_max) {
        return Err(wrong(
            "limits.transaction_bytes_max",
            "must not be less than limits.batch_bytes_max",
        ));
    }
    Ok(limits.transaction_bytes_max)
}

fn limits(raw: &RawConfig) -> Result<Limits, ConfigError> {
    let limits = &raw.limits;
    let bytes = |key: &str, value: u32, least: u32| {
        if value < least {
            return Err(wrong(key, format!("must be at least {least} bytes")));
        }
        usize::try_from(value).map_err(|_| wrong(key, "is too large"))
    };
    if !(1000..=900_000).contains(&limits.transaction_timeout_ms) {
        return Err(wrong(
            "limits.transaction_timeout_ms",
            "must be between 1000 and 900000",
        ));
    }
    Ok(Limits {
        batch_bytes_max: bytes("limits.batch_bytes_max", limits.batch_bytes_max, 4096)?,
        commit_interval_min: milliseconds(limits.commit_interval_ms_min),
        checkpoint_interval: milliseconds(limits.checkpoint_interval_ms),
        record_bytes_max: bytes("limits.record_bytes_max", limits.record_bytes_max, 4096)?,
        transaction_bytes_max: at_least_a_batch(limits)?,
        transaction_time_max: milliseconds(limits.transaction_timeout_ms / 2),
    })
}

/// What is never registered cannot be registered in another way.
fn only_looks_up(registry: &raw::RawRegistry) -> Result<bool, ConfigError> {
    if !registry.auto_register && registry.incompatible != Incompatible::Halt {
        return Err(wrong(
            "registry.incompatible",
            "is about schemas that are registered, and registry.auto_register is false",
        ));
    }
    Ok(!registry.auto_register)
}

fn milliseconds(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

fn selection(raw: &RawConfig) -> Result<Selection, ConfigError> {
    let mut selection = Selection {
        without_helpers: !raw.select.helper_tables,
        ..Selection::default()
    };
    for name in &raw.select.databases {
        match Pattern::is_one(name) {
            true => drop(selection.patterns.databases.insert(Pattern::new(name))),
            false => drop(selection.databases.insert(name.clone())),
        }
    }
    let sort =
        |key, text: &[String], names: &mut BTreeSet<TableName>, patterns: &mut BTreeSet<_>| {
            for text in text {
                let name = table_name(key, text)?;
                let (database, table) = (Pattern::new(&name.database), Pattern::new(&name.table));
                match Pattern::is_one(text) {
                    true => drop(patterns.insert(TablePattern { database, table })),
                    false => drop(names.insert(name)),
                }
            }
            Ok::<_, ConfigError>(())
        };
    let Selection {
        tables,
        excluded,
        patterns,
        ..
    } = &mut selection;
    sort(
        "select.tables",
        &raw.select.tables,
        tables,
        &mut patterns.tables,
    )?;
    sort(
        "select.exclude_tables",
        &raw.select.exclude_tables,
        excluded,
        &mut patterns.excluded,
    )?;
    if selection.is_empty() {
        return Err(wrong("select", "name at least one database or table"));
    }
    Ok(selection)
}

/// `database.table`; the table's name may hold further dots.
fn table_name(key: &str, text: &str) -> Result<TableName, ConfigError> {
    match text.split_once('.') {
        Some((database, table)) if !database.is_empty() && !table.is_empty() => {
            Ok(TableName::new(database, table))
        }
        _ => Err(wrong(
            key,
            format!("'{text}' is not of the form database.table"),
        )),
    }
}

fn start(raw: &RawStart) -> Result<Start, ConfigError> {
    match raw {
        RawStart::Word(RawStartWord::Latest) => Ok(Start::Latest),
        RawStart::Word(RawStartWord::Earliest) => Ok(Start::Earliest),
        RawStart::GtidSet(RawStartGtidSet { gtid_set: text }) => {
            // What is no place of MariaDB is to be a set of MySQL.
            if let Some(pos) = text.parse().ok().filter(|pos: &GtidPos| !pos.is_empty()) {
                return Ok(Start::GtidPos(pos));
            }
            text.parse()
                .map(Start::GtidSet)
                .map_err(|error| wrong("source.start.gtid_set", error.to_string()))
        }
        RawStart::File(at) => Ok(Start::File(FileOffset {
            file: at.file.clone(),
            offset: at.offset.max(4),
        })),
    }
}

fn dump(raw: &RawConfig, environment: Environment<'_>) -> Result<DumpSettings, ConfigError> {
    let source = &raw.source;
    let password = secret(
        "source.password",
        source.password.as_ref(),
        source.password_file.as_deref(),
        environment,
    )?;
    if source.silence_timeout_ms <= source.heartbeat_interval_ms {
        return Err(wrong(
            "source.silence_timeout_ms",
            "must be longer than source.heartbeat_interval_ms",
        ));
    }
    let mode = match source.tls.mode {
        RawTlsMode::VerifyIdentity => TlsMode::VerifyIdentity,
        RawTlsMode::VerifyCa => TlsMode::VerifyCa,
        RawTlsMode::Encrypt => TlsMode::Encrypt,
        RawTlsMode::Off => TlsMode::Off,
    };
    let event_bytes_max = usize::try_from(raw.limits.event_bytes_max.max(64 * 1024));
    Ok(DumpSettings {
        source: SourceSettings {
            host: source.host.clone(),
            port: source.port,
            user: source.user.clone(),
            password: password.unwrap_or_else(|| Secret::new("")),
            tls: TlsSettings {
                mode,
                ca_file: source.tls.ca_file.clone(),
            },
            connect_timeout: milliseconds(source.connect_timeout_ms),
        },
        server_id: source.server_id.unwrap_or(0),
        heartbeat_interval: milliseconds(source.heartbeat_interval_ms),
        silence_timeout: milliseconds(source.silence_timeout_ms),
        server_id_taken: std::sync::Arc::default(),
        block_bytes_max: BLOCK_BYTES_MAX,
        event_bytes_max: event_bytes_max
            .map_err(|_| wrong("limits.event_bytes_max", "is too large"))?,
    })
}

/// Events are decoded in blocks of about so many bytes: large enough to be cheap, small enough that a batch is
/// not far over its limit when a block ends.
const BLOCK_BYTES_MAX: usize = 256 * 1024;

/// A secret from the environment, the configuration or a file, in that order.
fn secret(
    key: &str,
    value: Option<&Secret>,
    file: Option<&Path>,
    environment: Environment<'_>,
) -> Result<Option<Secret>, ConfigError> {
    let variable = key.to_uppercase().replace('.', "__");
    if let Some(text) = environment(&format!("{ENVIRONMENT_PREFIX}{variable}")) {
        return Ok(Some(Secret::new(text)));
    }
    match (value, file) {
        (Some(_), Some(_)) => Err(wrong(key, "is given directly and as a file; choose one")),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(path)) => {
            let text = read(path)?;
            Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
        }
        (None, None) => Ok(None),
    }
}

/// Settings that the promise rests on: the connector sets them itself.
const CLIENT_SETTINGS_REFUSED: [&str; 16] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "transactional.id",
    "transaction.timeout.ms",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "isolation.level",
    "retries",
    "message.send.max.retries",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retry.backoff.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "enable.gapless.guarantee",
];

fn kafka(raw: &RawConfig, environment: Environment<'_>) -> Result<KafkaSettings, ConfigError> {
    let mut client = BTreeMap::new();
    for (key, value) in &raw.kafka.client {
        if CLIENT_SETTINGS_REFUSED.contains(&key.as_str()) {
            return Err(wrong(
                &format!("kafka.client.{key}"),
                "is set by the connector, since exactly once rests on it",
            ));
        }
        let text = match value {
            RawClientValue::Bool(value) => value.to_string(),
            RawClientValue::Number(value) => value.to_string(),
            RawClientValue::Text(value) => value.clone(),
        };
        client.insert(key.clone(), text);
    }
    let password = secret(
        "kafka.sasl_password",
        raw.kafka.sasl_password.as_ref(),
        raw.kafka.sasl_password_file.as_deref(),
        environment,
    )?;
    if let Some(password) = password {
        client.insert("sasl.password".to_owned(), password.expose().to_owned());
    }
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let settings = KafkaSettings {
        bootstrap_servers: raw.kafka.bootstrap_servers.clone(),
        transactional_id: format!("binlog-bridge.{}", raw.task),
        client,
        batch_bytes_max: size(raw.limits.batch_bytes_max),
        record_bytes_max: size(raw.limits.record_bytes_max),
        transaction_timeout_ms: raw.limits.transaction_timeout_ms,
        request_timeout_ms: KAFKA_REQUEST_TIMEOUT_MS,
    };
    settings
        .check()
        .map_err(|message| wrong("kafka.client", message))?;
    Ok(settings)
}

/// How long one step waits for the cluster before the run begins again, and says why.
const KAFKA_REQUEST_TIMEOUT_MS: u32 = 10_000;

fn topics(raw: &RawConfig) -> Result<TopicSettings, ConfigError> {
    if raw.kafka.retention_ms == 0 {
        return Err(wrong("kafka.retention_ms", "must be at least 1"));
    }
    let partitions = |key: &str, count: u16| match count {
        0 => Err(wrong(key, "must be at least 1")),
        count => Ok(i32::from(count)),
    };
    let mut tables = BTreeMap::new();
    let mut owners = BTreeMap::new();
    for (name, topic) in &raw.kafka.tables {
        let key = format!("kafka.tables.{name}");
        let count = topic
            .partitions
            .map(|count| partitions(&key, count))
            .transpose()?;
        if let Some(topic) = &topic.topic_name {
            check_topic_name(&key, topic)?;
            // Kafka refuses names that differ in these two only.
            if let Some(other) = owners.insert(topic.replace('.', "_"), name) {
                let key = format!("{key}.topic_name");
                return Err(wrong(
                    &key,
                    format!("'{topic}' is the topic of {other}, too"),
                ));
            }
        }
        let topic = TableTopic {
            name: topic.topic_name.clone(),
            partitions: count,
        };
        tables.insert(table_name(&key, name)?, topic);
    }
    Ok(TopicSettings {
        partitions: partitions("kafka.partitions", raw.kafka.partitions)?,
        replication_factor: raw
            .kafka
            .replication_factor
            .map(|count| partitions("kafka.replication_factor", count))
            .transpose()?,
        retention_ms: raw.kafka.retention_ms,
        record_bytes_max: usize::try_from(raw.limits.record_bytes_max).unwrap_or(usize::MAX),
        tables,
        publish_held_back: raw.kafka.publish_held_back,
        transaction_timeout: Duration::from_millis(raw.limits.transaction_timeout_ms.into()),
    })
}

fn check_topic_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_fine = (1..=249).contains(&name.len()) && name.chars().all(allowed);
    if is_fine && name != "." && name != ".." {
        return Ok(());
    }
    Err(wrong(
        key,
        format!("'{name}' is not a topic name that Kafka takes"),
    ))
}

fn registry(
    raw: &RawConfig,
    environment: Environment<'_>,
) -> Result<RegistrySettings, ConfigError> {
    let registry = &raw.registry;
    let password = secret(
        "registry.password",
        registry.password.as_ref(),
        registry.password_file.as_deref(),
        environment,
    )?;
    Ok(RegistrySettings {
        url: registry.url.clone(),
        user: registry.user.clone(),
        password,
        timeout: milliseconds(registry.timeout_ms),
    })
}

/// The key whose value an error is about. Only the key is shown, never what follows it.
fn key_at(text: &str, location: Option<serde_saphyr::Location>) -> Option<String> {
    let location = location?;
    let line = text
        .lines()
        .nth(usize::try_from(location.line()).ok()?.checked_sub(1)?)?;
    let before: String = line
        .chars()
        .take(usize::try_from(location.column()).ok()?.checked_sub(1)?)
        .collect();
    let (key, after) = before.rsplit_once(':')?;
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let key = key.rsplit(|c| !is_of_key(c)).next()?;
    (after.trim().is_empty() && !key.is_empty()).then(|| key.to_owned())
}

/// Adds a suggestion where a key is misspelt. The parser says: unknown field `a`, expected one of b, c at line 1.
fn explain(message: &str) -> String {
    let Some((_, list)) = message.split_once("unknown field `") else {
        return message.to_owned();
    };
    let list = list.rsplit_once(" at line ").map_or(list, |(list, _)| list);
    let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let mut words = list.split(is_separator).filter(|word| !word.is_empty());
    let Some(given) = words.next() else {
        return message.to_owned();
    };
    match words.min_by_key(|known| distance(given, known)) {
        Some(best) if distance(given, best) <= 1 + given.len() / 3 => {
            format!("{message}; did you mean `{best}`?")
        }
        _ => message.to_owned(),
    }
}

/// Edits that turn one text into the other: insert, delete or replace a character.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
