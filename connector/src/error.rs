//! What follows from an error: decided here and nowhere else.
//!
//! Every error of a run ends up as an [`Error`]; its [`Error::verdict`] says whether the run begins again from
//! the state or stops, and then with which remedy. Display texts never hold row values or secrets (I9).

mod source;
mod state;

use binlog_bridge_core::decode::{DeadTransaction, DecodeError, DecodeErrorKind};
use binlog_bridge_core::encode::{ArenaFull, EncodeError, EncodeErrorKind, MarkError, SplitError};
use binlog_bridge_core::position::FileOffset;
use binlog_bridge_core::schema::{DefinitionError, RowsError};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::state::StateError;
use binlog_bridge_core::value::ValueError;

use self::source::PURGED_REMEDY;
pub(crate) use self::source::{is_elsewhere, is_purged, is_unreadable};
use crate::catalog::CatalogError;
use crate::pipeline::TakenBack;
use crate::registry::{RegistryError, RegistryErrorKind};
use crate::sink::log::{LogError, LogErrorKind};
use crate::sink::transactor::SinkError;
use crate::source::SourceError;
use crate::start::StartError;
use crate::subjects::SubjectError;

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source server.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An event.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A table's definition.
    #[error("{source} (at {at})")]
    Definition {
        /// Where its table map begins.
        at: FileOffset,
        /// What is wrong.
        source: DefinitionError,
    },
    /// Rows of an unknown table id.
    #[error("{source} (at {at})")]
    Rows {
        /// Where the rows event begins.
        at: FileOffset,
        /// What is wrong.
        source: RowsError,
    },
    /// A row.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Something in the binlog that this version does not publish, and that touches a selected table.
    #[error("{what} at {at} touches selected tables and cannot be published")]
    NotPublishable {
        /// What it is.
        what: &'static str,
        /// Where it begins.
        at: FileOffset,
        /// What mends it.
        remedy: &'static str,
    },
    /// A source transaction takes back what it changed: the next run leaves those rows out.
    #[error("the source transaction that begins at {} has taken back changes that were not published yet", _0.first)]
    TakenBack(TakenBack),
    /// Rows were changed by a statement that is in the binlog as text.
    #[error(
        "the statement at {at} changes rows and is in the binlog in STATEMENT format; it begins with table {table}"
    )]
    StatementFormat {
        /// The first table that it names.
        table: TableName,
        /// Where it begins.
        at: FileOffset,
    },
    /// The rest of a split source transaction is not what follows.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The server rolled a split source transaction back.
    #[error(
        "source transaction {id} is published in part, but the server has rolled it back (it begins at {first})"
    )]
    PublishedAndRolledBack {
        /// The transaction.
        id: String,
        /// Where it begins.
        first: FileOffset,
    },
    /// Kafka.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Topics and schemas.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The run must not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The end was asked for while the run was waiting for something.
    #[error("the run was asked to end")]
    Stopped,
    /// Something else is to be published from here on.
    #[error("the configuration has changed")]
    Modified,
    /// Fenced again and again by nobody.
    #[error(
        "kafka: this instance was fenced three times in ten minutes, and no other instance owns the task"
    )]
    FencedByNobody,
}

/// What follows from an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The run begins again from the state, after a pause.
    Restart,
    /// Somebody has to act: at the start the program ends; a run that was ready tries again and says so.
    Credentials(String),
    /// Somebody has to act: the program ends.
    Halt(String),
}

