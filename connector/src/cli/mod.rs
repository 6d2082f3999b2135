//! The commands, and what they print.

pub mod render;
