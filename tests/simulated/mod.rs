//! A MySQL server, a Kafka cluster and a schema registry in memory: the simulated halves of the three seams.
//!
//! They pass the contract tests that the real halves pass (`tests/contract`), and the simulation runs the real
//! connector over them (`tests/simulation`). Time is tokio's clock, which the simulation pauses; all chance comes
//! from seeds.

// The lints are for the connector: here a failed unwrap is the test's answer, and no byte comes from outside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::let_underscore_must_use)]
#![allow(
    clippy::clone_on_ref_ptr,
    reason = "columns are shared, which nobody needs to see"
)]
#![allow(missing_docs, reason = "a test has no users")]

pub mod broker;
pub mod dump;
pub mod events;
pub mod faults;
pub mod history;
pub mod log;
pub mod partitions;
pub mod process;
pub mod random;
pub mod registry;
pub mod rewriting;
pub mod server;
pub mod table;
pub mod trace;