impl Error {
    /// What follows.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Source(error) => source::source(error),
            Self::Decode(error) => decode(&error.kind),
            Self::Definition { source, .. } => definition(source),
            Self::Rows { .. } => halt(
                "Report this with the position: the binlog is not in the order that MySQL writes. Until then exclude the table with select.exclude_tables.",
            ),
            Self::Encode(error) => encode(&error.kind),
            Self::NotPublishable { remedy, .. } => halt(remedy),
            Self::StatementFormat { .. } => halt(
                "Set binlog_format=ROW for all sessions of the server; then start anew behind the statement: delete the state topic and the task's data topics.",
            ),
            Self::Split(_) => halt(SPLIT_REMEDY),
            Self::PublishedAndRolledBack { .. } => halt(
                "Consumers have to drop the rows of that transaction id (it has SPLIT records in the transactions topic, and will never have an END). Compare the tables with what was published; to go on, delete the state topic and the task's data topics and start anew.",
            ),
            Self::Sink(error) => sink(error),
            Self::Catalog(error) => catalog(error),
            Self::Start(error) => start(error),
            Self::Stopped | Self::Modified | Self::TakenBack(_) => Verdict::Restart,
            Self::FencedByNobody => halt(
                "Raise limits.transaction_timeout_ms if the broker ends slow transactions, and look for another program that uses the transactional id of this task.",
            ),
        }
    }

    /// True if the producer was fenced or cannot be used any more: the owner record says whether another
    /// instance did it.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.log_kind().is_some_and(LogErrorKind::is_fenced)
    }

    /// True if the cluster gave the producer's epoch to another one, or ended it.
    #[must_use]
    pub fn is_fenced_by_epoch(&self) -> bool {
        self.log_kind() == Some(LogErrorKind::Fenced)
    }

    /// True if the state topic itself has said it: another look would find the same.
    #[must_use]
    pub fn is_of_state(&self) -> bool {
        matches!(
            self,
            Self::Sink(
                SinkError::TakenOver { .. }
                    | SinkError::HangingTransaction { .. }
                    | SinkError::State(_)
            )
        )
    }

    /// True if the server says that its binlog does not have the place of the stream.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Source(SourceError::Server { code, message }) if is_elsewhere(*code, message))
    }

    /// A source transaction that never happened: the next run drops it.
    #[must_use]
    pub fn dead_transaction(&self) -> Option<DeadTransaction> {
        match self {
            Self::Decode(DecodeError {
                kind:
                    DecodeErrorKind::DeadTransaction {
                        first,
                        commit_time_us,
                    },
                ..
            }) => Some(DeadTransaction {
                first: first.clone(),
                commit_time_us: *commit_time_us,
            }),
            _ => None,
        }
    }

    fn log_kind(&self) -> Option<LogErrorKind> {
        match self {
            Self::Sink(SinkError::Log(error)) | Self::Catalog(CatalogError::Log(error)) => {
                Some(error.kind)
            }
            _ => None,
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Self::Sink(SinkError::Log(error))
    }
}

impl From<MarkError> for Error {
    fn from(error: MarkError) -> Self {
        match error {
            MarkError::Split(error) => Self::Split(error),
            MarkError::Batch(error) => error.into(),
        }
    }
}

impl From<ArenaFull> for Error {
    fn from(error: ArenaFull) -> Self {
        Self::Sink(SinkError::Batch(error))
    }
}

fn halt(remedy: &str) -> Verdict {
    Verdict::Halt(remedy.to_owned())
}

const OTHER_TOPIC_REMEDY: &str = "What was published to the topic is gone. Restore it, or start anew: delete the state topic and the task's data topics.";

const SPLIT_REMEDY: &str = "The server is not the one that was followed, or its binlog was changed: point source.host at the server on which the transaction is whole. To follow this one as it is, delete the state topic and the task's data topics and start anew.";

