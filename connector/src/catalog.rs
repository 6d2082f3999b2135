//! From a table's definition to where its rows go: topic, schemas, plan.
//!
//! Called for each new definition version, never for a row. What it decides is recorded in the same Kafka
//! transaction as the first rows that rely on it (I3).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use binlog_bridge_core::avro::{
    SchemaNames, TRANSACTIONS_KEY, TRANSACTIONS_VALUE, TopicNames, key_schema, value_schema,
};
use binlog_bridge_core::encode::{
    ArenaFull, Batch, Destination, PlanError, TablePlan, TopicPartition, TransactionsTopic,
};
use binlog_bridge_core::position::FileOffset;
use binlog_bridge_core::schema::{DefinitionError, Mentions, TableDefinition};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::state::{self, STATE_FORMAT, State, TableState, TopicState};
use binlog_bridge_core::value::TypeOptions;

use crate::registry::Registry;
use crate::sink::log::{Log, LogError, TopicDescription};
use crate::sink::topics::{TopicSettings, ensure_topic, find_topic, held_back};
use crate::sink::transactor::Transactor;
use crate::subjects::{SubjectError, ensure_subject};

/// The tables, topics and schemas that are in use.
#[derive(Debug)]
pub struct Catalog<R> {
    registry: Arc<R>,
    task: String,
    names: TopicNames,
    settings: TopicSettings,
    types: TypeOptions,
    /// What the state topic has, or will have with the next commit.
    topics: BTreeMap<String, TopicState>,
    stored: BTreeMap<TableName, TableState>,
    /// Tables whose plan was made in this run.
    prepared: HashMap<TableName, Prepared>,
    /// Which table a topic belongs to; keyed by the name as Kafka compares it.
    owners: BTreeMap<String, TableName>,
}

#[derive(Debug)]
struct Prepared {
    definition: TableDefinition,
    plan: Arc<TablePlan>,
}

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

impl<R: Registry> Catalog<R> {
    /// A catalog that goes on from the state.
    pub fn new(
        registry: Arc<R>,
        task: &str,
        settings: TopicSettings,
        types: TypeOptions,
        state: &State,
    ) -> Self {
        let mut owners = BTreeMap::new();
        let names = TopicNames::new(task);
        for table in state.tables.keys() {
            if let Some(topic) = settings.topic_of(&names, table) {
                owners.insert(comparable(&topic), table.clone());
            }
        }
        Self {
            registry,
            task: task.to_owned(),
            names,
            settings,
            types,
            topics: state.topics.clone(),
            stored: state.tables.clone(),
            prepared: HashMap::new(),
            owners,
        }
    }

    /// The plan of a table, if it was published in this run or an earlier one.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn known<L: Log>(
        &mut self,
        table: &TableName,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<Option<Arc<TablePlan>>, CatalogError> {
        if let Some(prepared) = self.prepared.get(table) {
            return Ok(Some(Arc::clone(&prepared.plan)));
        }
        match self.stored.get(table).cloned() {
            None => Ok(None),
            Some(stored) => Ok(Some(self.plan(stored, transactor, into).await?)),
        }
    }

    /// The types that were chosen.
    #[must_use]
    pub fn types(&self) -> &TypeOptions {
        &self.types
    }

    /// The definition of a table that was recorded, and that no statement may have changed since.
    #[must_use]
    pub fn holding(&self, table: &TableName) -> Option<&TableDefinition> {
        let stored = self.stored.get(table)?;
        let is_whole = !stored.definition.packing.is_empty();
        (stored.ended.is_none() && is_whole).then_some(&stored.definition)
    }

    /// A statement may have changed tables: records for each of them that its definition ends there.
    ///
    /// # Errors
    /// [`ArenaFull`]
    pub fn end_definitions(
        &mut self,
        mentions: &Mentions,
        at: &FileOffset,
        (target, batch): (&TopicPartition, &mut Batch),
    ) -> Result<(), ArenaFull> {
        for (table, stored) in &mut self.stored {
            if stored.ended.is_none() && mentions.may_touch(table) {
                stored.ended = Some(at.clone());
                push_json(batch, target, &state::table_key(table), stored)?;
            }
        }
        Ok(())
    }

    /// Makes the plan for a definition: topic and schemas exist on return, and what was decided is in the batch.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn prepare<L: Log>(
        &mut self,
        definition: &TableDefinition,
        holds_from: &FileOffset,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<Arc<TablePlan>, CatalogError> {
        let stored = self.stored.get(&definition.name);
        let state = TableState {
            format: STATE_FORMAT,
            definition: definition.clone(),
            holds_from: holds_from.clone(),
            widened: stored.is_some_and(|stored| stored.widened),
            ended: None,
        };
        self.plan(state, transactor, into).await
    }

