//! The program. `main` reads like a table of contents; the commands are in [`binlog_bridge::cli`].

use std::process::ExitCode;

use binlog_bridge::cli::{Cli, run};
use clap::Parser;

fn main() -> ExitCode {
    run(Cli::parse())
}
