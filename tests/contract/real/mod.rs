//! The real halves, the servers they speak to, and what only they can promise.

mod cluster;
mod gtid_sets;
mod kafka;
mod mysql;
mod reader;
mod registry;

pub(crate) use cluster::KafkaCluster;
pub(crate) use mysql::MysqlSource;
pub(crate) use registry::HttpCatalog;
