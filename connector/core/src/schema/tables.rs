//! Which plan the rows of a table id are read with.
//!
//! A plan belongs to a definition version and to the exact bytes of a table map without its table id. A
//! statement that may change a definition ends every version: the next table map of each table is read
//! anew, even if its bytes are the same (I6).

use std::collections::HashMap;
use std::sync::Arc;

use super::{DefinitionError, TableDefinition};
use crate::decode::TableMapEvent;
use crate::encode::TablePlan;
use crate::selection::{Selection, TableName};

/// The tables of the stream, by the ids that the server gave them.
#[derive(Debug)]
pub struct Tables {
    selection: Selection,
    by_id: HashMap<u64, Known>,
    /// Counts statements that may change a definition.
    version: u64,
    /// Counts source transactions.
    transaction: u64,
}

#[derive(Debug)]
struct Known {
    body: Vec<u8>,
    /// `None` for a table that is not selected.
    plan: Option<Arc<TablePlan>>,
    version: u64,
    transaction: u64,
}

/// Table ids that are remembered; beyond, all are forgotten and read again. The server gives new ids with
/// each DDL and restart, so that old ones pile up.
const KNOWN_MAX: usize = 10_000;

/// What is known of the table of a table map.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing is to be done: its rows can be read, or are not wanted.
    Ready,
    /// Its definition is new, or may have changed: a plan is to be made and given to [`Tables::install`].
    New(TableDefinition),
    /// Likewise, but the table map does not name its columns.
    Unnamed,
    /// Its rows are not wanted, as it is a helper table of an online schema change.
    Helper(TableName),
}

/// Rows refer to a table that no table map of their transaction describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rows refer to table id {table_id}, but no table map of their transaction does")]
pub struct RowsError {
    /// The id.
    pub table_id: u64,
}

impl Tables {
    /// No table is known yet.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            by_id: HashMap::new(),
            version: 0,
            transaction: 0,
        }
    }

    /// What is published.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Takes note of a table map.
    ///
    /// # Errors
    /// [`DefinitionError`] if the table is selected and cannot be published.
    pub fn table_map(&mut self, event: &TableMapEvent<'_>) -> Result<Lookup, DefinitionError> {
        if let Some(known) = self.by_id.get_mut(&event.table_id) {
            let is_alive = known.plan.is_none() || known.version == self.version;
            if is_alive && known.body == event.body {
                known.transaction = self.transaction;
                return Ok(Lookup::Ready);
            }
        }
        let name = TableName::new(event.database, event.table);
        if !self.selection.selects(&name) {
            self.remember(event, None);
            return Ok(match self.selection.passes_over(&name) {
                true => Lookup::Helper(name),
                false => Lookup::Ready,
            });
        }
        match TableDefinition::from_table_map(event) {
            Ok(definition) => Ok(Lookup::New(definition)),
            Err(DefinitionError::NoMetadata { .. }) => Ok(Lookup::Unnamed),
            Err(error) => Err(error),
        }
    }

    /// Gives the plan for the rows that follow a table map.
    pub fn install(&mut self, event: &TableMapEvent<'_>, plan: Arc<TablePlan>) {
        self.remember(event, Some(plan));
    }

    /// Gives another plan for the rows of a table id, from here on.
    pub fn replace(&mut self, table_id: u64, plan: Arc<TablePlan>) {
        if let Some(known) = self.by_id.get_mut(&table_id) {
            known.plan = Some(plan);
        }
    }

    fn remember(&mut self, event: &TableMapEvent<'_>, plan: Option<Arc<TablePlan>>) {
        if self.by_id.len() >= KNOWN_MAX {
            let transaction = self.transaction;
            self.by_id
                .retain(|_, known| known.transaction == transaction);
        }
        let known = Known {
            body: event.body.to_vec(),
            plan,
            version: self.version,
            transaction: self.transaction,
        };
        self.by_id.insert(event.table_id, known);
    }

    /// The plan for rows of a table id; `None` if the table is not selected.
    ///
    /// # Errors
    /// [`RowsError`] if the transaction has no table map of that id.
    pub fn plan(&self, table_id: u64) -> Result<Option<&Arc<TablePlan>>, RowsError> {
        match self.by_id.get(&table_id) {
            Some(known) if known.transaction == self.transaction => Ok(known.plan.as_ref()),
            Some(_) | None => Err(RowsError { table_id }),
        }
    }

    /// A statement may have changed definitions: every version ends here.
    pub fn end_versions(&mut self) {
        self.version += 1;
    }

    /// A source transaction is over: table maps hold only inside of one.
    pub fn end_transaction(&mut self) {
        self.transaction += 1;
    }

    /// Another file or server run: ids may be given anew.
    pub fn new_file(&mut self) {
        self.by_id.clear();
    }
}

#[cfg(test)]
mod tests;
