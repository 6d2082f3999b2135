//! Which tables are published.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A table's full name, as the server writes it into its binlog.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// A name from its two halves.
    #[must_use]
    pub fn new(database: &str, table: &str) -> Self {
        Self {
            database: database.to_owned(),
            table: table.to_owned(),
        }
    }

    /// The name in lower case.
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        Self {
            database: self.database.to_lowercase(),
            table: self.table.to_lowercase(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.database, self.table)
    }
}

/// Whole databases, single tables, and tables to leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Databases of which every table is selected, those that are made later too.
    pub databases: BTreeSet<String>,
    /// Tables selected one by one.
    pub tables: BTreeSet<TableName>,
    /// Tables that are never selected.
    pub excluded: BTreeSet<TableName>,
}

impl Selection {
    /// True if the table is published.
    #[must_use]
    pub fn selects(&self, name: &TableName) -> bool {
        !self.excluded.contains(name)
            && (self.databases.contains(&name.database) || self.tables.contains(name))
    }

    /// The selection on a server that writes all names in lower case (`lower_case_table_names=1`).
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        let names =
            |names: &BTreeSet<TableName>| names.iter().map(TableName::in_lower_case).collect();
        Self {
            databases: self
                .databases
                .iter()
                .map(|name| name.to_lowercase())
                .collect(),
            tables: names(&self.tables),
            excluded: names(&self.excluded),
        }
    }

    /// True if a table of this database could be selected. Databases are compared without case, since the
    /// text of a statement may be written in any.
    #[must_use]
    pub fn may_select_in(&self, database: &str) -> bool {
        self.database_names()
            .any(|selected| selected.eq_ignore_ascii_case(database))
    }

    /// All databases that are named, in no particular order and perhaps repeated.
    pub fn database_names(&self) -> impl Iterator<Item = &str> {
        let of_tables = self.tables.iter().map(|name| name.database.as_str());
        self.databases.iter().map(String::as_str).chain(of_tables)
    }

    /// A short text that is the same for the same selection: kept in the checkpoint, for whoever looks at it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut feed = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        self.databases.iter().for_each(|name| feed(name));
        for (mark, names) in [("+", &self.tables), ("-", &self.excluded)] {
            feed(mark);
            for name in names {
                feed(&name.database);
                feed(&name.table);
            }
        }
        format!("{hash:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusion_beats_a_selection() {
        let selection = Selection {
            databases: ["shop".to_owned()].into(),
            tables: [TableName::new("crm", "people")].into(),
            excluded: [TableName::new("shop", "noise")].into(),
        };
        for (database, table, selected) in [
            ("shop", "orders", true),
            ("shop", "noise", false),
            ("crm", "people", true),
            ("crm", "notes", false),
            ("Shop", "orders", false),
        ] {
            assert_eq!(
                selection.selects(&TableName::new(database, table)),
                selected
            );
        }
        assert!(selection.may_select_in("CRM") && !selection.may_select_in("hr"));
    }
}
