//! binlog-bridge: follows a MySQL binlog and publishes typed Avro events to Kafka, exactly once.

pub mod cli;
pub mod registry;
pub mod secret;
pub mod sink;
pub mod source;
pub mod subjects;
