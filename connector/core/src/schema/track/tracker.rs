//! What is known of tables and databases at a place of the binlog.

use std::collections::{BTreeMap, BTreeSet};

use super::collations::Collation;
use super::{Dialect, NotUnderstood};
use crate::schema::DescribedTable;
use crate::selection::{Selection, TableName};

/// What is known of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// There is none.
    Gone,
    /// There may be one.
    Unproven,
    /// It is this one.
    Proven(Box<DescribedTable>),
}

/// The tables and databases of a server, as far as they are known at a place of its binlog.
#[derive(Debug, Clone)]
pub struct Tracker {
    pub(super) dialect: Dialect,
    pub(super) folds_names: bool,
    pub(super) tables: BTreeMap<TableName, Known>,
    pub(super) databases: BTreeMap<String, Database>,
    /// Tables of some session alone hide those of the same name, and nobody tells whose statement a later one is.
    pub(super) hidden: BTreeSet<TableName>,
    /// Nothing is kept of other databases than those that it names; without one, all is kept.
    pub(super) selection: Option<Selection>,
    pub(super) changed_tables: BTreeSet<TableName>,
    pub(super) changed_databases: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Database {
    pub(super) collation: Option<u64>,
    /// All its tables are known: it was seen being made.
    pub(super) is_whole: bool,
}

/// What came of a statement: an error if nothing of it is understood, a reason if the table that it changes is unproven.
pub(super) type Followed = Result<Option<NotUnderstood>, NotUnderstood>;

/// Tables that are known not to be there are forgotten beyond so many.
const GONE_MAX: usize = 10_000;

impl Tracker {
    /// Nothing is known yet. `folds_names` says whether the server keeps names in lower case.
    #[must_use]
    pub fn new(dialect: Dialect, folds_names: bool) -> Self {
        Self {
            dialect,
            folds_names,
            tables: BTreeMap::new(),
            databases: BTreeMap::new(),
            hidden: BTreeSet::new(),
            selection: None,
            changed_tables: BTreeSet::new(),
            changed_databases: BTreeSet::new(),
        }
    }

    /// Keeps only what is in databases of which something may be selected.
    #[must_use]
    pub fn only(mut self, selection: Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// The tables of which something else may be known than at the last call; and the databases.
    pub fn take_changed(&mut self) -> (BTreeSet<TableName>, BTreeSet<String>) {
        let tables = std::mem::take(&mut self.changed_tables);
        (tables, std::mem::take(&mut self.changed_databases))
    }

    /// The number of a database's collation, if it is known.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<u64> {
        self.databases.get(name)?.collation
    }

    /// What is known of a table.
    #[must_use]
    pub fn table(&self, name: &TableName) -> &Known {
        let database = self.databases.get(&name.database);
        let otherwise = match database.is_some_and(|database| database.is_whole) {
            true => &Known::Gone,
            false => &Known::Unproven,
        };
        self.tables.get(name).unwrap_or(otherwise)
    }

    /// All tables of which something is known.
    pub fn tables(&self) -> impl Iterator<Item = (&TableName, &Known)> {
        self.tables.iter()
    }

    /// Takes note of what a table is at this place.
    pub fn learn(&mut self, name: TableName, table: DescribedTable) {
        self.set(name, Known::Proven(Box::new(table)));
    }

    pub(super) fn set(&mut self, name: TableName, known: Known) {
        let is_kept = |selection: &Selection| selection.may_select_in(&name.database);
        if self.selection.as_ref().is_none_or(is_kept) {
            self.changed_tables.insert(name.clone());
            self.tables.insert(name, known);
        }
    }

    pub(super) fn set_database(&mut self, name: String, database: Database) {
        let is_kept = |selection: &Selection| selection.may_select_in(&name);
        if self.selection.as_ref().is_none_or(is_kept) {
            self.changed_databases.insert(name.clone());
            self.databases.insert(name, database);
        }
    }

    /// Takes note of the collation of a database at this place.
    pub fn learn_database(&mut self, name: &str, collation: u64) {
        let is_whole = self.databases.get(name).is_some_and(|known| known.is_whole);
        let collation = Some(collation);
        self.set_database(
            name.to_owned(),
            Database {
                collation,
                is_whole,
            },
        );
    }

    pub(super) fn collation_of(&self, table: &TableName) -> Option<Collation> {
        Collation::of_number(self.databases.get(&table.database)?.collation?)
    }

    /// What a table becomes by a change.
    pub(super) fn changed(
        &self,
        name: &TableName,
        change: impl FnOnce(&DescribedTable, Option<Collation>) -> Result<DescribedTable, NotUnderstood>,
    ) -> Result<DescribedTable, NotUnderstood> {
        match self.table(name) {
            _ if self.hidden.contains(name) => {
                Err(NotUnderstood("a table of a session may be meant"))
            }
            Known::Proven(table) => change(table, self.collation_of(name)),
            Known::Unproven | Known::Gone => {
                Err(NotUnderstood("a table that is not known is changed"))
            }
        }
    }

    /// A table is this one, or unproven from here on; returns why.
    pub(super) fn now_is(
        &mut self,
        name: TableName,
        table: Result<DescribedTable, NotUnderstood>,
    ) -> Option<NotUnderstood> {
        let (known, reason) = match table {
            Ok(table) => (Known::Proven(Box::new(table)), None),
            Err(reason) => (Known::Unproven, Some(reason)),
        };
        self.set(name, known);
        reason
    }

    pub(super) fn gone(&mut self, name: TableName) {
        self.set(name, Known::Gone);
        if self.tables.len() > GONE_MAX && self.tables.len().is_power_of_two() {
            self.tables.retain(|_, known| *known != Known::Gone);
            self.databases
                .values_mut()
                .for_each(|database| database.is_whole = false);
        }
    }

    /// A database is dropped, or made.
    pub(super) fn forget_database(&mut self, name: &str) {
        if self.databases.remove(name).is_some() {
            self.changed_databases.insert(name.to_owned());
        }
        for (table, known) in &mut self.tables {
            if table.database == name {
                *known = Known::Gone;
                self.changed_tables.insert(table.clone());
            }
        }
    }
}
