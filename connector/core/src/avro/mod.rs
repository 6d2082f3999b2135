//! Avro schemas of what is published, and the pieces of its binary encoding.

pub(crate) mod binary;
mod names;
mod schemas;

pub use names::{SchemaNames, TOPIC_LEN_MAX, TopicNames, field_name};
pub(crate) use schemas::{Branches, branches};
pub use schemas::{
    HEARTBEATS_KEY, HEARTBEATS_VALUE, SCHEMA_CHANGES_KEY, SCHEMA_CHANGES_VALUE, TRANSACTIONS_KEY,
    TRANSACTIONS_VALUE, key_schema, value_schema,
};
