//! binlog-bridge
fn main() {}
