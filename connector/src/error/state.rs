//! Names of the states that a task stops in: short and stable, for logs, alerts and the marks of gaps.

use binlog_bridge_core::decode::DecodeErrorKind;

use super::{Error, is_elsewhere, is_purged};
use crate::catalog::CatalogError;
use crate::sink::log::LogErrorKind;
use crate::sink::transactor::SinkError;
use crate::source::SourceError;
use crate::start::StartError;
use crate::subjects::SubjectError;

impl Error {
    /// The name of the state that a task is in because of the error, such as `position-purged`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Self::Source(error) => source(error),
            Self::Decode(error) => match error.kind {
                DecodeErrorKind::Incident => "source-lost-changes",
                _ => "event-unreadable",
            },
            Self::Definition { .. } => "definition-unproven",
            Self::Rows { .. } => "event-unreadable",
            Self::Encode(_) => "row-unreadable",
            Self::NotPublishable { .. } => "not-publishable",
            Self::StatementFormat { .. } => "statement-format",
            Self::Split(_) => "split-rest-missing",
            Self::PublishedAndRolledBack { .. } => "published-and-rolled-back",
            Self::Sink(error) => sink(error),
            Self::Catalog(error) => catalog(error),
            Self::Start(error) => start(error),
            Self::Stopped => "stopped",
            Self::TakenBack(_) => "taken-back",
            Self::Modified => "modified",
            Self::FencedByNobody => "fenced-by-nobody",
        }
    }
}

fn source(error: &SourceError) -> &'static str {
    match error {
        SourceError::Server { code, message } if is_purged(*code, message) => "position-purged",
        SourceError::Server { code, message } if is_elsewhere(*code, message) => {
            "position-after-the-end"
        }
        SourceError::AccessDenied { .. } => "source-access-denied",
        SourceError::Tls { .. } => "source-tls",
        SourceError::OtherServer { .. } => "source-changes",
        SourceError::Server { .. }
        | SourceError::Unreachable { .. }
        | SourceError::Timeout { .. }
        | SourceError::Protocol { .. } => "source-unreachable",
    }
}

fn sink(error: &SinkError) -> &'static str {
    match error {
        SinkError::Log(error) => log(error.kind),
        SinkError::NotCommitted => "commit-not-made",
        SinkError::HangingTransaction { .. } => "transaction-hanging",
        SinkError::TakenOver { .. } => "taken-over",
        SinkError::CameBack { .. } => "taking-over",
        SinkError::Borrowed { .. } => "state-borrowed",
        SinkError::State(_) => "state-unreadable",
        SinkError::StateCut { .. } => "state-cut",
        SinkError::TopicMissing { .. } => "topic-missing",
        SinkError::TopicReplaced { .. } => "topic-replaced",
        SinkError::Batch(_) => "batch-too-large",
    }
}

fn log(kind: LogErrorKind) -> &'static str {
    match kind {
        LogErrorKind::Authentication => "kafka-authentication",
        LogErrorKind::Authorization => "kafka-right-missing",
        LogErrorKind::UnknownTopic => "topic-missing",
        LogErrorKind::TooLarge => "record-too-large",
        LogErrorKind::InvalidRecord => "record-refused",
        LogErrorKind::Configuration => "kafka-configuration",
        LogErrorKind::Fenced
        | LogErrorKind::Fatal
        | LogErrorKind::Abortable
        | LogErrorKind::Unreachable
        | LogErrorKind::Other => "kafka-unreachable",
    }
}

fn catalog(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Log(error) => log(error.kind),
        CatalogError::HeldBack { .. } => "transaction-hanging",
        CatalogError::Subject(SubjectError::Registry(_)) => "registry",
        CatalogError::Subject(SubjectError::Incompatible { .. }) => "schema-incompatible",
        CatalogError::Subject(SubjectError::Unreadable { .. }) => "subject-unreadable",
        CatalogError::Subject(SubjectError::NotRegistered { .. }) => "schema-not-registered",
        CatalogError::Subject(SubjectError::OtherSchema { .. }) => "schema-id-wrong",
        CatalogError::Definition(_) => "definition-unproven",
        CatalogError::Plan(_) | CatalogError::Schema { .. } => "schema-impossible",
        CatalogError::SharedTopic { .. } | CatalogError::LongName { .. } => "topic-name",
        CatalogError::OtherTopic { .. } | CatalogError::FewerPartitions { .. } => "topic-replaced",
        CatalogError::Batch(_) => "batch-too-large",
    }
}

fn start(error: &StartError) -> &'static str {
    match error {
        StartError::NoBinlog => "binlog-off",
        StartError::Format(_) => "binlog-format",
        StartError::UnknownDatabase(_) => "database-unknown",
        StartError::NoGtids | StartError::OtherGtids { .. } | StartError::FutureStart(_) => {
            "start-unknown"
        }
        StartError::BegunAnew { .. } => "binlog-begun-anew",
        StartError::OtherHistory { .. } => "binlog-of-another-history",
        StartError::AfterTheEnd { .. } => "position-after-the-end",
        StartError::BeyondRequest(_) => "position-beyond-4-gib",
        StartError::Position(_) => "source-position-unreadable",
        StartError::Purged { .. } => "position-purged",
        StartError::LostTransactions { .. } => "transactions-lost",
        StartError::OtherServer { .. } => "another-server",
        StartError::GtidMode { .. } => "gtid-mode-changed",
        StartError::NoCheckpoint { .. } | StartError::StateLost { .. } => "checkpoint-missing",
        StartError::NothingPublished => "nothing-published",
        StartError::NothingMissing => "nothing-missing",
    }
}
