//! The measured parts of `make bench` beside the connector: a dump to nowhere, and a bare producer; and the
//! reader that checks what both topics hold. `run.py` starts them and measures them from outside.

mod check;
mod dump;
mod produce;
mod topic;

use std::io::{self, BufRead, Write};

use clap::Parser;

/// What one process does.
#[derive(Debug, Parser)]
enum Command {
    /// Reads the binlog with the connector's own dump, and throws it away
    Dump(dump::Arguments),
    /// Reads a topic into memory, then sends its keys and values to another one
    Produce(produce::Arguments),
    /// Decodes every row of a topic, counts it and adds up its checksum
    Check(check::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Dump(arguments) => dump::dump(&arguments),
        Command::Produce(arguments) => produce::produce(&arguments),
        Command::Check(arguments) => check::check(&arguments),
    }
}

/// Says that the preparation is over, and waits for a line: what follows is measured.
fn await_start() -> anyhow::Result<()> {
    say(&serde_json::json!({"ready": true}))?;
    await_line()
}

/// Says what was done, and stays until the measurement was read off this process.
fn finish(figures: &serde_json::Value) -> anyhow::Result<()> {
    say(figures)?;
    await_line()
}

fn await_line() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(())
}

fn say(line: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
