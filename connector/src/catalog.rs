//! From a table's definition to where its rows go: topic, schemas, plan.
//!
//! Called for each new definition version, never for a row. What it decides is recorded in the same Kafka
//! transaction as the first rows that rely on it (I3).

mod error;
mod own;
mod rules;
mod truncated;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use binlog_bridge_core::avro::{SchemaNames, TopicNames, key_schema, value_schema};
use binlog_bridge_core::encode::{ArenaFull, Batch, Destination, TablePlan, TopicPartition};
use binlog_bridge_core::position::FileOffset;
use binlog_bridge_core::schema::{Mentions, TableDefinition, TablesByWord};
use binlog_bridge_core::selection::{Selection, TableName};
use binlog_bridge_core::state::{self, STATE_FORMAT, State, TableState, TopicState};
use binlog_bridge_core::value::TypeOptions;

pub use self::error::CatalogError;
pub use self::rules::TableRules;
use crate::registry::Registry;
use crate::sink::log::{Log, TopicDescription};
use crate::sink::topics::{Pace, TopicSettings, ensure_topic, find_topic, held_back};
use crate::sink::transactor::Transactor;
use crate::subjects::{Incompatible, SubjectError, check_again, register_regardless};

/// The tables, topics and schemas that are in use.
#[derive(Debug)]
pub struct Catalog<R> {
    registry: Arc<R>,
    task: String,
    names: TopicNames,
    settings: TopicSettings,
    rules: TableRules,
    /// What the state topic has, or will have with the next commit.
    topics: BTreeMap<String, TopicState>,
    stored: BTreeMap<TableName, TableState>,
    /// Those of them whose definition has not ended.
    holding: TablesByWord,
    /// Tables whose plan was made in this run.
    prepared: HashMap<TableName, Prepared>,
    /// Plans for a TRUNCATE of tables that no row of this run was of.
    truncations: HashMap<TableName, Arc<TablePlan>>,
    /// Which table a topic belongs to; keyed by the name as Kafka compares it.
    owners: BTreeMap<String, TableName>,
    /// Partitions that were added to topics and are not written to.
    unused_partitions: BTreeMap<String, i32>,
    pace: Pace,
}

#[derive(Debug)]
struct Prepared {
    definition: TableDefinition,
    plan: Arc<TablePlan>,
    value_schema_id: u32,
}

impl<R: Registry> Catalog<R> {
    /// A catalog that goes on from the state.
    pub fn new(
        registry: Arc<R>,
        task: &str,
        settings: TopicSettings,
        rules: TableRules,
        state: &State,
    ) -> Self {
        let mut owners = BTreeMap::new();
        let mut holding = TablesByWord::default();
        let names = TopicNames::new(task);
        for (table, stored) in &state.tables {
            if stored.ended.is_none() {
                holding.insert(table.clone());
            }
            if let Some(topic) = settings.topic_of(&names, table, stored.topic_version) {
                owners.insert(comparable(&topic), table.clone());
            }
        }
        Self {
            registry,
            task: task.to_owned(),
            names,
            settings,
            rules,
            topics: state.topics.clone(),
            stored: state.tables.clone(),
            holding,
            prepared: HashMap::new(),
            truncations: HashMap::new(),
            owners,
            unused_partitions: BTreeMap::new(),
            pace: Pace::default(),
        }
    }

    /// Partitions that were added to topics of this run, and are not written to.
    #[must_use]
    pub fn unused_partitions(&self) -> i32 {
        self.unused_partitions.values().sum()
    }

