//! Tables are followed from one statement to the next, so that rows between two statements can be read though the server
//! can only say what a table is behind both.

use binlog_bridge_core::decode::{Statement, TableMapEvent};
use binlog_bridge_core::encode::{ArenaFull, Batch, TopicPartition};
use binlog_bridge_core::schema::{
    DefinitionError, DescribedTable, Dialect, Known, TableDefinition, Tracker,
};
use binlog_bridge_core::selection::{Selection, TableName};
use binlog_bridge_core::state::{
    self, Lineage, STATE_FORMAT, State, TrackedDatabase, TrackedTable,
};

use super::Pipeline;
use crate::catalog::push_json;
use crate::definitions::Proven;
use crate::error::Error;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::source::{Dump, Survey};

/// What was known at the checkpoint; `None` if statements may be missing in the stream.
pub(crate) fn tracker(
    survey: &Survey,
    selection: &Selection,
    state: &State,
    lineage: &Lineage,
) -> Option<Tracker> {
    if lineage.passes_over {
        return None;
    }
    let dialect = Dialect::of_version(&survey.version);
    let tracker = Tracker::new(dialect, survey.lower_case_names);
    let mut tracker = tracker.only(selection.clone());
    for (name, tracked) in &state.tracked {
        tracker.learn(name.clone(), tracked.table.clone());
    }
    for (name, tracked) in &state.databases {
        tracker.learn_database(name, tracked.collation);
    }
    // All of it is recorded.
    tracker.take_changed();
    Some(tracker)
}

/// Of databases that are not selected any more nothing is kept: what statements do to them from here on nobody follows.
///
/// # Errors
/// [`ArenaFull`]
pub(crate) fn forget_unselected(
    state: &State,
    selection: &Selection,
    (target, batch): (&TopicPartition, &mut Batch),
) -> Result<(), ArenaFull> {
    let tables = state.tracked.keys();
    for name in tables.filter(|name| !selection.may_select_in(&name.database)) {
        put::<TrackedTable>(batch, target, &state::tracked_key(name), None)?;
    }
    let databases = state.databases.keys();
    for name in databases.filter(|name| !selection.may_select_in(name)) {
        put::<TrackedDatabase>(batch, target, &state::database_key(name), None)?;
    }
    Ok(())
}

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    /// Follows a statement; what it makes of tables is recorded with the next checkpoint.
    pub(super) fn follow(&mut self, statement: &Statement<'_>) -> Result<(), Error> {
        let Some(tracker) = &mut self.tracker else {
            return Ok(());
        };
        if let Err(reason) = tracker.follow(statement) {
            let at = self.decoder.at();
            tracing::debug!(%at, %reason, "what a statement makes of its tables is not known");
        }
        self.record_tracked()
    }

    fn record_tracked(&mut self) -> Result<(), Error> {
        let Some(tracker) = &mut self.tracker else {
            return Ok(());
        };
        let (tables, databases) = tracker.take_changed();
        if tables.is_empty() && databases.is_empty() {
            return Ok(());
        }
        let (batch, format) = (&mut self.batch, STATE_FORMAT);
        let target = self.sink.state_target();
        for name in tables {
            let value = proven_of(tracker, &name).map(|table| TrackedTable {
                format,
                table: table.clone(),
            });
            put(batch, target, &state::tracked_key(&name), value.as_ref())?;
        }
        for name in databases {
            let value = tracker.database(&name);
            let value = value.map(|collation| TrackedDatabase { format, collation });
            put(batch, target, &state::database_key(&name), value.as_ref())?;
        }
        Ok(())
    }

    /// What statements have made of a table, if that is known.
    pub(super) fn tracked(&self, table: &TableName) -> Option<&DescribedTable> {
        (self.tracker.as_ref()).and_then(|tracker| proven_of(tracker, table))
    }

    /// The definition that the server's description proves, or else the one that statements have made.
    pub(super) fn described(
        &mut self,
        event: &TableMapEvent<'_>,
        proven: Result<Proven, Error>,
    ) -> Result<TableDefinition, Error> {
        let table = TableName::new(event.database, event.table);
        let wrong = |source| Error::Definition {
            at: self.decoder.at().clone(),
            source,
        };
        let tracked = self.tracked(&table);
        match (proven, tracked) {
            (Ok(proven), tracked) => {
                if let Some(column) =
                    tracked.and_then(|tracked| tracked.contradicted_by(&proven.described))
                {
                    let column = column.to_owned();
                    return Err(wrong(DefinitionError::Unlogged { table, column }));
                }
                self.learn(table, proven.described)?;
                Ok(proven.definition)
            }
            (Err(error), Some(tracked)) if is_of_later(&error) => {
                match TableDefinition::from_described(event, tracked, self.definitions.dialect()) {
                    Ok(definition) => {
                        tracing::info!(%table, "its definition is what statements have made of it");
                        Ok(definition)
                    }
                    // They do not fit its rows: the first reason stands.
                    Err(_) => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What a table is at this place.
    pub(super) fn learn(
        &mut self,
        table: TableName,
        described: DescribedTable,
    ) -> Result<(), Error> {
        let Some(tracker) = &mut self.tracker else {
            return Ok(());
        };
        if proven_of(tracker, &table) != Some(&described) {
            tracker.learn(table, described);
            self.record_tracked()?;
        }
        Ok(())
    }
}

fn proven_of<'a>(tracker: &'a Tracker, table: &TableName) -> Option<&'a DescribedTable> {
    match tracker.table(table) {
        Known::Proven(table) => Some(table),
        Known::Gone | Known::Unproven => None,
    }
}

/// A record of the state, or that there is none any more.
fn put<T: serde::Serialize>(
    batch: &mut Batch,
    target: &TopicPartition,
    key: &str,
    value: Option<&T>,
) -> Result<(), ArenaFull> {
    match value {
        Some(value) => push_json(batch, target, key, value),
        None => batch.push(target, Some(key.as_bytes()), None),
    }
}

/// True if the server describes a table that statements have changed since, or dropped.
fn is_of_later(error: &Error) -> bool {
    let Error::Definition { source, .. } = error else {
        return false;
    };
    matches!(
        source,
        DefinitionError::Changed { .. } | DefinitionError::Gone { .. }
    )
}
