//! The configuration file as it is written. Every key is here, with its unit and default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use binlog_bridge_core::value::TypeOptions;
use serde::Deserialize;

use crate::secret::Secret;
use crate::subjects::Incompatible;

/// One file is one task is one process.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Name of the task, `[a-z][a-z0-9-]{0,62}`: the first part of all its topics' names.
    pub task: String,
    /// True for an instance that waits while another one runs the task, and takes over when that ends or is lost. All
    /// instances of the task have it; default false.
    #[serde(default)]
    pub standby: bool,
    /// The server to follow.
    pub source: RawSource,
    /// What to publish.
    pub select: RawSelect,
    /// What events look like.
    #[serde(default)]
    pub events: RawEvents,
    /// Where to publish.
    pub kafka: RawKafka,
    /// Where schemas are kept.
    pub registry: RawRegistry,
    /// Probes and metrics.
    #[serde(default)]
    pub http: RawHttp,
    /// Bounds.
    #[serde(default)]
    pub limits: RawLimits,
}

/// `source`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSource {
    /// Host name or address.
    pub host: String,
    /// Port; default 3306.
    #[serde(default = "mysql_port")]
    pub port: u16,
    /// The account.
    pub user: String,
    /// Its password; or `password_file`, or the environment: `BINLOG_BRIDGE_SOURCE__PASSWORD`.
    pub password: Option<Secret>,
    /// A file whose content, without the line's end, is the password.
    pub password_file: Option<PathBuf>,
    /// Encryption.
    #[serde(default)]
    pub tls: RawTls,
    /// Where to begin if nothing was published yet; default `latest`.
    #[serde(default)]
    pub start: RawStart,
    /// The id to register under as a replica; default: random for each run.
    pub server_id: Option<u32>,
    /// How often the server is asked for a heartbeat, in milliseconds; default 1000.
    #[serde(default = "heartbeat_interval_ms")]
    pub heartbeat_interval_ms: u32,
    /// A connection that is silent for so many milliseconds is broken; default 10000.
    #[serde(default = "silence_timeout_ms")]
    pub silence_timeout_ms: u32,
    /// How long to wait for a connection, in milliseconds; default 10000.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
}

fn mysql_port() -> u16 {
    3306
}

fn heartbeat_interval_ms() -> u32 {
    1000
}

fn silence_timeout_ms() -> u32 {
    10_000
}

fn connect_timeout_ms() -> u32 {
    10_000
}

/// `source.tls`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// How much is asked of the encryption; default `verify_identity`.
    #[serde(default)]
    pub mode: RawTlsMode,
    /// The CA that signed the server's certificate, in PEM; default: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// `source.tls.mode`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawTlsMode {
    /// Encrypted, by a certificate that a known CA made for this host.
    #[default]
    VerifyIdentity,
    /// Encrypted, by a certificate that a known CA made for any host.
    VerifyCa,
    /// Encrypted, by any certificate.
    Encrypt,
    /// Not encrypted.
    Off,
}

/// `source.start`: a word, or a mapping with a place.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum RawStart {
    /// `latest` or `earliest`.
    Word(RawStartWord),
    /// After a set of transactions.
    GtidSet(RawStartGtidSet),
    /// At an offset of a file.
    File(RawStartFile),
}

impl Default for RawStart {
    fn default() -> Self {
        Self::Word(RawStartWord::Latest)
    }
}

/// A word for `source.start`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawStartWord {
    /// At the end of the binlog.
    Latest,
    /// At the beginning of the oldest binlog file.
    Earliest,
}

/// `source.start: {gtid_set: …}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStartGtidSet {
    /// All transactions before the place, as the server writes sets; on MariaDB the last one of each domain.
    pub gtid_set: String,
}

/// `source.start: {file: …, offset: …}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStartFile {
    /// The file's name.
    pub file: String,
    /// An offset at which an event begins.
    pub offset: u64,
}

/// `select`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSelect {
    /// Databases of which every table is published, those that are made later too. In all names of `select`, `*` stands for
    /// any characters and `?` for one; what is made later is meant too, the server's own databases never.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Single tables, as `database.table`.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Tables that are left out, as `database.table`.
    #[serde(default)]
    pub exclude_tables: Vec<String>,
    /// Whether tables that gh-ost and pt-online-schema-change make for themselves (`_t_gho`, `_t_ghc`, `_t_del`, `_t_new`,
    /// `_t_old`) are published like others; default false, but for those named in `tables`.
    #[serde(default)]
    pub helper_tables: bool,
}

