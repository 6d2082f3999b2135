//! The definition of a table, as far as rows and their schema need it.

use serde::{Deserialize, Serialize};

use crate::decode::{DecodeErrorKind, TableMapEvent};
use crate::selection::TableName;
use crate::value::{ColumnType, UnsupportedType};

/// A table at some position of the binlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// The table.
    #[serde(flatten)]
    pub name: TableName,
    /// Its columns, in the table's order.
    pub columns: Vec<Column>,
    /// Indexes of the columns of the primary key, in the key's order; empty without one.
    pub primary_key: Vec<usize>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type.
    #[serde(flatten)]
    pub column_type: ColumnType,
    /// True if it may be NULL.
    pub nullable: bool,
}

/// A table cannot be published as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The table map is damaged.
    #[error("the table map of {table} is damaged: {kind}")]
    Damaged {
        /// The table.
        table: TableName,
        /// What is wrong.
        kind: DecodeErrorKind,
    },
    /// The server writes too little metadata.
    #[error("the binlog does not name the columns of {table}: binlog_row_metadata is not FULL")]
    NoMetadata {
        /// The table.
        table: TableName,
    },
    /// A column has a type that is not published.
    #[error("column {column} of {table}: {kind}")]
    Unsupported {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Which type.
        kind: UnsupportedType,
    },
}

impl TableDefinition {
    /// The definition that a table map with full metadata describes.
    ///
    /// # Errors
    /// [`DefinitionError`]; nothing can be published of the table then.
    pub fn from_table_map(event: &TableMapEvent<'_>) -> Result<Self, DefinitionError> {
        let table = TableName::new(event.database, event.table);
        let (columns, primary_key) = match event.shape() {
            Ok(shape) => shape,
            Err(kind) => return Err(DefinitionError::Damaged { table, kind }),
        };
        let mut definition = Self { name: table, columns: Vec::new(), primary_key };
        for metadata in columns {
            let table = || definition.name.clone();
            let Some(name) = metadata.name.clone() else {
                return Err(DefinitionError::NoMetadata { table: table() });
            };
            let column_type = ColumnType::from_metadata(&metadata).map_err(|kind| {
                DefinitionError::Unsupported { table: table(), column: name.clone(), kind }
            })?;
            definition.columns.push(Column { name, column_type, nullable: metadata.nullable });
        }
        Ok(definition)
    }

    /// The columns of the primary key, in the key's order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.primary_key.iter().filter_map(|index| self.columns.get(*index))
    }
}