fn decode(kind: &DecodeErrorKind) -> Verdict {
    match kind {
        DecodeErrorKind::Checksum
        | DecodeErrorKind::Length { .. }
        | DecodeErrorKind::Truncated
        | DecodeErrorKind::Fragments
        | DecodeErrorKind::CompressedTransaction => halt(
            "Check the binlog file on the server with mysqlbinlog --verify-binlog-checksum; if it is whole there, start again: the event was damaged on its way.",
        ),
        DecodeErrorKind::Incident => halt(
            "The server lost changes that are in no binlog. Compare the tables with what was published, then start anew: delete the state topic and the task's data topics.",
        ),
        DecodeErrorKind::TooLarge { .. } => {
            halt("Raise limits.record_bytes_max, or exclude the table with select.exclude_tables.")
        }
        // It is known from now on, and the next run drops it.
        DecodeErrorKind::DeadTransaction { .. } => Verdict::Restart,
        DecodeErrorKind::UnfinishedTransaction { .. } => halt(
            "The server wrote a transaction without an end, perhaps in a crash. Make sure by mysqlbinlog that it was rolled back, and report this with the position.",
        ),
        DecodeErrorKind::UnknownEvent { .. }
        | DecodeErrorKind::ChecksumAlgorithm { .. }
        | DecodeErrorKind::BinlogVersion { .. }
        | DecodeErrorKind::FileName
        | DecodeErrorKind::Compressed
        | DecodeErrorKind::TaggedGtid
        | DecodeErrorKind::RowsOutsideTransaction
        | DecodeErrorKind::Pieces
        | DecodeErrorKind::TableMap { .. } => halt(
            "Use a version of binlog-bridge that knows this server's version, and report this with the position.",
        ),
    }
}

const NAMES_REMEDY: &str = "So that the binlog names columns from now on, run SET PERSIST binlog_row_metadata=FULL on the server (since MySQL 8.0.1; on MariaDB since 10.5, SET GLOBAL, and in its configuration).";

fn definition(error: &DefinitionError) -> Verdict {
    match error {
        DefinitionError::NoMetadata { .. } => halt(NAMES_REMEDY),
        DefinitionError::Unsupported { table, .. } => Verdict::Halt(format!(
            "Exclude the table: add {table} to select.exclude_tables."
        )),
        DefinitionError::Damaged { .. } => halt("Report this with the position."),
        DefinitionError::Mask { .. } => halt(
            "Give the column another mask: {fixed: TEXT} and leave_out are for all types, hash for text, bytes and integers, {truncate: N} for text.",
        ),
        DefinitionError::MaskedKey { .. } => {
            halt("Give the column the mask hash in events.columns, or none.")
        }
        DefinitionError::MessageKey { table, .. } => Verdict::Halt(format!(
            "Name columns that {table} has in events.message_key, or take the table out of its rule."
        )),
        DefinitionError::Width { .. } => halt(
            "Remove events.types.tinyint1 from the configuration, which is for tables whose definition is proven; or grant the account SELECT on the table, and start anew behind statements that changed it.",
        ),
        DefinitionError::Ambiguous { table, .. } => Verdict::Halt(format!(
            "Grant the account SELECT on {table}, and start again. Columns of times in the format before MariaDB 10.1 get the new one by ALTER TABLE {table} FORCE. If a statement has changed the table since, these rows cannot be read for certain: exclude it (add {table} to select.exclude_tables), or start anew behind them: delete the state topic and the task's data topics."
        )),
        DefinitionError::NotReadable { table, .. } => Verdict::Halt(format!(
            "Grant the account SELECT on {table}, and start again. {NAMES_REMEDY}"
        )),
        DefinitionError::Gone { table }
        | DefinitionError::Differs { table, .. }
        | DefinitionError::Changed { table, .. }
        | DefinitionError::Unlogged { table, .. }
        | DefinitionError::Filtered { table, .. } => Verdict::Halt(format!(
            "These rows cannot be read for certain. To go on without them, exclude the table (add {table} to select.exclude_tables), or start anew behind them: delete the state topic and the task's data topics. {NAMES_REMEDY}"
        )),
    }
}

