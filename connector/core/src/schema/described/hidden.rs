//! Columns of MySQL 8.0.13 to 8.0.17 that nobody can select, and that nobody describes.

use super::{BINARY_COLLATION, DescribedTable, Dialect};
use crate::decode::ColumnMetadata;
use crate::schema::definition::{Column, DefinitionError, HIDDEN};
use crate::selection::TableName;
use crate::value::ColumnType;

impl DescribedTable {
    /// How many columns nobody describes may stand behind the others in table maps of MySQL: one for each key part that is an
    /// expression.
    pub(super) fn hidden_of_expressions(&self, dialect: Dialect) -> usize {
        let parts = self.keys.iter().flat_map(|key| &key.parts);
        match dialect.is_mariadb {
            true => 0,
            false => parts.filter(|part| part.column.is_none()).count(),
        }
    }
}

/// One of those: it is never published, whatever it holds.
pub(super) fn hidden_column(
    table: &TableName,
    metadata: &ColumnMetadata,
    number: usize,
) -> Result<Column, DefinitionError> {
    let name = format!("{HIDDEN}{number}!0!0");
    let complete = ColumnMetadata {
        unsigned: metadata.unsigned.or(Some(false)),
        collation: metadata.collation.or(Some(BINARY_COLLATION)),
        ..metadata.clone()
    };
    let column_type =
        ColumnType::from_metadata(&complete).map_err(|kind| DefinitionError::Unsupported {
            table: table.clone(),
            column: name.clone(),
            kind,
        })?;
    Ok(Column {
        name,
        column_type,
        nullable: metadata.nullable,
        declared: None,
    })
}