    /// Makes the plan of a table anew, whose rows come with images that lack columns; it stays so.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub async fn widen<L: Log>(
        &mut self,
        table: &TableName,
        transactor: &mut Transactor<L>,
        into: (&TopicPartition, &mut Batch),
    ) -> Result<Option<Arc<TablePlan>>, CatalogError> {
        let Some(stored) = self.stored.get(table).cloned() else {
            return Ok(None);
        };
        tracing::info!(%table, "its rows come without some columns: all but the key may be null from here on");
        let widened = TableState {
            widened: true,
            ..stored
        };
        Ok(Some(self.plan(widened, transactor, into).await?))
    }

    /// Makes a plan, and records the state that it is made from as it is: a definition that has ended stays ended.
    async fn plan<L: Log>(
        &mut self,
        state: TableState,
        transactor: &mut Transactor<L>,
        (target, batch): (&TopicPartition, &mut Batch),
    ) -> Result<Arc<TablePlan>, CatalogError> {
        let (definition, is_widened) = (&state.definition, state.widened);
        if let Some(prepared) = self.prepared.get(&definition.name)
            && prepared.definition == *definition
            && prepared.plan.is_widened() == is_widened
        {
            let plan = Arc::clone(&prepared.plan);
            self.record(state, target, batch)?;
            return Ok(plan);
        }
        let shown = definition.shown(&self.types)?;
        // Before anything is registered.
        TablePlan::check_names(&shown)?;
        let topic = self.claim_topic(&definition.name)?;
        let (key_schema_id, value_schema_id) = self.register(&shown, is_widened, &topic).await?;
        let partitions = self.settings.partitions_of(&definition.name);
        let partitions = self
            .topic(&topic, partitions, transactor, (target, &mut *batch))
            .await?;
        let destination = Destination {
            topic,
            partitions,
            key_schema_id,
            value_schema_id,
        };
        let plan = Arc::new(TablePlan::new(&shown, is_widened, &destination)?);
        tracing::info!(table = %definition.name, topic = destination.topic, value_schema_id, "table prepared");
        let prepared = Prepared {
            definition: definition.clone(),
            plan: Arc::clone(&plan),
        };
        self.prepared.insert(definition.name.clone(), prepared);
        self.record(state, target, batch)?;
        Ok(plan)
    }

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
        let (key, value) = (format!("{topic}-key"), format!("{topic}-value"));
        let key_schema_id = ensure_subject(&*self.registry, &key, TRANSACTIONS_KEY).await?;
        let value_schema_id = ensure_subject(&*self.registry, &value, TRANSACTIONS_VALUE).await?;
        self.topic(&topic, 1, transactor, into).await?;
        let target = TopicPartition {
            topic: topic.as_str().into(),
            partition: 0,
        };
        Ok(TransactionsTopic {
            target,
            key_schema_id,
            value_schema_id,
            ends,
        })
    }

    fn claim_topic(&mut self, table: &TableName) -> Result<String, CatalogError> {
        let topic =
            self.settings
                .topic_of(&self.names, table)
                .ok_or_else(|| CatalogError::LongName {
                    table: table.clone(),
                })?;
        match self.owners.get(&comparable(&topic)) {
            Some(other) if other != table => Err(CatalogError::SharedTopic {
                table: table.clone(),
                other: other.clone(),
                topic,
            }),
            Some(_) => Ok(topic),
            None => {
                self.owners.insert(comparable(&topic), table.clone());
                Ok(topic)
            }
        }
    }

    /// Refuses tables that would share a topic.
    ///
    /// # Errors
    /// [`CatalogError::SharedTopic`]
    pub fn refuse_shared_topics(&self, tables: &[TableName]) -> Result<(), CatalogError> {
        let mut owners: BTreeMap<String, &TableName> = BTreeMap::new();
        for table in tables {
            let Some(topic) = self.settings.topic_of(&self.names, table) else {
                continue;
            };
            if let Some(other) = owners.insert(comparable(&topic), table) {
                return Err(CatalogError::SharedTopic {
                    table: table.clone(),
                    other: other.clone(),
                    topic,
                });
            }
        }
        Ok(())
    }

    async fn register(
        &self,
        definition: &TableDefinition,
        is_widened: bool,
        topic: &str,
    ) -> Result<(Option<u32>, u32), CatalogError> {
        let names = SchemaNames::new(&self.task, &definition.name);
        let value = value_schema(&names, definition, is_widened).map_err(|source| {
            CatalogError::Schema {
                table: definition.name.clone(),
                source,
            }
        })?;
        let key_id = match key_schema(&names, definition) {
            None => None,
            Some(key) => {
                let subject = format!("{topic}-key");
                Some(ensure_subject(&*self.registry, &subject, &key.to_string()).await?)
            }
        };
        let subject = format!("{topic}-value");
        let value_id = ensure_subject(&*self.registry, &subject, &value.to_string()).await?;
        Ok((key_id, value_id))
    }

    /// Makes or checks a topic, and returns the number of partitions in use.
    async fn topic<L: Log>(
        &mut self,
        topic: &str,
        partitions: i32,
        transactor: &mut Transactor<L>,
        (target, batch): (&TopicPartition, &mut Batch),
    ) -> Result<i32, CatalogError> {
        if let Some(recorded) = self.topics.get(topic) {
            let found = find_topic(transactor.log(), topic).await?;
            let partitions = check_topic(topic, recorded, found)?;
            refuse_held_back(topic, partitions, &self.settings, transactor).await?;
            transactor.watch(topic, &recorded.topic_id);
            return Ok(partitions);
        }
        let found = {
            let new = self.settings.data_topic(topic, partitions);
            ensure_topic(transactor.log(), &self.settings, new).await?
        };
        refuse_held_back(topic, found.partitions, &self.settings, transactor).await?;
        transactor.watch(topic, &found.id);
        let state = TopicState {
            topic_id: found.id,
            partitions: found.partitions,
        };
        push_json(batch, target, &state::topic_key(topic), &state)?;
        self.topics.insert(topic.to_owned(), state);
        Ok(found.partitions)
    }

    fn record(
        &mut self,
        state: TableState,
        target: &TopicPartition,
        batch: &mut Batch,
    ) -> Result<(), CatalogError> {
        let name = &state.definition.name;
        if self.stored.get(name).is_some_and(|stored| {
            (&stored.definition, stored.widened, &stored.ended)
                == (&state.definition, state.widened, &state.ended)
        }) {
            return Ok(());
        }
        push_json(batch, target, &state::table_key(name), &state)?;
        self.stored.insert(name.clone(), state);
        Ok(())
    }
}

