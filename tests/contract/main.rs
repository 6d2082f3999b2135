//! What the real halves of the seams promise, held against real servers.
//!
//! BINLOG_BRIDGE_TEST_KAFKA names the brokers to use (`host:port`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are tests, too

mod kafka;
mod reader;
mod topics;
