//! The turn, by Kafka's consumer groups: who is given the only partition of the state topic has it.
//!
//! The group has the name of the transactional id. Nothing is read and no offset is committed; the partition is paused.
//! The cooperative protocol leaves it with the one that has it when another instance joins.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::client::{Context, without_secrets};
use super::failure::{Failure, kind_of_cause};
use super::{KafkaSettings, LogError, LogErrorKind};
use crate::turn::{Order, Standing, Turn, TurnKeeper, turn};

const OPERATION: &str = "standby";
/// How long a poll waits before the thread looks for orders.
const SLICE: Duration = Duration::from_millis(50);
/// How long giving up the partition may take.
const UNSUBSCRIBE_MAX: Duration = Duration::from_secs(2);
/// After so long without a heartbeat the brokers give the turn to another. They take no less than 6 s by default.
const SESSION_TIMEOUT_MS: u32 = 6000;
/// How soon an instance learns that another has left.
const HEARTBEAT_INTERVAL_MS: u32 = 100;

/// Queues for the turn, on a thread of its own. The state topic exists.
///
/// # Errors
/// If the client refuses its settings, or the system gives no thread.
pub fn queue_for_turn(settings: &KafkaSettings, state_topic: &str) -> Result<Turn, LogError> {
    let (turn, keeper) = turn();
    let TurnKeeper { standing, orders } = keeper;
    let standing = Arc::new(standing);
    let member = Member {
        client: Context::default(),
        standing: Arc::clone(&standing),
    };
    let config = settings.member();
    let consumer: BaseConsumer<Member> = config
        .create_with_context(member)
        .map_err(|error| without_secrets(Failure::from_client(&error), &config).at(OPERATION))?;
    let topic = state_topic.to_owned();
    let keep = Keep {
        consumer,
        topic,
        standing,
        orders,
    };
    let thread = std::thread::Builder::new().name("standby".to_owned());
    thread.spawn(move || keep.run()).map_err(|error| LogError {
        operation: OPERATION,
        kind: LogErrorKind::Other,
        message: error.to_string(),
    })?;
    Ok(turn)
}

impl KafkaSettings {
    fn member(&self) -> ClientConfig {
        let mut config = self.consumer(super::Isolation::ReadUncommitted);
        config
            .set("group.id", &self.transactional_id)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION_TIMEOUT_MS.to_string())
            .set("heartbeat.interval.ms", HEARTBEAT_INTERVAL_MS.to_string())
            // Without a timer as short, the client's thread looks only once a second whether a heartbeat is due.
            .set("statistics.interval.ms", HEARTBEAT_INTERVAL_MS.to_string())
            .set("auto.offset.reset", "latest")
            .set("enable.partition.eof", "false");
        config
    }
}

/// The thread's share.
struct Keep {
    consumer: BaseConsumer<Member>,
    topic: String,
    standing: Arc<watch::Sender<Standing>>,
    orders: tokio::sync::mpsc::UnboundedReceiver<Order>,
}

impl Keep {
    fn run(mut self) {
        self.subscribe();
        loop {
            match self.orders.try_recv() {
                Ok(Order::Rejoin(done)) => {
                    self.give_up();
                    self.subscribe();
                    done.send(()).ok();
                }
                Ok(Order::Leave(done)) => {
                    drop(self.consumer);
                    done.send(()).ok();
                    return;
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            if let Some(Err(error)) = self.consumer.poll(SLICE) {
                self.failed(&error);
            }
        }
    }

    fn subscribe(&self) {
        if let Err(error) = self.consumer.subscribe(&[&self.topic]) {
            self.failed(&error);
        }
    }

    fn give_up(&self) {
        self.consumer.unsubscribe();
        let began = std::time::Instant::now();
        while *self.standing.borrow() == Standing::Ours && began.elapsed() < UNSUBSCRIBE_MAX {
            self.consumer.poll(SLICE);
        }
        self.standing.send_replace(Standing::Joining);
    }

    /// What somebody has to mend is told, as long as this is no member yet; the client gets over all else by itself.
    fn failed(&self, error: &KafkaError) {
        let failure = Failure::from_client(error);
        let is_refused = match kind_of_cause(failure.code) {
            // A connection that was lost while credentials were exchanged looks the same.
            LogErrorKind::Authentication => self.consumer.context().client.refused_credentials(),
            LogErrorKind::Authorization | LogErrorKind::Configuration => true,
            _ => false,
        };
        if !is_refused {
            debug!(%error, "the group of the task's instances");
            return;
        }
        let refused = Standing::Refused(failure.at(OPERATION));
        self.standing.send_if_modified(|standing| {
            let is_new = *standing == Standing::Joining;
            if is_new {
                *standing = refused;
            }
            is_new
        });
    }
}

/// What the client tells of its membership.
struct Member {
    client: Context,
    standing: Arc<watch::Sender<Standing>>,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.client.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }

    /// Nobody reads them.
    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for Member {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) if partitions.count() > 0 => {
                if let Err(error) = consumer.pause(partitions) {
                    debug!(%error, "the partition of the turn is not paused");
                }
                self.standing.send_replace(Standing::Ours);
            }
            // Nothing new for the one that has it, and no turn for others.
            Rebalance::Assign(_) => {
                self.standing.send_if_modified(|standing| {
                    let is_new = matches!(standing, Standing::Joining | Standing::Refused(_));
                    if is_new {
                        *standing = Standing::Waiting;
                    }
                    is_new
                });
            }
            Rebalance::Revoke(_) => {
                self.standing.send_replace(Standing::Waiting);
            }
            Rebalance::Error(error) => {
                warn!(%error, "the group of the task's instances");
            }
        }
    }
}