fn encode(kind: &EncodeErrorKind) -> Verdict {
    match kind {
        EncodeErrorKind::PartialImage => halt("Report this with the position."),
        EncodeErrorKind::ChangeOfUnknown { .. } => halt(
            "Run SET GLOBAL binlog_row_image=FULL, or SET GLOBAL binlog_row_value_options='', on the server and let clients reconnect; exclude the table with select.exclude_tables to pass over this row.",
        ),
        EncodeErrorKind::RowOptions => halt("Report this with the position."),
        EncodeErrorKind::KeyNotInImage { .. } => halt(
            "Run SET GLOBAL binlog_row_image=FULL on the server and let clients reconnect (a key by events.message_key needs it); exclude the table with select.exclude_tables to pass over this row.",
        ),
        EncodeErrorKind::InvalidKey { .. } => halt(
            "Mend the row on the server, set events.types.key_dates: string (as a new version of the key's schema, to a new topic), or exclude the table with select.exclude_tables.",
        ),
        EncodeErrorKind::TooLarge { .. } => halt(
            "Raise limits.record_bytes_max to the size of the record or more, and max.message.bytes of the topic and message.max.bytes of the brokers to 1024 bytes more than that; or exclude the table with select.exclude_tables.",
        ),
        EncodeErrorKind::Split(_) => halt(SPLIT_REMEDY),
        EncodeErrorKind::Value {
            kind: ValueError::Text,
            ..
        } => halt(
            "Mend the row on the server, or the member of its ENUM or SET: the bytes are not text of the column's character set, or have no place in Unicode. Or set events.types.invalid_text: replace. To pass over it, exclude the table with select.exclude_tables.",
        ),
        EncodeErrorKind::Value {
            kind: ValueError::LostMember,
            ..
        } => Verdict::Halt(format!(
            "This row cannot be read for certain. To go on without it, exclude the table with select.exclude_tables, or mask the column with {{fixed: TEXT}} in events.columns. {NAMES_REMEDY}"
        )),
        EncodeErrorKind::Value {
            kind: ValueError::OverLong,
            ..
        } => halt(
            "Mend the row on the server, or set events.types.bigint_unsigned: decimal, which makes another schema: give the table another topic with kafka.tables.",
        ),
        EncodeErrorKind::Value {
            kind: ValueError::NoBoolean,
            ..
        } => halt(
            "Mend the row on the server, or set events.types.tinyint1: int, which makes another schema: give the table another topic with kafka.tables.",
        ),
        EncodeErrorKind::Value { .. }
        | EncodeErrorKind::ColumnCount { .. }
        | EncodeErrorKind::Truncated
        | EncodeErrorKind::BytesOfNothing
        | EncodeErrorKind::NullKey { .. }
        | EncodeErrorKind::Null { .. }
        | EncodeErrorKind::Arena(_) => halt(
            "Report this with the position; until it is mended exclude the table with select.exclude_tables.",
        ),
    }
}

fn sink(error: &SinkError) -> Verdict {
    match error {
        SinkError::Log(error) => log(error),
        SinkError::NotCommitted
        | SinkError::Borrowed { .. }
        | SinkError::CameBack { .. }
        | SinkError::TopicMissing { .. } => Verdict::Restart,
        SinkError::TopicReplaced { .. } => halt(OTHER_TOPIC_REMEDY),
        SinkError::StateCut { topic } => Verdict::Halt(format!(
            "Somebody deleted records of {topic} (kafka-delete-records, or cleanup.policy=delete): it is to be compacted only. To start anew, delete it together with the task's data topics."
        )),
        SinkError::HangingTransaction { topic, offset, .. } => Verdict::Halt(format!(
            "Brokers that end a transaction while a partition has no leader may leave it open there (Kafka 4.1 to 4.3, KAFKA-20734). Look whether the rows after the checkpoint of `binlog-bridge offsets show` are in the data topics with isolation.level=read_committed. If they are, it was committed, and they would be published twice: move the task behind them with `binlog-bridge offsets set` after the next command. If they are not, the transaction was given up and will be sent again: end it, and start again: kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {topic} --partition 0 --start-offset {offset}"
        )),
        SinkError::TakenOver { .. } => {
            halt("Run one instance of a task: stop this one or the other.")
        }
        SinkError::State(StateError::Format { .. }) => {
            halt("Use the version that wrote the state, or a newer one.")
        }
        SinkError::State(StateError::Key | StateError::Value { .. } | StateError::Base { .. }) => {
            halt(
                "Make sure that nothing else writes to the state topic; to start anew delete it together with the task's data topics.",
            )
        }
        SinkError::Batch(_) => halt("Lower limits.batch_bytes_max."),
    }
}

