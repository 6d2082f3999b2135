//! `offsets set`: a task that cannot go on where it was, or must not, goes on elsewhere.
//!
//! What lies between is not published, and consumers are told so: a GAP record stands in the transactions topic, in
//! the same Kafka transaction as the new checkpoint. A task that runs meanwhile is fenced, waits until its state was
//! given back, and goes on from there.

use std::sync::Arc;

use binlog_bridge_core::avro::TopicNames;
use binlog_bridge_core::encode::{Batch, Gap, push_gap};
use binlog_bridge_core::position::Position;
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::{self, Checkpoint, State, TableState};

use crate::catalog::{Catalog, push_json};
use crate::error::Error;
use crate::lineage::verify;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::sink::transactor::{Mark, SinkError, Transactor};
use crate::source::{Dump, Survey};
use crate::start::{
    Start, StartError, check_lineage, check_server, first_position, lineage, placed,
};
use crate::supervise::Task;

/// Where a task is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// With the oldest that the server still has and that was not published.
    Oldest,
    /// With what is written from now on.
    Newest,
}

/// A move of a task from one position to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// What is told to consumers.
    pub gap: Gap,
    /// The new checkpoint.
    pub checkpoint: Checkpoint,
    /// Definitions that hold no more: what happened to their tables in the gap is unknown.
    ended: Vec<TableState>,
}

impl Move {
    /// What proves that it was made.
    fn mark(&self) -> Mark {
        Mark {
            key: state::checkpoint_key(),
            value: serde_json::to_vec(&self.checkpoint).expect("a checkpoint is plain JSON"),
        }
    }
}

/// What a move would be, without making it. Reads only; nobody is fenced.
///
/// # Errors
/// [`Error`]
pub async fn look<D: Dump, L: Log>(
    task: &Task,
    mut dump: D,
    log: &mut L,
    target: Target,
) -> Result<Move, Error> {
    let topic = TopicNames::new(&task.name).state();
    let mut found = State::default();
    if log.describe_topic(&topic).await?.is_some() {
        for (key, value) in &log.read_committed(&topic, 0).await?.records {
            found
                .apply(key, value.as_deref())
                .map_err(SinkError::State)?;
        }
    }
    let found = found.checked().map_err(SinkError::State)?;
    plan(&mut dump, task, &found, target).await
}

/// Moves the task.
///
/// # Errors
/// [`Error`]; then the task is where it was.
pub async fn set<D: Dump, L: Log, R: Registry>(
    task: &Task,
    mut dump: D,
    mut log: L,
    registry: Arc<R>,
    target: Target,
) -> Result<Move, Error> {
    let names = TopicNames::new(&task.name);
    if log.describe_topic(&names.state()).await?.is_none() {
        return Err(StartError::NothingPublished.into());
    }
    let (mut transactor, found) = Transactor::borrow(log, &names.state(), &task.owner).await?;
    let moved = match plan(&mut dump, task, &found, target).await {
        Ok(moved) => match publish(task, &mut transactor, registry, &found, &moved).await {
            // The task has taken its state back, perhaps only after that.
            Err(error) if is_followed(&error) && was_made(&mut transactor, &moved).await => {
                Ok(moved)
            }
            published => published.map(|()| moved),
        },
        Err(error) => Err(error),
    };
    if moved.is_err() {
        // Whoever waits for it need not wait for the time-out.
        give_back(transactor).await;
    }
    moved
}

/// Decides on the move.
async fn plan<D: Dump>(
    dump: &mut D,
    task: &Task,
    found: &State,
    target: Target,
) -> Result<Move, Error> {
    let Some(checkpoint) = &found.checkpoint else {
        return Err(StartError::NothingPublished.into());
    };
    let survey = dump.survey().await?;
    let checkpoint = &placed(checkpoint, &survey);
    let selection = if survey.lower_case_names {
        task.selection.in_lower_case()
    } else {
        task.selection.clone()
    };
    check_server(&survey, &selection)?;
    let reason = why_not_on(dump, checkpoint, &survey).await?;
    let is_purged = matches!(reason, Some(StartError::Purged { .. }));
    let begin = match (target, &reason) {
        (Target::Newest, _) => first_position(&Start::Latest, &survey)?,
        (Target::Oldest, None) => return Err(StartError::NothingMissing.into()),
        (Target::Oldest, Some(_)) => first_position(&Start::Earliest, &survey)?,
    };
    // What is published already may come into the server's set later.
    let is_same_history = reason.is_none() || is_purged;
    // A place of MariaDB is the end as it is: its numbers need not grow.
    let is_end = target == Target::Newest && matches!(begin, Position::Mariadb { .. });
    let position = if is_same_history && !is_end {
        without_published(begin.clone(), &checkpoint.position)
    } else {
        begin.clone()
    };
    let mut moved = moved(checkpoint, position.clone(), &survey, &selection);
    // What is published is passed over wherever it lies behind the position, statements too.
    moved.lineage.passes_over = position != begin;
    if reason.is_none() {
        moved.lineage.last.clone_from(&checkpoint.lineage.last);
    }
    let reason = reason.map_or("requested", |reason| Error::from(reason).state());
    Ok(Move {
        gap: Gap {
            reason: reason.to_owned(),
            from: checkpoint.position.clone(),
            from_ts_ms: checkpoint.source_ts_ms,
            to: position.clone(),
            may_repeat: target == Target::Oldest && !is_purged,
        },
        ended: ended(found, &position),
        checkpoint: moved,
    })
}

