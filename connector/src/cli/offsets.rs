//! `offsets`: what the state topic holds, and how a task is moved.

use std::path::Path;
use std::sync::Arc;

use binlog_bridge_core::avro::TopicNames;
use binlog_bridge_core::state::{Owner, State};
use serde_json::{Map, Value, json};

use super::run::{connections, failure, task};
use super::{ConfigFile, EXIT_HALT, Failure};
use crate::error::{Error, Verdict};
use crate::offsets::{Move, Target, look};
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
            cause: format!(
                "task {} has no state: topic {topic} does not exist",
                config.task
            ),
            remedy: Some("Start the task with `binlog-bridge run`.".to_owned()),
            exit_code: EXIT_HALT,
        });
    }
    let read = log
        .read_committed(&topic, 0)
        .await
        .map_err(Failure::other)?;
    let mut state = State::default();
    for (key, value) in &read.records {
        state.apply(key, value.as_deref()).map_err(Failure::other)?;
    }
    let state = state.checked().map_err(Failure::other)?;
    let text = serde_json::to_string_pretty(&shown(&state)).map_err(Failure::other)?;
    super::print_line(&text);
    Ok(())
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Where the task goes on
    target: TargetArgument,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TargetArgument {
    /// With the oldest that the server still has and that was not published
    Oldest,
    /// With what is written from now on
    Newest,
}

/// How often a task that is just starting may be faster.
const TRIES_MAX: u32 = 3;

/// Moves the task, and prints from where to where.
pub(super) async fn set(arguments: &SetArguments) -> Result<(), Failure> {
    let config = super::load(&arguments.config.path)?;
    let target = match arguments.target {
        TargetArgument::Oldest => Target::Oldest,
        TargetArgument::Newest => Target::Newest,
    };
    let connections = connections(&config)?;
    let mut task = task(&config);
    task.owner = Owner {
        command: Some("offsets set".to_owned()),
        ..task.owner
    };
    let new_log = || (connections.log)().map_err(Failure::other);
    if arguments.dry_run {
        let planned = look(&task, (connections.dump)(), &mut new_log()?, target).await;
        return print(&planned.map_err(failed)?, true);
    }
    let mut tries = 1;
    loop {
        let (dump, registry) = ((connections.dump)(), Arc::clone(&connections.registry));
        match crate::offsets::set(&task, dump, new_log()?, registry, target).await {
            Ok(moved) => return print(&moved, false),
            Err(error) if error.is_fenced() && tries < TRIES_MAX => {
                tracing::warn!(%error, "the task has taken its state back; trying again");
                tries += 1;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn failed(error: Error) -> Failure {
    let remedy = match error.verdict() {
        Verdict::Halt(remedy) | Verdict::Credentials(remedy) => remedy,
        Verdict::Restart => "The task is where it was. Run the command again.".to_owned(),
    };
    failure(&error, remedy, EXIT_HALT)
}

fn print(moved: &Move, dry_run: bool) -> Result<(), Failure> {
    let shown = json!({
        "dry_run": dry_run,
        "reason": moved.gap.reason,
        "from": moved.gap.from,
        "to": moved.gap.to,
        "may_repeat": moved.gap.may_repeat,
    });
    let text = serde_json::to_string_pretty(&shown).map_err(Failure::other)?;
    super::print_line(&text);
    Ok(())
}

fn shown(state: &State) -> Value {
    let tables: Map<String, Value> = state
        .tables
        .iter()
        .map(|(name, table)| (name.to_string(), json!(table)))
        .collect();
    json!({
        "checkpoint": state.checkpoint,
        "owner": state.owner,
        "tables": tables,
        "topics": state.topics,
    })
}