fn log(error: &LogError) -> Verdict {
    match error.kind {
        LogErrorKind::Fenced
        | LogErrorKind::Fatal
        | LogErrorKind::Abortable
        | LogErrorKind::Unreachable
        | LogErrorKind::UnknownTopic
        | LogErrorKind::Other => Verdict::Restart,
        LogErrorKind::Authentication => Verdict::Credentials(
            "Check the security.protocol, sasl.* and ssl.* settings in kafka.client.".to_owned(),
        ),
        LogErrorKind::Authorization => Verdict::Credentials(
            "Grant the Kafka account Create and Write on the topics that begin with the task's name, Create, Write and Read on its state topic, and Write on its transactional id (and with standby, Read on the group of the same name).".to_owned(),
        ),
        LogErrorKind::InvalidRecord => halt(
            "Set cleanup.policy=delete on the topic: a compacted one takes no records without a key, which tables without a primary key and TRUNCATE have.",
        ),
        LogErrorKind::TooLarge => halt(
            "Raise max.message.bytes of the topic and message.max.bytes of the brokers to 1024 bytes more than limits.record_bytes_max, or exclude the table with select.exclude_tables.",
        ),
        LogErrorKind::Configuration => halt("Mend kafka.client in the configuration."),
    }
}

/// An abort takes records away that may have been committed: first see which they are.
const HELD_BACK_REMEDY: &str = "Brokers that end a transaction while a partition has no leader may leave it open there (Kafka 4.1 to 4.3, KAFKA-20734). Read the records from that offset on with isolation.level=read_uncommitted, and compare their source with the checkpoint and its split (`binlog-bridge offsets show`). If they lie before the checkpoint, or are those that split counts, they were committed: start once with kafka.publish_held_back: true, which publishes them. If they lie after it, they were given up and will be sent again: end their transaction, and start again:";

fn catalog(error: &CatalogError) -> Verdict {
    match error {
        CatalogError::Log(error) => log(error),
        CatalogError::Definition(error) => definition(error),
        CatalogError::Subject(SubjectError::Registry(error)) => registry(error),
        CatalogError::Subject(SubjectError::Incompatible { .. }) => halt(
            "The table changed in a way that readers of the new schema could not read old events. Let registry.incompatible be new_version (readers of old events then need the schema that these name) or new_topic, give the table another topic with kafka.tables.<table>.topic_name, or exclude it with select.exclude_tables.",
        ),
        CatalogError::Subject(SubjectError::NotRegistered { .. }) => halt(
            "Register the schema and start again: `binlog-bridge schemas` prints those of all tables as they are now (with --widened for a table whose rows came without some columns, though binlog_row_image is FULL now). Or set registry.auto_register: true.",
        ),
        CatalogError::Subject(SubjectError::OtherSchema { .. }) => halt(
            "Make sure that registry.url is that of one registry, not of several with ids of their own, and that its storage is whole; then start again.",
        ),
        CatalogError::Subject(SubjectError::Unreadable { .. }) => halt(
            "Look at the subject in the registry: something else wrote to it. Give the table another topic with kafka.tables.<table>.topic_name.",
        ),
        CatalogError::Plan(_) | CatalogError::Schema { .. } => {
            halt("Rename one of the columns, or exclude the table with select.exclude_tables.")
        }
        CatalogError::SharedTopic { .. } | CatalogError::LongName { .. } => {
            halt("Give one of the tables another topic with kafka.tables.<table>.topic_name.")
        }
        CatalogError::OtherTopic { .. } | CatalogError::FewerPartitions { .. } => {
            halt(OTHER_TOPIC_REMEDY)
        }
        CatalogError::HeldBack {
            topic,
            partition,
            offset,
        } => Verdict::Halt(format!(
            "{HELD_BACK_REMEDY} kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {topic} --partition {partition} --start-offset {offset}"
        )),
        CatalogError::Batch(_) => halt("Lower limits.batch_bytes_max."),
    }
}

