//! Kafka's consumer group, as instances that stand by for each other see it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::supervise::NewTurn;
use binlog_bridge::turn::{Order, Standing, TurnKeeper, turn};
use tokio::sync::watch;

/// After so long without a sign of life the turn goes to another.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// The members in the order in which they came; the first has the turn.
#[derive(Clone, Default)]
pub struct Group {
    members: Arc<Mutex<Vec<Member>>>,
}

struct Member {
    name: String,
    standing: watch::Sender<Standing>,
    /// It was not heard of for too long, and does not know yet that its turn is over.
    is_lost: bool,
}

impl Group {
    /// How an instance of that name queues for its turn.
    pub fn member(&self, name: &str) -> NewTurn {
        let (group, name) = (self.clone(), name.to_owned());
        Box::new(move || {
            let (turn, keeper) = turn();
            group.join(&name, keeper.standing.clone());
            tokio::spawn(group.clone().serve(name.clone(), keeper));
            Ok(turn)
        })
    }

    /// Members that have the turn or wait for it, in order.
    pub fn names(&self) -> Vec<String> {
        let is_there = |member: &&Member| !member.is_lost;
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members
            .iter()
            .filter(is_there)
            .map(|member| member.name.clone())
            .collect()
    }

    /// The brokers have not heard of a member for too long; it sleeps, and is not told.
    pub fn lose(&self, name: &str) {
        self.change(|members| {
            for member in members.iter_mut().filter(|member| member.name == name) {
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
            members.push(Member {
                name: name.to_owned(),
                standing,
                is_lost: false,
            });
        });
    }

    fn remove(&self, name: &str) {
        self.change(|members| members.retain(|member| member.name != name));
    }

    fn change(&self, work: impl FnOnce(&mut Vec<Member>)) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut members);
        let there = members.iter().filter(|member| !member.is_lost);
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
