//! The definition of a table, as far as rows and their schema need it.

use serde::{Deserialize, Serialize};

use super::Dialect;
use crate::decode::{ColumnMetadata, DecodeErrorKind, TableMapEvent};
use crate::position::FileOffset;
use crate::selection::{TableName, TablePattern};
use crate::value::{ColumnRule, ColumnType, Mask, Masked, TypeOptions, UnsupportedType};

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
    /// Indexes of the columns of records' keys, in the key's order, where a configuration chooses them; empty where that is
    /// the primary key. Only in definitions that are published, never in those that are recorded.
    #[serde(skip)]
    pub message_key: Vec<usize>,
    /// How rows are packed, as table maps with and without names say it: see [`TableMapEvent::packing`]. Empty in
    /// definitions of before it was kept.
    #[serde(default)]
    pub packing: String,
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
    /// What the server declares beyond that, if it is known to hold for the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
}

/// What no table map has: it decides the text of schemas, never how a row is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The type in SQL, with display width and ZEROFILL.
    pub sql_type: String,
    /// The default; none without one, and for NULL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<DeclaredDefault>,
    /// The expression of a generated column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// A default that is not NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredDefault {
    /// A value, as text.
    Literal(String),
    /// An expression, such as `CURRENT_TIMESTAMP(6)`.
    Expression(String),
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
    /// Without names in the binlog, the table can only be described by the server, which does not have it any more.
    #[error(
        "the binlog does not name the columns of {table} (binlog_row_metadata is not FULL), and the server has no such table any more"
    )]
    Gone {
        /// The table.
        table: TableName,
    },
    /// The server describes the table to others only.
    #[error(
        "the binlog does not name the columns of {table} (binlog_row_metadata is not FULL), and the account may not read the table's definition: {reason}"
    )]
    NotReadable {
        /// The table.
        table: TableName,
        /// What the server says.
        reason: String,
    },
    /// The server's description does not fit the table map.
    #[error(
        "the binlog does not name the columns of {table} (binlog_row_metadata is not FULL), and the server describes others now: {column} is not what it was"
    )]
    Differs {
        /// The table.
        table: TableName,
        /// What differs: a column, or the number of all.
        column: String,
    },
    /// A statement may have changed the table between its rows and the server's description.
    #[error(
        "the binlog does not name the columns of {table} (binlog_row_metadata is not FULL), and the statement at {statement} may have changed them since"
    )]
    Changed {
        /// The table.
        table: TableName,
        /// Where the statement begins.
        statement: FileOffset,
    },
    /// A mask is not for the values of the column.
    #[error(
        "values of type {sql_type} cannot be masked as events.columns has it for column {column} of {table}"
    )]
    Mask {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its type.
        sql_type: String,
    },
    /// A column of the key is masked so that rows could not be told apart, or left out.
    #[error(
        "column {column} of {table} is of its key: events.columns may hash it, but not leave it out, shorten or replace it"
    )]
    MaskedKey {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// A column that was chosen for records' keys is not there.
    #[error("{table} has no column {column}, which events.message_key names")]
    MessageKey {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// A statement that is not in the binlog has changed the table.
    #[error(
        "column {column} of {table} is not what it was, by a statement that is not in the binlog (sql_log_bin=0)"
    )]
    Unlogged {
        /// The table.
        table: TableName,
        /// A column that differs.
        column: String,
    },
    /// The server leaves statements out of the binlog.
    #[error(
        "the binlog does not name the columns of {table} (binlog_row_metadata is not FULL), and lacks statements that may have changed them: the server runs with {filters}"
    )]
    Filtered {
        /// The table.
        table: TableName,
        /// The server's options.
        filters: String,
    },
    /// Whether a TINYINT is a TINYINT(1) is not known.
    #[error(
        "whether column {column} of {table} is a TINYINT(1) is not in the binlog, and the server's definition may have changed since"
    )]
    Width {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Table maps do not tell some types of MariaDB apart.
    #[error(
        "whether column {column} of {table} is a UUID, an INET, a VECTOR or only bytes, or how long the fraction of a time in an old format is, is not in the binlog, and the server's definition differs or may have changed since"
    )]
    Ambiguous {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
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

/// Tables, by patterns of their names, and the columns that make the keys of their records (`events.message_key`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRule {
    /// The tables.
    pub tables: Vec<TablePattern>,
    /// The columns, in the key's order.
    pub columns: Vec<String>,
}

impl KeyRule {
    fn is_for(&self, table: &TableName) -> bool {
        self.tables.iter().any(|pattern| pattern.matches(table))
    }