fn registry(error: &RegistryError) -> Verdict {
    match error.kind {
        RegistryErrorKind::Unreachable | RegistryErrorKind::Other => Verdict::Restart,
        RegistryErrorKind::Authentication => Verdict::Credentials(
            "Check registry.user and its password, and the account's rights to read and register subjects.".to_owned(),
        ),
        RegistryErrorKind::Incompatible => halt(
            "The registry's own rule refuses the schema. Set the subject's compatibility to BACKWARD, or give the table another topic with kafka.tables.<table>.topic_name.",
        ),
        RegistryErrorKind::Invalid => halt(
            "The registry refuses the request itself: make sure that registry.url is that of a Confluent-compatible API.",
        ),
    }
}

fn start(error: &StartError) -> Verdict {
    match error {
        StartError::NoBinlog => halt(
            "Start the server with log_bin (and a server_id), or choose one that writes a binlog.",
        ),
        StartError::Format(_) => halt(
            "Run SET GLOBAL binlog_format=ROW on the server, put it into its configuration, and let clients reconnect.",
        ),
        StartError::UnknownDatabase(_) => halt(
            "Mend select in the configuration, create the database, or grant the account SELECT on it.",
        ),
        StartError::NoGtids => {
            halt("Name a file and an offset in source.start, or set gtid_mode=ON on the server.")
        }
        StartError::FutureStart(_) | StartError::OtherGtids { .. } => {
            halt("Mend source.start in the configuration.")
        }
        StartError::BegunAnew { .. }
        | StartError::AfterTheEnd { .. }
        | StartError::OtherHistory { .. } => halt(
            "The binlog that was followed is gone (RESET, a restore, or a crash that cost its end). Compare the tables with what was published. To go on, run `binlog-bridge offsets set oldest` for all that the server has, even if published before, or `newest`; consumers find a GAP record in the transactions topic.",
        ),
        StartError::BeyondRequest(_) => halt(
            "The server writes such files only for transactions of that size. Give up what is left of the file: run FLUSH BINARY LOGS on the server, then `binlog-bridge offsets set newest`.",
        ),
        StartError::Position(_) => halt("Report this with the server's version."),
        StartError::Purged { .. } => halt(PURGED_REMEDY),
        StartError::LostTransactions { .. } => halt(
            "The server lost transactions, or is another one: make sure that source.host is the right server. To follow this one as it is, run `binlog-bridge offsets set oldest` for all that it has, even if published before, or `newest`; consumers find a GAP record in the transactions topic.",
        ),
        StartError::OtherServer { .. } => halt(
            "Point source.host at the server that was followed before. To follow this one, run `binlog-bridge offsets set oldest` for all that it has, even if published before, or `newest`; consumers find a GAP record in the transactions topic.",
        ),
        StartError::GtidMode { .. } => halt(
            "Set gtid_mode as it was, or run `binlog-bridge offsets set newest` while nothing is written to the tables; consumers find a GAP record in the transactions topic.",
        ),
        StartError::NothingPublished => halt(
            "Choose where it begins with source.start in the configuration, and start it with `binlog-bridge run`.",
        ),
        StartError::NothingMissing => halt(
            "Start the task with `binlog-bridge run`, or pass over what follows with `offsets set newest`.",
        ),
        StartError::StateLost { .. } => halt(
            "Restore the state topic. To start anew, delete the task's data topics too; without them it begins at source.start.",
        ),
        StartError::NoCheckpoint { .. } => halt(
            "If the topic is of something else, choose another task name. If it is of this task, its state topic was deleted or emptied: restore it, or delete the task's data topics too to start anew.",
        ),
    }
}
