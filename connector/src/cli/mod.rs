//! The commands, and what they print.

pub mod decode;
mod demo;
mod logs;
mod offsets;
pub mod render;
mod run;
mod schemas;
mod tail;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// Follows a MySQL binlog and publishes typed Avro events to Kafka, exactly once.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow the source and publish until stopped
    #[command(
        after_help = "Exit codes: 0 stopped by a signal, 2 configuration invalid, 3 refused at the \
        start, 4 stopped since somebody has to act.\n\nExample: binlog-bridge run --config shop.yaml"
    )]
    Run {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show where the task stands, or make it go on elsewhere
    Offsets {
        #[command(subcommand)]
        command: OffsetsCommand,
    },
    /// Print decoded events of the task's topics as JSON lines (committed ones only)
    #[command(
        after_help = "Example: binlog-bridge tail --config shop.yaml --no-follow shop.shop.orders"
    )]
    Tail(tail::Arguments),
    /// Print the schemas that the registry must have, one JSON object in a line
    #[command(
        after_help = "For a registry in which only others register (registry.auto_register: false). Each line can be \
        posted to /subjects/SUBJECT/versions as it is. Rows of before the table got its present definition need others. A table \
        that went on in another topic (registry.incompatible) has the same schemas under that topic's subjects.\n\nExample: binlog-bridge schemas --config shop.yaml"
    )]
    Schemas(schemas::Arguments),
    /// Print the rows of binlog files as JSON lines, without any server
    #[command(
        after_help = "The binlog must have been written with binlog_row_metadata=FULL.\n\nExample: binlog-bridge decode binlog.000007"
    )]
    Decode(decode::Arguments),
    /// Make a small shop on a server, follow it, and print its events
    #[command(after_help = "`make demo` starts the three servers first.")]
    Demo(demo::Arguments),
}

#[derive(Debug, Subcommand)]
enum OffsetsCommand {
    /// Print the state topic's content as JSON
    Show {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Go on elsewhere: what lies between is not published, and a GAP record tells consumers
    #[command(
        after_help = "For a task that cannot go on, as its position was purged or the server is another one. A task \
        that runs meanwhile goes on from the new place by itself.\n\nExample: binlog-bridge offsets set oldest \
        --config shop.yaml --dry-run"
    )]
    Set(offsets::SetArguments),
}

/// The option that names the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigFile {
    /// The task's configuration (YAML)
    #[arg(
        long = "config",
        short = 'c',
        value_name = "FILE",
        env = "BINLOG_BRIDGE_CONFIG"
    )]
    path: PathBuf,
}

/// Why a command ended early: one sentence of cause, one of remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: String,
    remedy: Option<String>,
    exit_code: u8,
}

/// The configuration is invalid.
const EXIT_CONFIGURATION: u8 = 2;
/// The server, the cluster or the registry refused at the start.
const EXIT_REFUSED: u8 = 3;
/// Somebody has to act.
const EXIT_HALT: u8 = 4;
/// Anything else.
const EXIT_OTHER: u8 = 1;

impl Failure {
    fn other(cause: impl std::fmt::Display) -> Self {
        Self {
            cause: cause.to_string(),
            remedy: None,
            exit_code: EXIT_OTHER,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            cause: format!("the configuration is invalid: {error}"),
            remedy: Some("Mend it; README.md and `binlog-bridge run --help` say how.".to_owned()),
            exit_code: EXIT_CONFIGURATION,
        }
    }
}

/// Where everything of the program runs; a panic there, or anywhere else, ends the process.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    crate::panics::end_the_process();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(WORKER_THREADS)
        .enable_all()
        .build()
}

/// Carries out a command and returns the program's exit code.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(Failure::other(error))),
    };
    logs::start(matches!(cli.command, Command::Demo(_)));
    let result = runtime.block_on(async {
        match cli.command {
            Command::Run { config } => Box::pin(run::run(&config.path)).await,
            Command::Offsets { command } => match command {
                OffsetsCommand::Show { config } => offsets::show(&config.path).await,
                OffsetsCommand::Set(arguments) => offsets::set(&arguments).await,
            },
            Command::Tail(arguments) => tail::tail(&arguments).await,
            Command::Schemas(arguments) => schemas::schemas(&arguments).await,
            Command::Decode(arguments) => decode::decode(&arguments),
            Command::Demo(arguments) => Box::pin(demo::demo(&arguments)).await,
        }
    });
    // What still waits for a server that is away must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    end(result)
}

/// One for the data path, one for probes and metrics.
const WORKER_THREADS: usize = 2;

#[allow(
    clippy::print_stderr,
    reason = "the last words of a command are for people"
)]
fn end(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", failure.cause);
    if let Some(remedy) = failure.remedy {
        eprintln!("remedy: {remedy}");
    }
    ExitCode::from(failure.exit_code)
}

pub(crate) fn load(path: &Path) -> Result<Config, Failure> {
    Ok(Config::load(path, &|name| std::env::var(name).ok())?)
}

/// Prints one line on standard output. `false` if nobody reads it any more.
pub(crate) fn print_line(text: &str) -> bool {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{text}").is_ok()
}
