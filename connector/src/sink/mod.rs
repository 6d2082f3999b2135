//! Is it in Kafka? Everything between an encoded batch and a committed Kafka transaction.

pub mod kafka;
pub mod log;
pub mod reader;
pub mod step;
pub mod topics;
pub mod transactor;
