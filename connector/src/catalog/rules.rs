//! What a configuration says of how tables are published.

use std::sync::Arc;

use binlog_bridge_core::schema::{DefinitionError, KeyRule, TableDefinition};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::value::{ColumnRule, TypeOptions};

use crate::source::Survey;
use crate::subjects::Incompatible;

/// What of a configuration decides how tables are published.
#[derive(Debug, Clone, Default)]
pub struct TableRules {
    /// The types that are chosen in the place of the usual ones.
    pub types: TypeOptions,
    /// Columns that are masked or left out.
    pub columns: Arc<[ColumnRule]>,
    /// Columns that make keys in the place of primary keys.
    pub keys: Arc<[KeyRule]>,
    /// What is done about changes that readers could not follow.
    pub incompatible: Incompatible,
    /// Schemas are registered by somebody else.
    pub only_looks_up: bool,
    /// Tables are published from the first row on as if rows lacked columns, so that one schema of each definition is
    /// enough.
    pub begins_widened: bool,
}

impl TableRules {
    /// The rules on a server that writes names of databases and tables in lower case.
    fn in_lower_case(&self) -> Self {
        Self {
            columns: self.columns.iter().map(ColumnRule::in_lower_case).collect(),
            keys: self.keys.iter().map(KeyRule::in_lower_case).collect(),
            ..self.clone()
        }
    }

    /// The rules on a server. What others are to register must be known before the first row.
    #[must_use]
    pub fn on(&self, survey: &Survey) -> Self {
        let is_partial = !survey.binlog_row_image.eq_ignore_ascii_case("FULL");
        let rules = match survey.lower_case_names {
            true => self.in_lower_case(),
            false => self.clone(),
        };
        Self {
            begins_widened: self.only_looks_up && is_partial,
            ..rules
        }
    }

    /// A definition as it is published.
    ///
    /// # Errors
    /// [`DefinitionError`] if it cannot be published so.
    pub fn shown(&self, definition: &TableDefinition) -> Result<TableDefinition, DefinitionError> {
        definition.shown(&self.types, &self.columns, &self.keys)
    }

    /// A name that was misspelt, or a column that was renamed, would be published as it is.
    pub(super) fn warn_of_columns_that_are_not_there(&self, definition: &TableDefinition) {
        let TableName { database, table } = &definition.name;
        for rule in self
            .columns
            .iter()
            .filter(|rule| rule.names(database, table))
        {
            let mut columns = definition.columns.iter();
            if !columns.any(|column| rule.is_for((database, table, &column.name))) {
                let column = rule.column.text();
                tracing::warn!(table = %definition.name, column, "events.columns names a column that the table does not have");
            }
        }
    }
}
