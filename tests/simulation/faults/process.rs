//! Faults of our own process.

use std::sync::Arc;
use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge_core::state::{STATE_FORMAT, StateError, checkpoint_key};
use binlog_bridge_tests::simulated::faults::Step;

use super::kafka::write_state;
use super::{SOON, block_on, both_modes, goes_on, halts, streaming};
use crate::world::World;

/// What an orchestrator gives a process at least, once it was asked to end.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(1);

/// Transactions of every kind, one of which is split.
fn scenario(gtid_on: bool) -> World {
    let mut world = World::calm(gtid_on);
    world.task.limits.batch_bytes_max = 400;
    world.task.limits.transaction_bytes_max = 1_500;
    {
        let mut server = world.server();
        server.transaction(2, false);
        server.transaction(1, true);
        server.define();
        server.transaction(30, false);
        server.rotate();
        server.transaction(2, false);
    }
    world
}

/// Runs the scenario with kills, each after so many more points: an instance follows on each. The last one's points.
async fn survive(gtid_on: bool, kills: &[u64]) -> u64 {
    let mut world = scenario(gtid_on);
    for points in kills {
        let instance = world.start();
        instance.process.die_after(*points);
        while !instance.has_ended() && world.check().unwrap() < world.server().history.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        instance.kill().await;
    }
    let instance = world.start();
    world.caught_up(SOON).await.unwrap();
    assert!(world.checker().splits >= 2, "the scenario has a split");
    instance.process.passed()
}

#[test]
fn fault_88_a_kill_at_each_step_costs_and_doubles_nothing() {
    both_modes(|gtid_on| async move {
        let points = survive(gtid_on, &[]).await;
        assert!(points > 100, "{points}");
        for point in 0..points {
            survive(gtid_on, &[point]).await;
        }
    });
}

#[test]
fn fault_88_a_second_kill_at_each_step_of_the_recovery_costs_and_doubles_nothing() {
    both_modes(|gtid_on| async move {
        let points = survive(gtid_on, &[]).await;
        for first in (0..points).step_by(17) {
            for second in (0..points).step_by(5) {
                survive(gtid_on, &[first, second]).await;
            }
        }
    });
}

#[test]
fn fault_89_a_shutdown_at_each_step_ends_in_time_and_costs_nothing() {
    both_modes(|gtid_on| async move {
        let points = survive(gtid_on, &[]).await;
        for point in 0..points {
            let mut world = scenario(gtid_on);
            let instance = world.start();
            let trigger = Arc::clone(&instance.trigger);
            let (asked, is_asked) = tokio::sync::oneshot::channel();
            instance.process.meet_after(point, move || {
                trigger.ask();
                let _nobody_waits = asked.send(());
            });
            is_asked.await.expect("the point comes");
            let ended = tokio::time::timeout(SHUTDOWN_WITHIN, instance.ended());
            let ended = ended.await;
            ended
                .unwrap_or_else(|_| panic!("asked at point {point}, it does not end in time"))
                .unwrap();
            world.check().unwrap();
            let _instance = world.start();
            world.caught_up(SOON).await.unwrap();
        }
    });
}

#[test]
fn fault_90_a_process_that_was_frozen_for_two_minutes_finds_itself_fenced() {
    both_modes(|gtid_on| async move {
        let (mut world, old) = streaming(gtid_on).await;
        world.server().transaction(3, false);
        world.freeze(&old, Duration::from_secs(120));
        let new = world.start();
        new.ready().await;
        goes_on(&world).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        goes_on(&world).await;
        let name = new.name.clone();
        let is_taken_over = |error: &Error| matches!(error, Error::Sink(SinkError::TakenOver { instance, .. }) if *instance == name);
        halts(&world, old, is_taken_over).await;
        goes_on(&world).await;
        assert!(!new.has_ended());
    });
}

#[test]
fn fault_94_a_state_of_a_newer_format_is_refused() {
    block_on(async {
        let (mut world, instance) = streaming(true).await;
        instance.kill().await;
        let newer = format!(r#"{{"format":{},"unheard_of":1}}"#, STATE_FORMAT + 1);
        write_state(&world, &checkpoint_key(), &newer);
        let commits = world.broker().steps[&Step::Commit];
        let instance = world.start();
        let is_newer = |error: &Error| {
            matches!(
                error,
                Error::Sink(SinkError::State(StateError::Format { .. }))
            )
        };
        let halt = instance.ended().await.unwrap_err();
        assert!(is_newer(&halt.error), "{}", halt.error);
        assert_eq!(
            world.broker().steps[&Step::Commit],
            commits,
            "it writes nothing"
        );
    });
}