/// Why the stream cannot go on from its checkpoint; `None` if it can.
async fn why_not_on<D: Dump>(
    dump: &mut D,
    checkpoint: &Checkpoint,
    survey: &Survey,
) -> Result<Option<StartError>, Error> {
    if let Err(error) = check_lineage(checkpoint, survey) {
        return match error {
            StartError::Position(_) => Err(error.into()),
            other => Ok(Some(other)),
        };
    }
    match verify(dump, checkpoint, survey).await {
        Ok(()) => Ok(None),
        Err(Error::Start(error)) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// In the history of before nothing need be published twice: the server leaves out what is in the set. (By file and offset
/// nothing that is older than the position is there any more, or it lies before the new one.)
fn without_published(target: Position, published: &Position) -> Position {
    match (target, published) {
        (Position::Gtid { gtid_set, at }, Position::Gtid { gtid_set: set, .. }) => Position::Gtid {
            gtid_set: gtid_set.union(set),
            at,
        },
        (Position::Mariadb { gtid_pos, at }, Position::Mariadb { gtid_pos: pos, .. }) => {
            let gtid_pos = gtid_pos.later_of(pos);
            Position::Mariadb { gtid_pos, at }
        }
        (target, _) => target,
    }
}

fn moved(
    checkpoint: &Checkpoint,
    position: Position,
    survey: &Survey,
    selection: &Selection,
) -> Checkpoint {
    Checkpoint {
        position,
        skip_rows: 0,
        split: None,
        lineage: lineage(survey),
        selection: selection.fingerprint(),
        ..checkpoint.clone()
    }
}

/// Nobody has seen the statements that lie in the gap, so that no recorded definition holds behind it.
fn ended(found: &State, position: &Position) -> Vec<TableState> {
    let open = found.tables.values().filter(|table| table.ended.is_none());
    open.map(|table| TableState {
        ended: Some(position.at().clone()),
        ..table.clone()
    })
    .collect()
}

/// The mark, the checkpoint, the definitions, and the end of our ownership: all of it, or nothing.
async fn publish<L: Log, R: Registry>(
    task: &Task,
    transactor: &mut Transactor<L>,
    registry: Arc<R>,
    found: &State,
    moved: &Move,
) -> Result<(), Error> {
    let topics = task.topics.clone();
    let mut catalog = Catalog::new(registry, &task.name, topics, task.rules.clone(), found);
    let target = transactor.state_target().clone();
    let mut batch = Batch::default();
    let topic = catalog
        .transactions(task.transactions, transactor, (&target, &mut batch))
        .await?;
    push_gap(&topic, &moved.gap, &mut batch)?;
    for table in &moved.ended {
        let key = state::table_key(&table.definition.name);
        push_json(&mut batch, &target, &key, table)?;
    }
    // Nor is it known what statements in the gap have made of tables.
    let tables = found.tracked.keys().map(state::tracked_key);
    let databases = (found.databases.keys()).map(|name| state::database_key(name));
    for key in tables.chain(databases) {
        batch.push(&target, Some(key.as_bytes()), None)?;
    }
    batch.push(&target, Some(state::owner_key().as_bytes()), None)?;
    transactor.commit(batch, &moved.mark()).await?;
    Ok(())
}

fn is_followed(error: &Error) -> bool {
    error.is_fenced() || matches!(error, Error::Sink(SinkError::TakenOver { .. }))
}

async fn was_made<L: Log>(transactor: &mut Transactor<L>, moved: &Move) -> bool {
    match transactor.has(&moved.mark()).await {
        Ok(was_made) => was_made,
        Err(error) => {
            tracing::debug!(%error, "whether the move was made is not known");
            false
        }
    }
}

/// Only the end of our ownership. That is all that is left to do, so that an error is not reported over the first one.
async fn give_back<L: Log>(mut transactor: Transactor<L>) {
    if let Err(error) = transactor.disown().await {
        tracing::debug!(%error, "the state could not be given back; the task takes it after a while");
    }
}

#[cfg(test)]
mod tests {
    use binlog_bridge_core::position::FileOffset;
    use binlog_bridge_core::schema::TableDefinition;
    use binlog_bridge_core::selection::TableName;
    use binlog_bridge_core::state::STATE_FORMAT;

    use super::*;

    fn at(offset: u64) -> FileOffset {
        FileOffset {
            file: "binlog.000002".into(),
            offset,
        }
    }

    #[test]
    fn no_definition_holds_on_over_a_gap() {
        let table = |name: &str, ended| TableState {
            format: STATE_FORMAT,
            definition: TableDefinition {
                name: TableName::new("shop", name),
                columns: Vec::new(),
                primary_key: Vec::new(),
                message_key: Vec::new(),
                packing: "a".to_owned(),
            },
            holds_from: at(4),
            widened: false,
            ended,
            topic_version: 0,
            value_schema_id: None,
        };
        let mut found = State::default();
        for state in [table("open", None), table("over", Some(at(100)))] {
            found.tables.insert(state.definition.name.clone(), state);
        }
        let ended = ended(&found, &Position::File { at: at(700) });
        assert_eq!(ended, [table("open", Some(at(700)))]);
    }
}
