//! Why a table cannot be published to its topic.

use binlog_bridge_core::encode::{ArenaFull, PlanError};
use binlog_bridge_core::schema::DefinitionError;
use binlog_bridge_core::selection::TableName;

use crate::sink::log::LogError;
use crate::subjects::SubjectError;

/// A table cannot be published to its topic.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A request to Kafka failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A schema cannot be registered.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The types that were chosen cannot be used.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The table's columns clash in Avro.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A schema cannot be built.
    #[error("the schema of {table} cannot be built")]
    Schema {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Two tables would share a topic.
    #[error("{table} and {other} would both be published to topic {topic}")]
    SharedTopic {
        /// The table at hand.
        table: TableName,
        /// The table that has the topic.
        other: TableName,
        /// The topic.
        topic: String,
    },
    /// The topic's name is too long for Kafka.
    #[error("the name of the topic for {table} would be longer than Kafka takes")]
    LongName {
        /// The table.
        table: TableName,
    },
    /// The topic was deleted, and perhaps made again.
    #[error(
        "topic {topic} is not the one that was published to: its id was {recorded} and is {found}"
    )]
    OtherTopic {
        /// The topic.
        topic: String,
        /// The id in the state.
        recorded: String,
        /// The id in the cluster.
        found: String,
    },
    /// A transaction that is over is open in a partition.
    #[error(
        "partition {partition} of topic {topic} holds records, from offset {offset} on, of a transaction that has not ended there"
    )]
    HeldBack {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The transaction's first record.
        offset: i64,
    },
    /// The topic has lost partitions.
    #[error("topic {topic} has {found} partitions; {recorded} are in use")]
    FewerPartitions {
        /// The topic.
        topic: String,
        /// Partitions in the state.
        recorded: i32,
        /// Partitions in the cluster.
        found: i32,
    },
    /// A batch is too large.
    #[error(transparent)]
    Batch(#[from] ArenaFull),
}
