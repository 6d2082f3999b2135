//! What did the table look like *then*? Definitions and their versions (I6).

mod definition;
mod described;
mod look_ahead;
mod statement;
mod tables;
mod tokens;

pub use definition::{Column, Declared, DeclaredDefault, DefinitionError, TableDefinition};
pub use described::{DescribedColumn, DescribedTable};
pub use look_ahead::{LookAhead, Mentions};
pub use statement::{StatementEffect, effect, may_define};
pub use tables::{Lookup, RowsError, Tables};
