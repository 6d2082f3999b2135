//! Kafka's consumer group, as instances that stand by for each other see it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::sink::log::{LogError, LogErrorKind};
use binlog_bridge::supervise::NewTurn;
use binlog_bridge::turn::{Order, Standing, TurnKeeper, turn};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// After so long without a sign of life the turn goes to another.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// The members in the order in which they came; the first has the turn.
#[derive(Clone, Default)]
pub struct Group(Arc<Mutex<Members>>);

#[derive(Default)]
struct Members {
    all: Vec<Member>,
    /// What whoever comes is refused with.
    refused: Option<LogErrorKind>,
    keepers: Vec<(String, AbortHandle)>,
}

struct Member {
    name: String,
    standing: watch::Sender<Standing>,
    /// It was not heard of for too long, and does not know yet that its turn is over.
    is_lost: bool,
    /// It asks again until it may join.
    is_refused: bool,
}

impl Group {
    /// How an instance of that name queues for its turn.
    pub fn member(&self, name: &str) -> NewTurn {
        let (group, name) = (self.clone(), name.to_owned());
        Box::new(move || {
            let (turn, keeper) = turn();
            group.join(&name, keeper.standing.clone());
            let serve = tokio::spawn(group.clone().serve(name.clone(), keeper));
            let handle = (name.clone(), serve.abort_handle());
            group.change(|members| members.keepers.push(handle));
            Ok(turn)
        })
    }

    /// Members that have the turn or wait for it, in order.
    pub fn names(&self) -> Vec<String> {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = members.all.iter().filter(|member| member.is_there());
        there.map(|member| member.name.clone()).collect()
    }

    /// Refuses whoever comes from now on, or lets in all that were refused. A member stays one.
    pub fn refuse(&self, refused: Option<LogErrorKind>) {
        self.change(|members| {
            members.refused = refused;
            for member in &mut members.all {
                member.is_refused &= refused.is_some();
            }
        });
    }

    /// The keeper of an instance's turn ends.
    pub fn end_keeper(&self, name: &str) {
        self.change(|members| {
            let is_its = |(of, _): &(String, AbortHandle)| of == name;
            for (_, keeper) in members.keepers.iter().filter(|keeper| is_its(keeper)) {
                keeper.abort();
            }
        });
        self.remove(name);
    }

    /// The brokers have not heard of a member for too long; it sleeps, and is not told.
    pub fn lose(&self, name: &str) {
        self.change(|members| {
            for member in members.all.iter_mut().filter(|member| member.name == name) {
                member.is_lost = true;
            }
        });
    }

    async fn serve(self, name: String, mut keeper: TurnKeeper) {
        loop {
            match keeper.orders.recv().await {
                Some(Order::Rejoin(done)) => {
                    self.remove(&name);
                    keeper.standing.send_replace(Standing::Joining);
                    self.join(&name, keeper.standing.clone());
                    done.send(()).ok();
                }
                Some(Order::Leave(done)) => {
                    self.remove(&name);
                    done.send(()).ok();
                    return;
                }
                // It was killed.
                None => {
                    tokio::time::sleep(SESSION_TIMEOUT).await;
                    return self.remove(&name);
                }
            }
        }
    }

    fn join(&self, name: &str, standing: watch::Sender<Standing>) {
        self.change(|members| {
            let is_refused = members.refused.is_some();
            if let Some(kind) = members.refused {
                standing.send_replace(Standing::Refused(LogError {
                    operation: "standby",
                    kind,
                    message: "simulated".to_owned(),
                }));
            }
            members.all.push(Member {
                name: name.to_owned(),
                standing,
                is_lost: false,
                is_refused,
            });
        });
    }

    fn remove(&self, name: &str) {
        self.change(|members| members.all.retain(|member| member.name != name));
    }

    fn change(&self, work: impl FnOnce(&mut Members)) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut members);
        let there = members.all.iter().filter(|member| member.is_there());
        for (place, member) in there.enumerate() {
            let standing = if place == 0 {
                Standing::Ours
            } else {
                Standing::Waiting
            };
            member.standing.send_if_modified(|told| {
                let is_new = *told != standing;
                *told = standing;
                is_new
            });
        }
    }
}

impl Member {
    fn is_there(&self) -> bool {
        !self.is_lost && !self.is_refused
    }
}
