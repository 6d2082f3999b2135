//! Statements that change the schema are published to `<task>.schema-changes`, in the Kafka transaction that holds their
//! place in the stream.

use binlog_bridge_core::decode::Statement;
use binlog_bridge_core::encode::{
    ArenaFull, Batch, ChangeRecord, ChangeSource, SchemaChangesTopic, TableChange,
};
use binlog_bridge_core::event::EventHeader;
use binlog_bridge_core::schema::{Dialect, Known, SchemaChange, readable_text};
use binlog_bridge_core::selection::{Selection, TableName};

use super::Pipeline;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::source::{Dump, Survey};

/// What is told of statements, and where.
#[derive(Debug)]
pub(crate) struct SchemaChanges {
    topic: SchemaChangesTopic,
    selection: Selection,
    is_mariadb: bool,
    /// Those of the source transaction at hand: only once it is complete they are appended, so that what is split before
    /// that, and read again, has none of them twice.
    pending: Vec<ChangeRecord>,
}

impl SchemaChanges {
    pub(crate) fn new(topic: SchemaChangesTopic, selection: &Selection, survey: &Survey) -> Self {
        Self {
            topic,
            selection: selection.clone(),
            is_mariadb: Dialect::of_version(&survey.version).is_mariadb,
            pending: Vec::new(),
        }
    }

    /// The source transaction at hand is complete.
    pub(super) fn append(&mut self, batch: &mut Batch) -> Result<(), ArenaFull> {
        for record in self.pending.drain(..) {
            batch.push(&self.topic.target, Some(&record.key), Some(&record.value))?;
        }
        Ok(())
    }

    /// It never happened.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
    }
}

/// A statement that is to be published, before it is followed.
pub(super) struct Announced {
    change: SchemaChange,
    tables: Vec<TableChange>,
}

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    /// What consumers are to be told of a statement, with what its tables are before it.
    pub(super) fn announce(&self, statement: &Statement<'_>) -> Option<Announced> {
        let told = self.schema_changes.as_ref()?;
        let folds_names = self.has_lower_case_names;
        let change = SchemaChange::of(statement, told.is_mariadb, folds_names)?;
        let change = match told.selection.without_helpers {
            true => change.as_logical(),
            false => change,
        };
        let in_use = String::from_utf8_lossy(statement.database);
        if !change.is_selected(&told.selection, &in_use) {
            return None;
        }
        let mut tables: Vec<TableChange> = Vec::new();
        for name in &change.tables {
            let is_there = tables.iter().any(|table| table.name == *name);
            if told.selection.selects(name) && !is_there {
                tables.push(TableChange {
                    name: name.clone(),
                    before: self.known_of(name),
                    after: Known::Unproven,
                });
            }
        }
        Some(Announced { change, tables })
    }

    /// Keeps the record of a statement that was followed, until its source transaction is complete.
    pub(super) fn note_change(
        &mut self,
        mut announced: Announced,
        header: &EventHeader,
        statement: &Statement<'_>,
    ) {
        for table in &mut announced.tables {
            table.after = self.known_of(&table.name);
        }
        let (at, transaction) = (self.decoder.at(), self.decoder.transaction());
        let source = ChangeSource {
            change: &announced.change,
            tables: &announced.tables,
            database: &String::from_utf8_lossy(statement.database),
            statement: &readable_text(statement),
            server_id: header.server_id,
            at,
            transaction,
        };
        if let Some(told) = &mut self.schema_changes {
            let record = told.topic.record(&source, self.limits.record_bytes_max);
            told.pending.push(record);
        }
    }

    fn known_of(&self, table: &TableName) -> Known {
        let tracker = self.tracker.as_ref();
        tracker.map_or(Known::Unproven, |tracker| tracker.table(table).clone())
    }
}