/// `events`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEvents {
    /// Whether `<task>.transactions` gets an END record for each source transaction with selected rows; default true.
    /// Those of a split transaction are always made.
    #[serde(default = "yes")]
    pub transactions: bool,
    /// Whether each delete is followed by a record of the same key without a value, for topics that are compacted;
    /// default false.
    #[serde(default)]
    pub tombstones: bool,
    /// Whether rows are published; default true.
    #[serde(default = "yes")]
    pub data_updates: bool,
    /// Whether each statement that changes the schema of what is selected is published to `<task>.schema-changes`; those on
    /// accounts never are; default false.
    #[serde(default)]
    pub schema_updates: bool,
    /// Time in milliseconds after which a record is published to `<task>.heartbeats` that says how far the stream is, though
    /// nothing selected has changed; default 0: none. On a source in which nothing happens there are no more of them than of the
    /// source's own heartbeats (`source.heartbeat_interval_ms`).
    #[serde(default)]
    pub heartbeat_interval_ms: u32,
    /// Types in the place of the usual ones: `bigint_unsigned` (`decimal`, or `long`, which halts on larger numbers),
    /// `tinyint1` (`int`, or `boolean`, which halts on others than 0 and 1), `invalid_text` (`halt`, or `replace` with
    /// U+FFFD), `key_dates` (`logical`, which halts on zero and impossible dates, or `string`).
    #[serde(default)]
    pub types: TypeOptions,
    /// Columns that are masked or left out. The first rule that names a column counts. Rows are meant: statements in
    /// `<task>.schema-changes` are as they were written.
    #[serde(default)]
    pub columns: Vec<RawColumnRule>,
    /// Columns that make the keys of records in the place of the primary key, and by them choose the partition. The first
    /// rule that names a table counts.
    #[serde(default)]
    pub message_key: Vec<RawKeyRule>,
    /// What is put in front of each value that is hashed; or `hash_salt_file`, or `BINLOG_BRIDGE_EVENTS__HASH_SALT`.
    pub hash_salt: Option<Secret>,
    /// A file with that secret.
    pub hash_salt_file: Option<PathBuf>,
}

/// A rule of `events.message_key`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawKeyRule {
    /// Tables, as `database.table`; `*` stands for any characters and `?` for one.
    pub tables: Vec<String>,
    /// Columns of each of them, in the key's order. An update that changes one of them is a delete of the old key and a create
    /// of the new one. The server must write whole images (`binlog_row_image=FULL`) unless they are of the primary key.
    pub columns: Vec<String>,
}

/// A rule of `events.columns`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawColumnRule {
    /// Columns, as `database.table.column`; `*` stands for any characters and `?` for one.
    pub names: Vec<String>,
    /// `leave_out`; `hash`: SHA-256 of the salt and the value, in hexadecimal, for text, bytes and integers; `{truncate: N}`: the
    /// first N characters of a text; `{fixed: TEXT}`: the same text for each value. NULL stays NULL. Columns of the key can
    /// only be hashed.
    pub mask: RawMask,
}

/// `mask` of a rule.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawMask {
    /// The column is not published.
    LeaveOut,
    /// Its values are hashed.
    Hash,
    /// They are shortened.
    Truncate(u32),
    /// They are replaced.
    Fixed(String),
}