    /// The rule on a server that writes names of databases and tables in lower case.
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        Self {
            tables: self
                .tables
                .iter()
                .map(TablePattern::in_lower_case)
                .collect(),
            columns: self.columns.clone(),
        }
    }
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
        let packing = match event.packing() {
            Ok(packing) => packing,
            Err(kind) => return Err(DefinitionError::Damaged { table, kind }),
        };
        let mut definition = Self {
            name: table,
            columns: Vec::new(),
            primary_key,
            message_key: Vec::new(),
            packing,
        };
        for metadata in columns {
            let table = || definition.name.clone();
            let Some(name) = metadata.name.clone() else {
                return Err(DefinitionError::NoMetadata { table: table() });
            };
            let column_type = ColumnType::from_metadata(&metadata).map_err(|kind| {
                DefinitionError::Unsupported {
                    table: table(),
                    column: name.clone(),
                    kind,
                }
            })?;
            definition.columns.push(Column {
                name,
                column_type,
                nullable: metadata.nullable,
                declared: None,
            });
        }
        Ok(definition)
    }

    /// The definition as it is published, with the key and the types that a configuration chooses.
    ///
    /// # Errors
    /// [`DefinitionError::MessageKey`], [`DefinitionError::Width`], [`DefinitionError::Mask`] and
    /// [`DefinitionError::MaskedKey`]
    pub fn shown(
        &self,
        options: &TypeOptions,
        rules: &[ColumnRule],
        keys: &[KeyRule],
    ) -> Result<Self, DefinitionError> {
        let mut shown = self.clone();
        shown.message_key = self.message_key_by(keys)?;
        let key = shown.key().to_vec();
        for (index, column) in shown.columns.iter_mut().enumerate() {
            let names = (
                self.name.database.as_str(),
                self.name.table.as_str(),
                column.name.as_str(),
            );
            let rule = rules.iter().find(|rule| rule.is_for(names));
            let hidden = is_hidden(&column.name).then_some(&Mask::LeaveOut);
            let mask = hidden.or(rule.map(|rule| &rule.mask));
            let is_key = key.contains(&index);
            // What nobody sees of the values need not fit a chosen type.
            if !mask.is_some_and(Mask::hides_values) {
                let declared = column.declared.as_ref();
                let sql_type = declared.map(|declared| declared.sql_type.as_str());
                let chosen = options.choose(&column.column_type, sql_type, is_key);
                column.column_type = chosen.ok_or_else(|| DefinitionError::Width {
                    table: self.name.clone(),
                    column: column.name.clone(),
                })?;
            }
            let Some(mask) = mask else { continue };
            let sql_type = column.column_type.sql();
            let masked = Masked::new(column.column_type.clone(), mask.clone());
            let masked = masked.ok_or_else(|| DefinitionError::Mask {
                table: self.name.clone(),
                column: column.name.clone(),
                sql_type,
            })?;
            if is_key && !masked.tells_apart() {
                return Err(DefinitionError::MaskedKey {
                    table: self.name.clone(),
                    column: column.name.clone(),
                });
            }
            column.column_type = ColumnType::Masked(Box::new(masked));
            // A default is a value, too.
            if let Some(declared) = &mut column.declared {
                (declared.default, declared.expression) = (None, None);
            }
        }
        Ok(shown)
    }

    /// The columns that the first rule for the table names. In names of columns the server does not tell case.
    fn message_key_by(&self, keys: &[KeyRule]) -> Result<Vec<usize>, DefinitionError> {
        let Some(rule) = keys.iter().find(|rule| rule.is_for(&self.name)) else {
            return Ok(Vec::new());
        };
        let place = |name: &String| {
            let is_it = |column: &Column| column.name.to_lowercase() == name.to_lowercase();
            let place = self.columns.iter().position(is_it);
            place.ok_or_else(|| DefinitionError::MessageKey {
                table: self.name.clone(),
                column: name.clone(),
            })
        };
        rule.columns.iter().map(place).collect()
    }

    /// A column that is not what a table map without names says of it, as far as it says anything: the sign, the
    /// character set, the kind of geometry.
    ///
    /// # Errors
    /// If the bytes of the table map are damaged.
    pub fn contradicted_by(
        &self,
        event: &TableMapEvent<'_>,
    ) -> Result<Option<&str>, DecodeErrorKind> {
        let (packed, _) = event.shape()?;
        let says_more = |column: &ColumnMetadata| {
            let numbers = [column.collation, column.geometry_type];
            column.unsigned.is_some()
                || column.dimensions.is_some()
                || numbers.iter().any(Option::is_some)
        };
        let other = packed.iter().zip(&self.columns).find(|(packed, column)| {
            // Of members it has no character set.
            says_more(packed)
                && !matches!(column.column_type, ColumnType::Members(_))
                && ColumnType::from_metadata(packed).as_ref() != Ok(&column.column_type)
        });
        Ok(other.map(|(_, column)| column.name.as_str()))
    }

    /// The definition as a table map with names alone tells it.
    #[must_use]
    pub fn without_declarations(&self) -> Self {
        let mut bare = self.clone();
        for column in &mut bare.columns {
            column.declared = None;
        }
        bare
    }

    /// A column whose type is not certain, as table maps of MariaDB do not tell some types apart, and nothing else is known.
    #[must_use]
    pub fn ambiguous_column(&self, dialect: Dialect) -> Option<&str> {
        let is_open = |column: &&Column| {
            column.declared.is_none()
                && dialect.is_mariadb
                && column.column_type.is_ambiguous(dialect.has_vectors)
        };
        self.columns
            .iter()
            .find(is_open)
            .map(|column| column.name.as_str())
    }

    /// True if options choose types by display widths that are not known.
    #[must_use]
    pub fn lacks_widths(&self, options: &TypeOptions) -> bool {
        let mut columns = self.columns.iter();
        columns.any(|column| column.declared.is_none() && options.needs_width(&column.column_type))
    }

    /// Indexes of the columns of records' keys, in the key's order; empty if records have none.
    #[must_use]
    pub fn key(&self) -> &[usize] {
        match self.message_key.is_empty() {
            true => &self.primary_key,
            false => &self.message_key,
        }
    }

    /// The columns of records' keys, in the key's order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key()
            .iter()
            .filter_map(|index| self.columns.get(*index))
    }
}
/// True for the name that a column of a key of an expression is given where the server does not name it: MySQL 8.0.13 to 8.0.17
/// log it (seen in 8.0.15), though nobody can select it.
fn is_hidden(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(HIDDEN) else {
        return false;
    };
    let mut parts = rest.rsplit('!');
    let mut is_number = || {
        let part = parts.next().unwrap_or_default();
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_number() && is_number()
}

/// What such a name begins with.
pub(super) const HIDDEN: &str = "!hidden!";
