//! What a TRUNCATE is published with: it comes without a table map, perhaps before any row of a run.

use std::sync::Arc;

use binlog_bridge_core::encode::{Batch, Destination, TablePlan, TopicPartition};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::state::TableState;

use super::{Catalog, CatalogError};
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::sink::transactor::Transactor;
use crate::subjects::SubjectError;

impl<R: Registry> Catalog<R> {
    /// The plan that a TRUNCATE is published with, if consumers have seen anything of the table.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn truncated<L: Log>(
        &mut self,
        table: &TableName,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<Option<Arc<TablePlan>>, CatalogError> {
        if let Some(prepared) = self.prepared.get(table) {
            return Ok(Some(Arc::clone(&prepared.plan)));
        }
        let Some(stored) = self.stored.get(table).cloned() else {
            return Ok(None);
        };
        // No row is of a definition that has ended: what the rules do not fit there, they may fit in the next.
        match stored.ended.is_some() && self.rules.shown(&stored.definition).is_err() {
            true => self.without_rows(&stored, transactor, into).await,
            false => self.plan(stored, transactor, into).await.map(Some),
        }
    }

    /// A plan for records without rows: they are read alike by each schema of the table's topic, so that the newest does.
    async fn without_rows<L: Log>(
        &mut self,
        stored: &TableState,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<Option<Arc<TablePlan>>, CatalogError> {
        let definition = &stored.definition;
        let topic = self.claim_topic(&definition.name, stored.topic_version)?;
        if !self.topics.contains_key(&topic) {
            return Ok(None);
        }
        let subject = format!("{topic}-value");
        let newest = self.registry.latest(&subject).await;
        let newest = newest.map_err(SubjectError::Registry)?;
        let value_schema_id = match newest {
            Some(newest) => newest.id,
            None => return Err(SubjectError::NotRegistered { subject }.into()),
        };
        let partitions = self.settings.partitions_of(&definition.name);
        let partitions = self.topic(&topic, partitions, transactor, into).await?;
        let destination = Destination {
            topic,
            partitions,
            key_schema_id: None,
            value_schema_id,
        };
        let plan = TablePlan::new(definition, stored.widened, &destination)?;
        Ok(Some(Arc::new(plan)))
    }
}
