//! The exactly-once state machine over simulated edges.
//!
//! Everything above the three seams is the real connector; below them are a MySQL server, a Kafka cluster and a
//! registry in memory. Time is tokio's paused clock and all chance comes from a seed, so that a run can be
//! repeated: `SIM_SEED=7 cargo test -p binlog-bridge-tests --test simulation whatever`; with `SIM_TRACE=1` it tells
//! each step.

// The lints are for the connector: here a failed unwrap is the test's answer, and no byte comes from outside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::let_underscore_must_use)]
#![allow(
    clippy::clone_on_ref_ptr,
    reason = "columns are shared, which nobody needs to see"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "killing a process is dropping its task"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

mod check;
mod episode;
mod faults;
mod gaps;
mod group;
mod instance;
mod limits;
mod offsets;
mod published;
mod seeds;
mod splits;
mod standby;
mod supervisor;
mod transactor;
mod world;

/// One thread and a clock that jumps to the next timer whenever everything waits.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be made")
}