    /// The types that were chosen.
    #[must_use]
    pub fn types(&self) -> &TypeOptions {
        &self.rules.types
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
        for table in self.holding.take_touched(mentions) {
            if let Some(stored) = self.stored.get_mut(&table) {
                stored.ended = Some(at.clone());
                push_json(batch, target, &state::table_key(&table), stored)?;
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
            widened: self.rules.begins_widened || stored.is_some_and(|stored| stored.widened),
            ended: None,
            topic_version: stored.map_or(0, |stored| stored.topic_version),
            value_schema_id: None,
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
        mut state: TableState,
        transactor: &mut Transactor<L>,
        (target, batch): (&TopicPartition, &mut Batch),
    ) -> Result<Arc<TablePlan>, CatalogError> {
        let (definition, is_widened) = (&state.definition, state.widened);
        if let Some(prepared) = self.prepared.get(&definition.name)
            && prepared.definition == *definition
            && prepared.plan.is_widened() == is_widened
        {
            let plan = Arc::clone(&prepared.plan);
            state.value_schema_id = Some(prepared.value_schema_id);
            self.record(state, target, batch)?;
            return Ok(plan);
        }
        let shown = self.rules.shown(definition)?;
        self.rules.warn_of_columns_that_are_not_there(definition);
        // Before anything is registered.
        TablePlan::check_names(&shown)?;
        let (topic, (key_schema_id, value_schema_id)) = loop {
            let topic = self.claim_topic(&definition.name, state.topic_version)?;
            match self.register(&shown, is_widened, &topic).await {
                Err(CatalogError::Subject(SubjectError::Incompatible { cause, .. }))
                    if self.rules.incompatible == Incompatible::NewTopic =>
                {
                    tracing::warn!(
                        topic,
                        cause,
                        "readers could not follow: the table goes on in another topic"
                    );
                    state.topic_version += 1;
                }
                registered => break (topic, registered?),
            }
        };
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
            value_schema_id,
        };
        state.value_schema_id = Some(value_schema_id);
        self.prepared.insert(definition.name.clone(), prepared);
        self.record(state, target, batch)?;
        Ok(plan)
    }

    fn claim_topic(&mut self, table: &TableName, version: u32) -> Result<String, CatalogError> {
        let topic = self
            .settings
            .topic_of(&self.names, table, version)
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

    /// Refuses rules that what is known of the tables shows to be none for them.
    ///
    /// # Errors
    /// [`CatalogError::Definition`]
    pub fn refuse_wrong_rules(&self, selection: &Selection) -> Result<(), CatalogError> {
        // What a statement may have changed since is not known.
        let holding = self.stored.values().filter(|stored| stored.ended.is_none());
        let known = holding.map(|stored| &stored.definition);
        for definition in known.filter(|definition| selection.selects(&definition.name)) {
            self.rules.shown(definition)?;
        }
        Ok(())
    }

    /// Refuses tables that would share a topic.
    ///
    /// # Errors
    /// [`CatalogError::SharedTopic`]
    pub fn refuse_shared_topics(&self, tables: &[TableName]) -> Result<(), CatalogError> {
        let mut owners: BTreeMap<String, &TableName> = BTreeMap::new();
        for table in tables {
            let version = self
                .stored
                .get(table)
                .map_or(0, |stored| stored.topic_version);
            let Some(topic) = self.settings.topic_of(&self.names, table, version) else {
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
        let key_id = async {
            let Some(key) = key_schema(&names, definition) else {
                return Ok(None);
            };
            let subject = format!("{topic}-key");
            self.subject(&subject, &key.to_string()).await.map(Some)
        };
        let subject = format!("{topic}-value");
        let value = value.to_string();
        let value_id = self.subject(&subject, &value);
        if self.stored.contains_key(&definition.name) {
            // A value that goes with a key that is refused is not registered.
            return Ok((key_id.await?, value_id.await?));
        }
        // Neither is dropped in its middle, where the other is refused.
        let (key_id, value_id) = tokio::join!(key_id, value_id);
        Ok((key_id?, value_id?))
    }

    async fn subject(&self, subject: &str, schema: &str) -> Result<u32, SubjectError> {
        match self.own_subject(subject, schema).await {
            Err(SubjectError::Incompatible { cause, .. })
                if self.rules.incompatible == Incompatible::NewVersion =>
            {
                tracing::warn!(
                    subject,
                    cause,
                    "readers of the new schema cannot read older events"
                );
                register_regardless(&*self.registry, subject, schema).await
            }
            Ok(id) if self.rules.incompatible == Incompatible::NewVersion => {
                check_again(&*self.registry, subject).await?;
                Ok(id)
            }
            found => found,
        }
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
            let there = found.as_ref().map_or(0, |found| found.partitions);
            let partitions = check_topic(topic, recorded, found)?;
            self.unused_partitions
                .insert(topic.to_owned(), there - partitions);
            refuse_held_back(topic, partitions, &self.settings, transactor).await?;
            transactor.watch(topic, &recorded.topic_id);
            return Ok(partitions);
        }
        self.pace.wait().await;
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
            let of = |state: &TableState| {
                let TableState {
                    widened,
                    topic_version,
                    value_schema_id,
                    ..
                } = *state;
                (widened, topic_version, value_schema_id)
            };
            (&stored.definition, &stored.ended) == (&state.definition, &state.ended)
                && of(stored) == of(&state)
        }) {
            return Ok(());
        }
        push_json(batch, target, &state::table_key(name), &state)?;
        match state.ended {
            None => self.holding.insert(name.clone()),
            Some(_) => self.holding.remove(name),
        }
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
