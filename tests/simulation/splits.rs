//! Source transactions that one Kafka transaction cannot hold.

use std::time::Duration;

use binlog_bridge_core::state::{Checkpoint, checkpoint_key};

use binlog_bridge_tests::simulated::broker::{Broker, Fence};
use binlog_bridge_tests::simulated::faults::{Fault, Scripted, Step};

use crate::world::{STATE, World};

const SOON: Duration = Duration::from_secs(60);

fn block_on(test: impl Future<Output = ()>) {
    crate::runtime().block_on(test);
}

/// The checkpoints of the committed Kafka transactions, in order.
fn checkpoints(broker: &Broker) -> Vec<Checkpoint> {
    broker
        .records(STATE, 0, 0)
        .filter(|(_, key, _)| *key == Some(checkpoint_key().as_bytes()))
        .map(|(_, _, value)| serde_json::from_slice(value.unwrap()).unwrap())
        .collect()
}

fn splits(world: &World) -> usize {
    checkpoints(&world.broker())
        .iter()
        .filter(|checkpoint| checkpoint.split.is_some())
        .count()
}

#[test]
fn a_source_transaction_over_the_byte_limit_is_split_and_killed_in_every_part() {
    for gtid_on in [true, false] {
        block_on(async move {
            let mut world = World::calm(gtid_on);
            world.task.limits.batch_bytes_max = 500;
            world.task.limits.transaction_bytes_max = 3_000;
            world.server().transaction(2, false);
            world.server().transaction(300, false);
            world.server().transaction(2, false);
            let mut seen = 0;
            for _ in 0..10 {
                let instance = world.start();
                while splits(&world) == seen {
                    world.check().unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                instance.kill().await;
                seen = splits(&world);
            }
            let _instance = world.start();
            world.caught_up(SOON).await.unwrap();
            assert!(splits(&world) >= 10);
            let last = checkpoints(&world.broker()).pop().unwrap();
            assert_eq!((last.split, last.skip_rows), (None, 0));
        });
    }
}

#[test]
fn a_source_transaction_within_the_limits_is_never_split() {
    for gtid_on in [true, false] {
        block_on(async move {
            let mut world = World::calm(gtid_on);
            world.task.limits.batch_bytes_max = 500;
            let _instance = world.start();
            for _ in 0..20 {
                world.server().transaction(60, false);
                world.caught_up(SOON).await.unwrap();
            }
            assert_eq!(splits(&world), 0);
        });
    }
}

#[test]
fn a_source_transaction_that_takes_too_long_is_split_before_the_broker_ends_it() {
    block_on(async {
        let mut world = World::calm(true);
        world.task.limits.batch_bytes_max = 500;
        world.server().transaction(2, false);
        // The source falls silent in the middle of the transaction.
        world.network().block_events_max = 1;
        let instance = world.start();
        instance.ready().await;
        let appends = world.broker().steps[&Step::Append];
        world.server().transaction(100, false);
        while world.broker().steps[&Step::Append] < appends + 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.network().faults.script.push(Scripted {
            step: Step::Next,
            after: 0,
            fault: Fault::Hang,
        });
        while splits(&world) == 0 {
            world.check().unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.caught_up(SOON).await.unwrap();
        let is_by_nobody = |fence: &Fence| fence.by.is_none();
        assert!(!world.broker().fences.iter().any(is_by_nobody));
    });
}