/// Kafka refuses a topic whose name differs from another's only in `.` and `_`.
fn comparable(topic: &str) -> String {
    topic.replace('.', "_")
}

/// Before the first record of the run goes there; later its own transaction may be open there.
async fn refuse_held_back<L: Log>(
    topic: &str,
    partitions: i32,
    settings: &TopicSettings,
    transactor: &mut Transactor<L>,
) -> Result<(), CatalogError> {
    if transactor.is_watched(topic) {
        return Ok(());
    }
    let timeout = settings.transaction_timeout;
    match held_back(transactor.log(), topic, partitions, timeout).await? {
        None => Ok(()),
        Some((partition, offset)) if settings.publish_held_back => {
            tracing::warn!(
                topic,
                partition,
                offset,
                "what a transaction that is over has left will be published"
            );
            Ok(())
        }
        Some((partition, offset)) => Err(CatalogError::HeldBack {
            topic: topic.to_owned(),
            partition,
            offset,
        }),
    }
}

/// A topic that was published to must still be that topic.
fn check_topic(
    topic: &str,
    recorded: &TopicState,
    found: Option<TopicDescription>,
) -> Result<i32, CatalogError> {
    let found = found.unwrap_or(TopicDescription {
        id: "none".to_owned(),
        partitions: 0,
    });
    if found.id != recorded.topic_id {
        return Err(CatalogError::OtherTopic {
            topic: topic.to_owned(),
            recorded: recorded.topic_id.clone(),
            found: found.id,
        });
    }
    if found.partitions < recorded.partitions {
        return Err(CatalogError::FewerPartitions {
            topic: topic.to_owned(),
            recorded: recorded.partitions,
            found: found.partitions,
        });
    }
    if found.partitions > recorded.partitions {
        let (in_use, there) = (recorded.partitions, found.partitions);
        tracing::warn!(
            topic,
            in_use,
            there,
            "partitions were added; keys keep to those in use"
        );
    }
    Ok(recorded.partitions)
}

/// Appends a record of the state to the batch.
///
/// # Errors
/// [`ArenaFull`]
pub fn push_json<T: serde::Serialize>(
    batch: &mut Batch,
    target: &TopicPartition,
    key: &str,
    value: &T,
) -> Result<(), ArenaFull> {
    let value = serde_json::to_vec(value).expect("records of the state are plain JSON");
    batch.push(target, Some(key.as_bytes()), Some(&value))
}
