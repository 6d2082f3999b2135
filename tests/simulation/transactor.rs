//! The transactor over a cluster in memory, one fault at a time.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use binlog_bridge::error::{Error, Verdict};
use binlog_bridge::sink::transactor::{Committed, Mark, SinkError, Transactor};
use binlog_bridge_core::encode::Batch;
use binlog_bridge_core::state::owner_key;

use crate::world::STATE;
use binlog_bridge_tests::simulated::broker::{Broker, TRANSACTIONAL_ID};
use binlog_bridge_tests::simulated::faults::{Fault, Scripted, Step};
use binlog_bridge_tests::simulated::log::SimLog;
use binlog_bridge_tests::simulated::random::Random;

struct Cluster(Arc<Mutex<Broker>>);

impl Cluster {
    fn new() -> Self {
        let mut broker = Broker::new(Random::new(1), 0);
        broker.create(STATE, 1);
        Self(Arc::new(Mutex::new(broker)))
    }

    fn broker(&self) -> MutexGuard<'_, Broker> {
        let mut broker = self.0.lock().unwrap();
        broker.tick();
        broker
    }

    async fn start(&self, who: &str) -> Transactor<SimLog> {
        let log = SimLog::new(Arc::clone(&self.0), who);
        Transactor::start(log, STATE, who).await.unwrap().0
    }

    fn fault(&self, step: Step, fault: Fault) {
        self.broker().faults.script.push(Scripted {
            step,
            after: 0,
            fault,
        });
    }

    fn inits(&self) -> u32 {
        self.broker().steps[&Step::Init]
    }

    /// Another program becomes the producer and commits one record of the state.
    fn rival_commits(&self, key: &str, value: Option<&str>) {
        let mut broker = self.broker();
        let epoch = broker.init_at_once(TRANSACTIONAL_ID, "rival");
        let transaction = broker.transaction(TRANSACTIONAL_ID, epoch);
        let transaction = transaction.ok().and_then(Result::ok).unwrap();
        let record = (
            Some(key.as_bytes().to_vec()),
            value.map(|value| value.as_bytes().to_vec()),
        );
        assert_eq!(broker.append(transaction, STATE, 0, record), Ok(()));
        broker.send_end(TRANSACTIONAL_ID, epoch, true, Duration::ZERO);
    }
}

fn mark(number: u32) -> Mark {
    Mark {
        key: r#"["checkpoint"]"#.to_owned(),
        value: number.to_string().into_bytes(),
    }
}

fn owner(name: &str) -> String {
    format!(r#"{{"instance":"{name}","started_ts_ms":1}}"#)
}

fn block_on(test: impl Future<Output = ()>) {
    crate::runtime().block_on(test);
}

#[test]
fn an_unknown_commit_that_was_made_goes_on_without_a_restart() {
    for fault in [Fault::After, Fault::Slow, Fault::Transport] {
        block_on(async move {
            let cluster = Cluster::new();
            let mut transactor = cluster.start("a").await;
            cluster.fault(Step::Commit, fault);
            let (_, committed) = transactor.commit(Batch::default(), &mark(1)).await.unwrap();
            assert_eq!(committed, Committed::ReadBack, "{fault:?}");
            let (_, committed) = transactor.commit(Batch::default(), &mark(2)).await.unwrap();
            assert_eq!(committed, Committed::Certain, "{fault:?}");
        });
    }
}

#[test]
fn an_unknown_commit_that_was_not_made_restarts() {
    for fault in [Fault::Before, Fault::LateError] {
        block_on(async move {
            let cluster = Cluster::new();
            let mut transactor = cluster.start("a").await;
            cluster.fault(Step::Commit, fault);
            let error = transactor
                .commit(Batch::default(), &mark(1))
                .await
                .unwrap_err();
            assert!(matches!(error, SinkError::NotCommitted), "{error}");
            assert_eq!(Error::from(error).verdict(), Verdict::Restart);
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert_eq!(
                cluster.broker().committed.len(),
                0,
                "what is late takes no effect"
            );
        });
    }
}

#[test]
fn after_any_unknown_commit_a_new_producer_is_used_before_anything_is_appended() {
    for fault in [Fault::After, Fault::Slow, Fault::Transport] {
        block_on(async move {
            let cluster = Cluster::new();
            let mut transactor = cluster.start("a").await;
            cluster.fault(Step::Commit, fault);
            transactor.commit(Batch::default(), &mark(1)).await.unwrap();
            assert_eq!(cluster.inits(), 2, "{fault:?}");
            transactor.commit(Batch::default(), &mark(2)).await.unwrap();
            assert_eq!(cluster.inits(), 2, "a certain commit keeps the producer");
        });
    }
}

#[test]
fn a_commit_that_was_made_is_found_though_its_repetition_is_fenced() {
    block_on(async {
        for (fault, was_made) in [(Fault::AnswerLost, true), (Fault::Slow, false)] {
            let cluster = Cluster::new();
            let mut old = cluster.start("old").await;
            cluster.fault(Step::Commit, fault);
            let made = mark(1);
            let (error, ()) = tokio::join!(old.commit(Batch::default(), &made), async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                cluster.rival_commits(&owner_key(), Some(&owner("new")));
            });
            assert!(
                matches!(error, Err(SinkError::Log(error)) if error.kind.is_fenced()),
                "{fault:?}"
            );
            let inits = cluster.inits();
            assert_eq!(old.has(&made).await.unwrap(), was_made, "{fault:?}");
            assert_eq!(cluster.inits(), inits, "the rival was fenced");
        }
    });
}

