//! What happens at the limits of time.

use std::time::Duration;

use binlog_bridge::catalog::CatalogError;
use binlog_bridge::error::Error;
use binlog_bridge::sink::topics::Pace;
use binlog_bridge::sink::transactor::SinkError;
use tokio::time::Instant;

use crate::runtime;
use crate::world::{STATE, World};

const SOON: Duration = Duration::from_secs(120);

#[test]
fn a_state_that_is_held_back_by_what_does_not_end_halts_and_names_the_tool() {
    runtime().block_on(async {
        let mut world = World::calm(true);
        world.broker().create(STATE, 1);
        world.broker().transaction_timeout = Duration::from_secs(24 * 3600);
        world.broker().begin_foreign(STATE);
        let instance = world.start();
        tokio::time::sleep(Duration::from_secs(85)).await;
        assert!(!instance.has_ended() && !instance.health.is_ready());
        let halt = instance.ended().await.unwrap_err();
        let is_hanging = matches!(
            &halt.error,
            Error::Sink(SinkError::HangingTransaction { topic, offset: 0, .. }) if topic == STATE
        );
        assert!(is_hanging, "{}", halt.error);
        assert!(
            halt.remedy.ends_with(&format!(
                "abort --topic {STATE} --partition 0 --start-offset 0"
            )),
            "{}",
            halt.remedy
        );
    });
}

#[test]
fn what_a_topic_has_of_a_transaction_that_is_over_is_not_published_with_the_next() {
    runtime().block_on(async {
        let mut world = World::calm(true);
        let instance = world.start();
        world.server().transaction(40, false);
        world.caught_up(SOON).await.unwrap();
        instance.kill().await;
        // A transaction that ends late only keeps the task waiting.
        world.broker().transaction_timeout = Duration::from_secs(24 * 3600);
        let foreign = world.broker().begin_foreign("sim.shop.t");
        let instance = world.start();
        instance.ready().await;
        world.server().insert(0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.broker().end_foreign(foreign, false);
        world.caught_up(SOON).await.unwrap();
        instance.kill().await;
        world.broker().begin_foreign("sim.shop.t");
        let instance = world.start();
        instance.ready().await;
        world.server().insert(0);
        let halt = instance.ended().await.unwrap_err();
        let is_held_back = matches!(
            &halt.error,
            Error::Catalog(CatalogError::HeldBack { topic, partition: 0, .. }) if topic == "sim.shop.t"
        );
        assert!(is_held_back, "{}", halt.error);
        assert!(halt.remedy.contains("--topic sim.shop.t --partition 0 --start-offset"));
        // Somebody has seen that it was committed.
        world.task.topics.publish_held_back = true;
        let instance = world.start();
        instance.ready().await;
        world.server().insert(0);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(!instance.has_ended() && instance.health.is_ready());
    });
}

#[test]
fn a_batch_waits_for_more_until_its_interval_is_over() {
    runtime().block_on(async {
        let mut world = World::calm(true);
        world.task.limits.commit_interval_min = Duration::from_secs(2);
        world.task.limits.batch_bytes_max = 1 << 20;
        let instance = world.start();
        instance.ready().await;
        let before = world.checker().commits;
        for _ in 0..200 {
            world.server().transaction(2, false);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let commits = world.checker().commits - before;
        assert!((9..=11).contains(&commits), "{commits} commits in 20 s");
        world.caught_up(SOON).await.unwrap();
    });
}

#[test]
fn pauses_between_runs_grow_to_fifteen_seconds_and_are_short_again_after_a_run_that_lasted() {
    runtime().block_on(async {
        let mut world = World::calm(true);
        let instance = world.start();
        instance.ready().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        for _ in 0..2 {
            let made = || world.faults_made().values().sum::<u64>();
            let before = made();
            world.network().faults.per_mille = 1000;
            world.server().cut();
            tokio::time::sleep(Duration::from_secs(5)).await;
            // After 0.1, 0.3, 0.7, 1.5, 3.1 s.
            let early = made() - before;
            assert!((2..=8).contains(&early), "{early} runs in 5 s");
            tokio::time::sleep(Duration::from_secs(600)).await;
            let late = made() - before - early;
            assert!((35..=90).contains(&late), "{late} runs in 10 min");
            world.network().faults.per_mille = 0;
            world.server().transaction(2, false);
            world.caught_up(SOON).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    });
}

#[test]
fn fault_65_of_tables_that_are_made_in_a_loop_fifty_topics_are_made_in_a_second() {
    runtime().block_on(async {
        let mut pace = Pace::default();
        let began = Instant::now();
        for _ in 0..=100 {
            pace.wait().await;
        }
        let elapsed = began.elapsed();
        assert!((2.0..2.2).contains(&elapsed.as_secs_f64()), "{elapsed:?}");
    });
}
