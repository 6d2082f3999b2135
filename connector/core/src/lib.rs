//! The pure core of binlog-bridge: bytes in, events out.
//!
//! No I/O, no clock, no randomness, no logging, no tokio: it cannot wait and cannot retry.
#![deny(clippy::indexing_slicing, clippy::string_slice)]
#![deny(clippy::wildcard_enum_match_arm, clippy::enum_glob_use)]

pub mod encode;
