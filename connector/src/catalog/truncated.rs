//! What a TRUNCATE is published with: it comes without a table map, perhaps before any row of a run.

use std::sync::Arc;

use binlog_bridge_core::avro::SchemaNames;
use binlog_bridge_core::encode::{Batch, Destination, TablePlan, TopicPartition};
use binlog_bridge_core::schema::TableDefinition;
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::state::TableState;

use super::{Catalog, CatalogError};
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::sink::transactor::Transactor;
use crate::subjects::reads_as;

impl<R: Registry> Catalog<R> {
    /// The plan that a TRUNCATE is published with; `None` if consumers of the table's topic have seen nothing of it.
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
        if let Some(plan) = self.truncations.get(table) {
            return Ok(Some(Arc::clone(plan)));
        }
        let Some(stored) = self.stored.get(table).cloned() else {
            return Ok(None);
        };
        let topic = self.claim_topic(table, stored.topic_version)?;
        if !self.topics.contains_key(&topic) {
            return Ok(None);
        }
        let plan = match self.last_schema(&stored).await? {
            Some(id) => {
                self.without_rows(&stored, topic, id, transactor, into)
                    .await?
            }
            None => self.plan(stored, transactor, into).await?,
        };
        self.truncations.insert(table.clone(), Arc::clone(&plan));
        Ok(Some(plan))
    }

    /// The id of the schema that values were published with last, if it is known, and the registry has it still.
    async fn last_schema(&self, stored: &TableState) -> Result<Option<u32>, CatalogError> {
        let Some(id) = stored.value_schema_id else {
            return Ok(None);
        };
        let names = SchemaNames::new(&self.task, &stored.definition.name);
        let record = format!("{}.Envelope", names.namespace);
        let is_there = reads_as(&*self.registry, id, &record).await?;
        Ok(is_there.then_some(id))
    }

    /// A plan for records without rows. Each schema of the table reads them alike, so that the last one that was used does:
    /// what a statement has made of the table since, and what rules make of it now, only its next row can tell.
    async fn without_rows<L: Log>(
        &mut self,
        stored: &TableState,
        topic: String,
        value_schema_id: u32,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<Arc<TablePlan>, CatalogError> {
        let name = &stored.definition.name;
        let partitions = self.settings.partitions_of(name);
        let partitions = self.topic(&topic, partitions, transactor, into).await?;
        let destination = Destination {
            topic,
            partitions,
            key_schema_id: None,
            value_schema_id,
        };
        let without_columns = TableDefinition {
            name: name.clone(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            message_key: Vec::new(),
            packing: String::new(),
        };
        let plan = TablePlan::new(&without_columns, stored.widened, &destination)?;
        Ok(Arc::new(plan))
    }
}
