//! What the rest of the program takes for granted of the three seams: written once for each, and held against the
//! real half with real servers and against the simulated half (`tests/simulated`). What the simulation finds is true
//! of the real world only as far as both halves keep these promises.
//!
//! `real/` has besides what only a real half can promise: time limits, secrets, the client libraries' ways.
//!
//! - BINLOG_BRIDGE_TEST_KAFKA names the brokers to use (`host:port`).
//! - BINLOG_BRIDGE_TEST_REGISTRY is the base URL of a schema registry's Confluent API.
//! - BINLOG_BRIDGE_TEST_MYSQL names a MySQL server (`host:port`, root without password) that nobody else uses
//!   meanwhile: the tests delete binlogs. GTIDs are on.

// Helpers of tests are tests, too: a failed unwrap is the test's answer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::let_underscore_must_use)]

/// Makes a test of each promise for each half: real with real time, simulated with a clock that jumps. A function
/// cannot do that, and a list by hand would in time leave out one half.
macro_rules! hold_against_both_halves {
    ($world:ident: $real:ty, $simulated:ty, [$($promise:ident),* $(,)?]) => {
        mod real {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(&mut <$real as super::$world>::new().await).await;
            })*
        }
        mod simulated {
            $(#[tokio::test(start_paused = true)]
            async fn $promise() {
                super::$promise(&mut <$simulated as super::$world>::new().await).await;
            })*
        }
    };
}

mod dump;
mod log;
mod real;
mod registry;
mod simulated;
mod wait;
