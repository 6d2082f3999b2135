//! `offsets`: what the state topic holds.

use std::path::Path;

use binlog_bridge_core::avro::TopicNames;
use binlog_bridge_core::state::State;
use serde_json::{Map, Value, json};

use super::{EXIT_HALT, Failure};
use crate::sink::kafka::KafkaLog;
use crate::sink::log::Log;

/// Prints the committed state. Reads only: a running task is not disturbed, and no one is fenced.
pub(super) async fn show(path: &Path) -> Result<(), Failure> {
    let config = super::load(path)?;
    let topic = TopicNames::new(&config.task).state();
    let mut log = KafkaLog::new(config.kafka).map_err(Failure::other)?;
    let found = log.describe_topic(&topic).await.map_err(Failure::other)?;
    if found.is_none() {
        return Err(Failure {
            cause: format!("task {} has no state: topic {topic} does not exist", config.task),
            remedy: Some("Start the task with `binlog-bridge run`.".to_owned()),
            exit_code: EXIT_HALT,
        });
    }
    let read = log.read_committed(&topic, 0).await.map_err(Failure::other)?;
    let mut state = State::default();
    for (key, value) in &read.records {
        state.apply(key, value.as_deref()).map_err(Failure::other)?;
    }
    let text = serde_json::to_string_pretty(&shown(&state)).map_err(Failure::other)?;
    super::print_line(&text);
    Ok(())
}

fn shown(state: &State) -> Value {
    let tables: Map<String, Value> =
        state.tables.iter().map(|(name, table)| (name.to_string(), json!(table))).collect();
    json!({
        "checkpoint": state.checkpoint,
        "owner": state.owner,
        "tables": tables,
        "topics": state.topics,
    })
}
