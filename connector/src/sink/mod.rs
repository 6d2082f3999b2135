//! Is it in Kafka? Everything between an encoded batch and a committed Kafka transaction.

pub mod log;
pub mod step;
pub mod topics;
pub mod transactor;
