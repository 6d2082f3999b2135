//! What did the table look like *then*? Definitions and their versions (I6).

mod change;
mod definition;
mod described;
mod look_ahead;
mod statement;
mod tables;
mod tokens;
mod track;

pub use change::{SchemaChange, SchemaObject, readable_text};
pub use definition::{
    Column, Declared, DeclaredDefault, DefinitionError, KeyRule, TableDefinition,
};
pub use described::{DescribedColumn, DescribedKey, DescribedTable, KeyPart, PRIMARY};
pub use look_ahead::{LookAhead, Mentions, TablesByWord};
pub use statement::{StatementEffect, effect, may_define};
pub use tables::{Lookup, RowsError, Tables};
pub(crate) use track::collation_name;
pub use track::{Dialect, Known, NotUnderstood, Tracker};