impl Default for RawEvents {
    fn default() -> Self {
        Self {
            transactions: true,
            tombstones: false,
            data_updates: true,
            schema_updates: false,
            heartbeat_interval_ms: 0,
            types: TypeOptions::default(),
            columns: Vec::new(),
            message_key: Vec::new(),
            hash_salt: None,
            hash_salt_file: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// `kafka`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawKafka {
    /// Brokers to begin with, as `host:port,host:port`.
    pub bootstrap_servers: String,
    /// Partitions of the tables' topics that are made; default 1.
    #[serde(default = "one")]
    pub partitions: u16,
    /// Copies of each partition; default 3, or as many as there are brokers.
    pub replication_factor: Option<u16>,
    /// How long events are kept, in milliseconds; default 24 hours.
    #[serde(default = "retention_ms")]
    pub retention_ms: u64,
    /// Exceptions by table, keyed `database.table`.
    #[serde(default)]
    pub tables: BTreeMap<String, RawTableTopic>,
    /// True for the one start in which what a topic has of a transaction that is over is to be published with the next one,
    /// as a task that stopped with `transaction-hanging` may ask for; default false: stop.
    #[serde(default)]
    pub publish_held_back: bool,
    /// Settings of the Kafka client that are passed through, such as `security.protocol`.
    #[serde(default)]
    pub client: BTreeMap<String, RawClientValue>,
    /// The password of `sasl.username`; or `sasl_password_file`, or `BINLOG_BRIDGE_KAFKA__SASL_PASSWORD`.
    pub sasl_password: Option<Secret>,
    /// A file with that password.
    pub sasl_password_file: Option<PathBuf>,
}

fn one() -> u16 {
    1
}

fn retention_ms() -> u64 {
    24 * 60 * 60 * 1000
}

/// One entry of `kafka.tables`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTableTopic {
    /// The topic's name; default `<task>.<database>.<table>`.
    pub topic_name: Option<String>,
    /// Its partitions.
    pub partitions: Option<u16>,
}

/// A value of `kafka.client`: YAML may read it as a number or a truth value.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum RawClientValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(i64),
    /// Anything else.
    Text(String),
}

impl std::fmt::Debug for RawClientValue {
    /// It may be a secret (I9).
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("***")
    }
}

/// `registry`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRegistry {
    /// Address of a Confluent-compatible API.
    pub url: String,
    /// The account, if one is needed.
    pub user: Option<String>,
    /// Its password; or `password_file`, or `BINLOG_BRIDGE_REGISTRY__PASSWORD`.
    pub password: Option<Secret>,
    /// A file with that password.
    pub password_file: Option<PathBuf>,
    /// How long a request may take, in milliseconds; default 10000.
    #[serde(default = "connect_timeout_ms")]
    pub timeout_ms: u32,
    /// Whether schemas are registered; default true. If false they are only looked up: a table whose schema the registry
    /// does not have stops the task before the first row of it. `binlog-bridge schemas` prints what to register.
    #[serde(default = "yes")]
    pub auto_register: bool,
    /// What is done if readers of a table's new schema could not read its old events: `halt` (default), before the first row
    /// of it; `new_version`: it is registered all the same, with the subject's check off meanwhile; `new_topic`: the table goes
    /// on in another topic, `<topic>.v2`, `.v3` and so on.
    #[serde(default)]
    pub incompatible: Incompatible,
}

/// `http`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHttp {
    /// Address and port for `/healthz`, `/readyz` and `/metrics`; default: no listener.
    pub health: Option<SocketAddr>,
}

/// `limits`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Bytes of keys and values that are gathered before the sink must take them; default 4 MiB. Two such
    /// batches are in memory at most.
    pub batch_bytes_max: u32,
    /// How long a batch waits for more though the sink is free, in milliseconds; default 0.
    pub commit_interval_ms_min: u32,
    /// A checkpoint is committed after so many milliseconds even if nothing selected has changed; default 5000.
    pub checkpoint_interval_ms: u32,
    /// Bytes of key and value of one record; default 16 MiB.
    pub record_bytes_max: u32,
    /// Bytes of one Kafka transaction; default 1 GiB. One that reaches them, or has been open for half of
    /// `transaction_timeout_ms`, ends in the middle of a source transaction, which is split: consumers see its
    /// parts one after another.
    pub transaction_bytes_max: u64,
    /// After so many milliseconds the broker aborts a transaction that is still open; default 60000.
    pub transaction_timeout_ms: u32,
    /// Events larger than so many bytes are handled in parts; default 1 MiB.
    pub event_bytes_max: u32,
    /// Where the binlog does not name columns, it is read ahead for statements that change tables: so many words of them
    /// are kept, and beyond that every table counts as changed; default 100000.
    pub lookahead_entries_max: u32,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            batch_bytes_max: 4 << 20,
            commit_interval_ms_min: 0,
            checkpoint_interval_ms: 5000,
            record_bytes_max: 16 << 20,
            transaction_bytes_max: 1 << 30,
            transaction_timeout_ms: 60_000,
            event_bytes_max: 1 << 20,
            lookahead_entries_max: 100_000,
        }
    }
}
