//! What did the table look like *then*? Definitions and their versions (I6).

mod definition;
mod statement;
mod tables;

pub use definition::{Column, DefinitionError, TableDefinition};
pub use statement::{StatementEffect, effect};
pub use tables::{Lookup, RowsError, Tables};
