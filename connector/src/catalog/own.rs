//! The topics of a task that belong to no table.

use binlog_bridge_core::avro::{
    HEARTBEATS_KEY, HEARTBEATS_VALUE, SCHEMA_CHANGES_KEY, SCHEMA_CHANGES_VALUE, TRANSACTIONS_KEY,
    TRANSACTIONS_VALUE,
};
use binlog_bridge_core::encode::{
    Batch, HeartbeatsTopic, SchemaChangesTopic, TopicPartition, TransactionsTopic,
};

use super::{Catalog, CatalogError};
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::sink::transactor::Transactor;
use crate::subjects::{SubjectError, ensure_subject, find_subject};

impl<R: Registry> Catalog<R> {
    /// Makes the topic of transaction marks.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn transactions<L: Log>(
        &mut self,
        ends: bool,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<TransactionsTopic, CatalogError> {
        let topic = self.names.transactions();
        let schemas = (TRANSACTIONS_KEY, TRANSACTIONS_VALUE);
        let (target, key_schema_id, value_schema_id) =
            self.own_topic(&topic, schemas, transactor, into).await?;
        Ok(TransactionsTopic {
            target,
            key_schema_id,
            value_schema_id,
            ends,
        })
    }

    /// Makes the topic of schema changes.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn schema_changes<L: Log>(
        &mut self,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<SchemaChangesTopic, CatalogError> {
        let topic = self.names.schema_changes();
        let schemas = (SCHEMA_CHANGES_KEY, SCHEMA_CHANGES_VALUE);
        let (target, key_schema_id, value_schema_id) =
            self.own_topic(&topic, schemas, transactor, into).await?;
        Ok(SchemaChangesTopic {
            target,
            key_schema_id,
            value_schema_id,
        })
    }

    /// Makes the topic of heartbeats.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn heartbeats<L: Log>(
        &mut self,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<HeartbeatsTopic, CatalogError> {
        let topic = self.names.heartbeats();
        let schemas = (HEARTBEATS_KEY, HEARTBEATS_VALUE);
        let (target, key_schema_id, value_schema_id) =
            self.own_topic(&topic, schemas, transactor, into).await?;
        Ok(HeartbeatsTopic {
            target,
            key_schema_id,
            value_schema_id,
        })
    }

    /// A topic of one partition that belongs to no table, and the ids of its schemas of key and value.
    async fn own_topic<L: Log>(
        &mut self,
        topic: &str,
        (key, value): (&str, &str),
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<(TopicPartition, u32, u32), CatalogError> {
        let key_schema_id = self.own_subject(&format!("{topic}-key"), key).await?;
        let value_schema_id = self.own_subject(&format!("{topic}-value"), value).await?;
        self.topic(topic, 1, transactor, into).await?;
        let target = TopicPartition {
            topic: topic.into(),
            partition: 0,
        };
        Ok((target, key_schema_id, value_schema_id))
    }

    pub(super) async fn own_subject(
        &self,
        subject: &str,
        schema: &str,
    ) -> Result<u32, SubjectError> {
        match self.rules.only_looks_up {
            true => find_subject(&*self.registry, subject, schema).await,
            false => ensure_subject(&*self.registry, subject, schema).await,
        }
    }
}
