//! Avro schemas of what is published, and the pieces of its binary encoding.

pub(crate) mod binary;
mod names;
mod schemas;

pub use names::{SchemaNames, TopicNames, field_name};
pub(crate) use schemas::{Branches, branches};
pub use schemas::{TRANSACTIONS_KEY, TRANSACTIONS_VALUE, key_schema, value_schema};
