//! `schemas`: what a registry must have where the connector only looks schemas up.

use binlog_bridge_core::avro::{
    HEARTBEATS_KEY, HEARTBEATS_VALUE, SCHEMA_CHANGES_KEY, SCHEMA_CHANGES_VALUE, SchemaNames,
    TRANSACTIONS_KEY, TRANSACTIONS_VALUE, TopicNames, key_schema, value_schema,
};
use binlog_bridge_core::schema::{DefinitionError, Dialect, TableDefinition};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::value::ColumnType;
use serde_json::{Value, json};

use super::run::{connections, failure};
use super::{ConfigFile, EXIT_REFUSED, Failure, print_line};
use crate::catalog::{CatalogError, TableRules};
use crate::config::Config;
use crate::error::{Error, Verdict};
use crate::source::{Dump, Survey};

/// The arguments of `schemas`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Print the schema for rows that come without some columns, though binlog_row_image is FULL now: of a table that had such
    /// rows, as those of it are published by that schema from then on
    #[arg(long, value_name = "DATABASE.TABLE")]
    widened: Vec<String>,
}

/// Prints the schemas of the task's own topics, then those of each selected table as the server describes it now. Reads
/// only: Kafka and the registry are not asked.
pub(super) async fn schemas(arguments: &Arguments) -> Result<(), Failure> {
    let config = super::load(&arguments.config.path)?;
    let names = TopicNames::new(&config.task);
    let mut own = vec![(names.transactions(), TRANSACTIONS_KEY, TRANSACTIONS_VALUE)];
    if config.schema_updates {
        own.push((
            names.schema_changes(),
            SCHEMA_CHANGES_KEY,
            SCHEMA_CHANGES_VALUE,
        ));
    }
    if config.heartbeat_interval.is_some() {
        own.push((names.heartbeats(), HEARTBEATS_KEY, HEARTBEATS_VALUE));
    }
    for (topic, key, value) in own {
        let parsed = |text| serde_json::from_str::<Value>(text).map_err(Failure::other);
        print(&format!("{topic}-key"), &parsed(key)?)?;
        print(&format!("{topic}-value"), &parsed(value)?)?;
    }
    if config.data_updates {
        tables(&config, &names, &arguments.widened).await?;
    }
    Ok(())
}

async fn tables(config: &Config, names: &TopicNames, widened: &[String]) -> Result<(), Failure> {
    let mut dump = (connections(config)?.dump)();
    let survey = dump.survey().await.map_err(failed)?;
    let rules = config.rules.on(&survey);
    let (selection, topics) = match survey.lower_case_names {
        true => (
            config.selection.in_lower_case(),
            config.topics.in_lower_case(),
        ),
        false => (config.selection.clone(), config.topics.clone()),
    };
    let databases = survey.databases.iter();
    let databases: Vec<String> = databases
        .filter(|database| selection.may_select_in(database))
        .cloned()
        .collect();
    let mut selected = dump.tables(&databases).await.map_err(failed)?;
    selected.retain(|table| selection.selects(table));
    selected.sort();
    let widened = named(widened, &selected)?;
    for table in selected {
        let Some(description) = dump.describe(&table).await.map_err(failed)? else {
            continue;
        };
        let dialect = Dialect::of_version(&survey.version);
        let definition =
            TableDefinition::of_description(table.clone(), &description.table, dialect)
                .map_err(|error| failed(CatalogError::from(error)))?;
        let topic = topics.topic_of(names, &table, 0);
        let topic = topic.ok_or_else(|| {
            Failure::other(format!(
                "the name of the topic for {table} would be longer than Kafka takes"
            ))
        })?;
        let names = SchemaNames::new(&config.task, &table);
        for definition in published(&definition, &rules, &survey)? {
            if let Some(key) = key_schema(&names, &definition) {
                print(&format!("{topic}-key"), &key)?;
            }
            let is_widened = rules.begins_widened || widened.contains(&table);
            let value = value_schema(&names, &definition, is_widened).map_err(Failure::other)?;
            print(&format!("{topic}-value"), &value)?;
        }
    }
    Ok(())
}

/// Those of the tables that were named.
fn named(names: &[String], tables: &[TableName]) -> Result<Vec<TableName>, Failure> {
    let of_name = |name: &String| {
        let table = tables.iter().find(|table| table.to_string() == *name);
        table.cloned().ok_or_else(|| {
            Failure::other(format!("--widened names no table that is selected: {name}"))
        })
    };
    names.iter().map(of_name).collect()
}

/// What a table may be published as: without what only the server's description says of it, if rows can be read without
/// that (those of a backlog, [`Definitions::declare`](crate::definitions::Definitions::declare)), and with it.
fn published(
    definition: &TableDefinition,
    rules: &TableRules,
    survey: &Survey,
) -> Result<Vec<TableDefinition>, Failure> {
    let wrong = |error: DefinitionError| failed(CatalogError::from(error));
    let whole = rules.shown(definition).map_err(wrong)?;
    let metadata = survey.binlog_row_metadata.as_deref();
    if !metadata.is_some_and(|metadata| metadata.eq_ignore_ascii_case("FULL")) {
        return Ok(vec![whole]);
    }
    for column in &whole.columns {
        if let ColumnType::Members(members) = &column.column_type
            && let Some(member) = members.lost()
        {
            let (table, column) = (&definition.name, &column.name);
            tracing::warn!(%table, column, member, "the server may not show the member as the binlog has it: then rows have another schema than this one");
        }
    }
    match rules.shown(&definition.without_declarations()) {
        Ok(bare) => Ok(vec![bare, whole]),
        // Rows halt where a width that decides is not known.
        Err(DefinitionError::Width { .. }) => Ok(vec![whole]),
        Err(error) => Err(wrong(error)),
    }
}

fn print(subject: &str, schema: &Value) -> Result<(), Failure> {
    let line = json!({"subject": subject, "schemaType": "AVRO", "schema": schema.to_string()});
    match print_line(&line.to_string()) {
        true => Ok(()),
        false => Err(Failure::other("nobody reads the output")),
    }
}

fn failed(error: impl Into<Error>) -> Failure {
    let error = error.into();
    let remedy = match error.verdict() {
        Verdict::Halt(remedy) | Verdict::Credentials(remedy) => remedy,
        Verdict::Restart => "Run the command again once the server answers.".to_owned(),
    };
    failure(&error, remedy, EXIT_REFUSED)
}
