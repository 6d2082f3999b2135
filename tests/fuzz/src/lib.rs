//! What the fuzz targets do with bytes: no panic, no hang, and what is encoded can be read.
//!
//! `cargo fuzz` runs them under libFuzzer; `replay.rs` beside this runs them in the ordinary tests.

mod stream;
mod targets;

pub use targets::{decimals, events, frames, gtid_sets, json, mariadb, payloads, rows, table_maps};
