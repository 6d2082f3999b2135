//! binlog-bridge: follows a MySQL binlog and publishes typed Avro events to Kafka, exactly once.
//!
//! Start reading at [`pipeline`]. What computes is in the crate `binlog-bridge-core`; here is what waits.

pub mod catalog;
pub mod cli;
pub mod config;
pub mod definitions;
pub mod error;
pub mod health;
pub mod http;
mod lineage;
pub mod metrics;
pub mod modify;
pub mod offsets;
mod panics;
pub mod pipeline;
pub mod registry;
pub mod secret;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod start;
pub mod subjects;
pub mod supervise;
pub mod turn;
