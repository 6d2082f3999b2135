//! `run`: the task itself.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use binlog_bridge_core::avro::TopicNames;
use binlog_bridge_core::state::Owner;
use tokio::signal::unix::{SignalKind, signal};

use super::watch::watch;
use super::{EXIT_HALT, EXIT_REFUSED, Failure};
use crate::config::Config;
use crate::error::Error;
use crate::health::Health;
use crate::http;
use crate::metrics::Metrics;
use crate::modify::Modifications;
use crate::registry::HttpRegistry;
use crate::shutdown::{Shutdown, shutdown};
use crate::sink::kafka::{KafkaLog, queue_for_turn};
use crate::source::mysql::{DumpSettings, MysqlDump};
use crate::supervise::{Connections, Halt, NewTurn, Task, supervise};

/// How long the batch at hand may take to be committed once the end is asked for. The default grace of
/// Kubernetes is 30 s; what is not committed by then is not lost but read again.
const FINISH_MAX: Duration = Duration::from_secs(3);

pub(super) async fn run(path: &Path) -> Result<(), Failure> {
    // Before anything answers to anybody: who is told that it runs may want it to end.
    let asked = signal_to_end();
    // Before it is used: what is changed in between is found later.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let config = super::load(path)?;
    let (trigger, shutdown) = shutdown();
    let file = Some((path.to_owned(), text));
    let work = work(config, file, Health::starting(), shutdown);
    tokio::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return result,
        () = asked => {}
    }
    tracing::info!("asked to end");
    trigger.ask();
    match tokio::time::timeout(FINISH_MAX, work).await {
        Ok(result) => result,
        Err(_) => {
            tracing::warn!("the batch at hand was not committed in time; it will be read again");
            Ok(())
        }
    }
}

/// Runs a task with its listener until the shutdown is asked for. Changes of the file, which had this text, take effect.
pub(super) async fn work(
    config: Config,
    file: Option<(PathBuf, String)>,
    health: Health,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let metrics = Metrics::new().map_err(Failure::other)?;
    let listener = match config.health {
        None => None,
        Some(address) => Some(http::bind(address).await.map_err(|error| Failure {
            cause: format!("http.health: cannot listen on {address}: {error}"),
            remedy: Some("Choose another address or end what listens there.".to_owned()),
            exit_code: super::EXIT_CONFIGURATION,
        })?),
    };
    let connections = connections(&config)?;
    let task = Arc::new(task(&config));
    let (modifier, modifications) = Modifications::new();
    let watching = async {
        match file {
            None => std::future::pending().await,
            Some((path, text)) => {
                watch(path, text, task.owner.clone(), modifier, metrics.clone()).await
            }
        }
    };
    tracing::info!(task = task.name, instance = task.owner.instance, "starting");
    let serve = async {
        match listener {
            None => std::future::pending().await,
            Some(listener) => {
                http::serve(listener, health.clone(), metrics.clone(), shutdown.clone()).await
            }
        }
    };
    let mut supervised = Box::pin(supervise(
        Arc::clone(&task),
        modifications,
        &connections,
        &health,
        &metrics,
        &shutdown,
    ));
    tokio::select! {
        biased;
        result = &mut supervised => result.map_err(halted),
        served = serve => {
            // The listener ends with the shutdown; before that it has failed.
            if let Err(error) = served {
                tracing::error!(%error, "the listener for probes has failed");
            }
            supervised.await.map_err(halted)
        }
        // It looks at the file as long as the program runs.
        never = watching => never,
    }
}

/// From now on SIGTERM and SIGINT do not end the process by themselves; waits for one of them.
pub(super) fn signal_to_end() -> impl Future<Output = ()> {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
    async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

fn halted(halt: Halt) -> Failure {
    let exit_code = if halt.was_ready {
        EXIT_HALT
    } else {
        EXIT_REFUSED
    };
    failure(&halt.error, halt.remedy, exit_code)
}

pub(super) fn failure(error: &Error, remedy: String, exit_code: u8) -> Failure {
    tracing::error!(state = error.state(), %error, remedy, "halted");
    Failure {
        cause: on_one_line(&error.to_string()),
        remedy: Some(on_one_line(&remedy)),
        exit_code,
    }
}

/// Names may hold line ends and what moves a terminal's cursor: nothing that a server says becomes a line of its own.
fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}

pub(super) fn task(config: &Config) -> Task {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Task {
        name: config.task.clone(),
        selection: config.selection.clone(),
        start: config.start.clone(),
        topics: config.topics.clone(),
        transactions: config.transactions,
        tombstones: config.tombstones,
        data_updates: config.data_updates,
        schema_updates: config.schema_updates,
        heartbeat_interval: config.heartbeat_interval,
        rules: config.rules.clone(),
        limits: config.limits,
        lookahead_entries_max: config.lookahead_entries_max,
        owner: Owner {
            instance: format!("{:016x}", rand::random::<u64>()),
            started_ts_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            command: None,
        },
    }
}

pub(super) fn connections(
    config: &Config,
) -> Result<Connections<MysqlDump, KafkaLog, HttpRegistry>, Failure> {
    let registry = HttpRegistry::new(config.registry.clone()).map_err(|error| Failure {
        cause: error.to_string(),
        remedy: Some("Mend registry.url in the configuration.".to_owned()),
        exit_code: super::EXIT_CONFIGURATION,
    })?;
    let (dump, look_ahead) = (config.dump.clone(), config.dump.clone());
    let (kafka, member) = (config.kafka.clone(), config.kafka.clone());
    let state_topic = TopicNames::new(&config.task).state();
    let turn: NewTurn = Box::new(move || queue_for_turn(&member, &state_topic));
    let with_id = |settings: &DumpSettings, server_id: u32| {
        let mut settings = settings.clone();
        // Two that share an id would throw each other out for ever.
        let is_taken = settings.server_id_taken.load(Ordering::Relaxed);
        settings.server_id = match server_id {
            chosen if chosen != 0 && !is_taken => chosen,
            _ => rand::random_range(SERVER_ID_RANDOM_MIN..u32::MAX),
        };
        MysqlDump::new(settings)
    };
    Ok(Connections {
        dump: Box::new(move || with_id(&dump, dump.server_id)),
        // The server ends a dump when another replica with its id comes: never the configured one.
        look_ahead: Box::new(move || with_id(&look_ahead, 0)),
        log: Box::new(move || KafkaLog::new(kafka.clone())),
        server_id_taken: Arc::clone(&config.dump.server_id_taken),
        registry: Arc::new(registry),
        turn: config.standby.then_some(turn),
    })
}

/// People number their servers from 1: random ids keep away from those.
const SERVER_ID_RANDOM_MIN: u32 = 1 << 20;
