//! The pure core of binlog-bridge: bytes in, events out.
//!
//! No I/O, no clock, no randomness, no logging, no tokio: it cannot wait and cannot retry.
#![deny(clippy::indexing_slicing, clippy::string_slice)]
#![deny(clippy::wildcard_enum_match_arm, clippy::enum_glob_use)]

pub mod avro;
pub mod decode;
pub mod encode;
pub mod event;
pub mod frames;
mod input;
pub mod position;
pub mod schema;
pub mod selection;
pub mod state;
#[cfg(test)]
mod testing;
pub mod value;

pub use input::Truncated;