#[test]
fn a_commit_that_was_made_is_found_though_a_rival_followed_it_before_its_answer_came() {
    block_on(async {
        let cluster = Cluster::new();
        let mut old = cluster.start("old").await;
        cluster.fault(Step::Commit, Fault::Held);
        let made = mark(1);
        let (error, ()) = tokio::join!(old.commit(Batch::default(), &made), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            cluster.rival_commits(&owner_key(), Some(&owner("new")));
        });
        assert!(matches!(error, Err(SinkError::TakenOver { .. })));
        assert!(old.has(&made).await.unwrap());
    });
}

#[test]
fn a_fenced_commit_does_not_fence_its_rival() {
    block_on(async {
        let cluster = Cluster::new();
        let mut transactor = cluster.start("a").await;
        transactor.append(Batch::default()).await.unwrap();
        let watched = Arc::clone(&cluster.0);
        let rival = tokio::spawn(async move {
            while !watched.lock().unwrap().steps.contains_key(&Step::Commit) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Cluster(watched).rival_commits(&owner_key(), Some(&owner("b")));
        });
        let error = transactor.commit(Batch::default(), &mark(1)).await;
        rival.await.unwrap();
        assert_eq!(cluster.inits(), 1);
        assert!(matches!(error, Err(SinkError::Log(error)) if error.kind.is_fenced()));
        let rival = transactor.look_for_rival().await.unwrap_err();
        assert!(matches!(rival, SinkError::TakenOver { instance, .. } if instance == "b"));
    });
}

#[test]
fn a_rival_that_comes_between_a_commit_and_the_look_at_the_end_is_seen() {
    block_on(async {
        let cluster = Cluster::new();
        let mut transactor = cluster.start("a").await;
        for number in 1..1000 {
            transactor
                .commit(Batch::default(), &mark(number))
                .await
                .unwrap();
        }
        let watched = Arc::clone(&cluster.0);
        let rival = tokio::spawn(async move {
            while watched.lock().unwrap().committed.len() < 1000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Cluster(watched).rival_commits(&owner_key(), Some(&owner("b")));
        });
        let _made = transactor.commit(Batch::default(), &mark(1000)).await;
        rival.await.unwrap();
        let rival = transactor.look_for_rival().await.unwrap_err();
        assert!(matches!(rival, SinkError::TakenOver { .. }));
    });
}

#[test]
fn a_rival_that_took_its_record_back_is_none() {
    block_on(async {
        let cluster = Cluster::new();
        let mut transactor = cluster.start("a").await;
        cluster.rival_commits(&owner_key(), Some(&owner("offsets")));
        cluster.rival_commits(&owner_key(), None);
        transactor.look_for_rival().await.unwrap();
    });
}
