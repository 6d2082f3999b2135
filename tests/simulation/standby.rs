//! Instances that stand by for each other.

use std::future::Future;
use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::health::Readiness;
use binlog_bridge::sink::log::LogErrorKind;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge_tests::simulated::faults::Step;

use crate::group::{Group, SESSION_TIMEOUT};
use crate::instance::Instance;
use crate::runtime;
use crate::world::World;

const SOON: Duration = Duration::from_secs(120);

fn block_on(test: impl Future<Output = ()>) {
    runtime().block_on(test);
}

/// Two that stand by for each other, of which the first runs the task.
async fn pair() -> (World, Instance, Instance) {
    let mut world = World::calm(true);
    world.group = Some(Group::default());
    let first = world.start();
    first.ready().await;
    let second = world.start();
    until(&second, Readiness::Standby).await;
    goes_on(&world).await;
    (world, first, second)
}

/// Two that stand by for each other, of which the first sleeps while the second takes over, and wakes up then.
async fn taken_over() -> (World, Instance, Instance) {
    let (world, first, second) = pair().await;
    let group = world.group.clone().unwrap();
    assert_eq!(group.names(), [first.name.as_str(), &second.name]);
    world.freeze(&first, 3 * SESSION_TIMEOUT);
    tokio::time::sleep(SESSION_TIMEOUT).await;
    group.lose(&first.name);
    until(&second, Readiness::Ready).await;
    goes_on(&world).await;
    (world, first, second)
}

async fn until(instance: &Instance, readiness: Readiness) {
    let wait = async {
        while instance.health.check() != readiness {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait)
        .await
        .unwrap_or_else(|_| panic!("{:?} instead of {readiness:?}", instance.health.check()));
}

async fn goes_on(world: &World) {
    (0..3).for_each(|_| world.server().transaction(10, false));
    world.caught_up(SOON).await.unwrap();
}

#[test]
fn the_next_one_takes_over_when_the_one_that_runs_is_stopped_or_killed() {
    for is_killed in [false, true] {
        block_on(async move {
            let (world, first, second) = pair().await;
            if is_killed {
                world.server().transaction(200, false);
                tokio::time::sleep(Duration::from_millis(3)).await;
                first.kill().await;
            } else {
                first.trigger.ask();
                first.ended().await.unwrap();
            }
            until(&second, Readiness::Ready).await;
            goes_on(&world).await;
        });
    }
}

#[test]
fn one_that_slept_stands_by_when_it_wakes_up_though_it_thinks_that_it_has_the_turn() {
    block_on(async {
        let (world, first, second) = taken_over().await;
        let group = world.group.clone().unwrap();
        let names = || group.names().join(" ");
        tokio::time::sleep(3 * SESSION_TIMEOUT).await;
        goes_on(&world).await;
        until(&first, Readiness::Standby).await;
        assert_eq!(second.health.check(), Readiness::Ready);
        assert_eq!(names(), format!("{} {}", second.name, first.name));
        second.kill().await;
        until(&first, Readiness::Ready).await;
        goes_on(&world).await;
    });
}

#[test]
fn of_two_that_begin_at_once_one_runs_the_task_and_neither_ends() {
    block_on(async {
        let mut world = World::calm(true);
        world.group = Some(Group::default());
        let instances = [world.start(), world.start(), world.start()];
        goes_on(&world).await;
        tokio::time::sleep(SOON).await;
        let count = |readiness: Readiness| {
            let is = |instance: &&Instance| instance.health.check() == readiness;
            instances.iter().filter(is).count()
        };
        assert_eq!((count(Readiness::Ready), count(Readiness::Standby)), (1, 2));
    });
}

#[test]
fn one_that_does_not_stand_by_ends_when_another_takes_over() {
    block_on(async {
        let mut world = World::calm(true);
        let first = world.start();
        first.ready().await;
        world.group = Some(Group::default());
        let second = world.start();
        second.ready().await;
        goes_on(&world).await;
        let error = first.ended().await.unwrap_err().error;
        assert!(
            matches!(&error, Error::Sink(SinkError::TakenOver { instance, .. }) if *instance == second.name),
            "{error}"
        );
    });
}

#[test]
fn one_that_may_not_stand_by_ends_and_says_which_right_it_needs() {
    block_on(async {
        let mut world = World::calm(true);
        let group = Group::default();
        world.group = Some(group.clone());
        let first = world.start();
        first.ready().await;
        group.refuse(Some(LogErrorKind::Authorization));
        let halt = world.start().ended().await.unwrap_err();
        let is_refused = matches!(&halt.error, Error::Sink(SinkError::Log(error))
            if error.kind == LogErrorKind::Authorization);
        assert!(is_refused, "{}", halt.error);
        assert!(
            halt.remedy.contains("standby, Read on the group"),
            "{}",
            halt.remedy
        );
        assert!(!halt.was_ready);
        goes_on(&world).await;
        assert_eq!(first.health.check(), Readiness::Ready);
        assert_eq!(group.names(), [first.name]);
    });
}

#[test]
fn one_that_may_stand_by_no_more_is_not_ready_until_it_may_again() {
    block_on(async {
        let (world, first, second) = taken_over().await;
        let group = world.group.clone().unwrap();
        group.refuse(Some(LogErrorKind::Authorization));
        tokio::time::sleep(3 * SESSION_TIMEOUT).await;
        for _ in 0..10 {
            goes_on(&world).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(!first.has_ended());
            let why = first.health.check();
            assert!(
                matches!(&why, Readiness::Not(why) if why.contains("standby")),
                "{why:?}"
            );
            assert_eq!(second.health.check(), Readiness::Ready);
        }
        group.refuse(None);
        until(&first, Readiness::Standby).await;
        second.kill().await;
        until(&first, Readiness::Ready).await;
        goes_on(&world).await;
    });
}

#[test]
fn one_whose_turn_nobody_keeps_queues_again_and_leaves_the_task_to_the_other() {
    block_on(async {
        let (world, first, second) = pair().await;
        let inits = world.broker().steps[&Step::Init];
        world.group.clone().unwrap().end_keeper(&second.name);
        tokio::time::sleep(Duration::from_millis(10)).await;
        let why = second.health.check();
        let words = "the thread that waits for the turn has ended";
        assert!(
            matches!(&why, Readiness::Not(why) if why.contains(words)),
            "{why:?}"
        );
        until(&second, Readiness::Standby).await;
        goes_on(&world).await;
        assert_eq!(first.health.check(), Readiness::Ready);
        assert_eq!(world.broker().steps[&Step::Init], inits);
        first.kill().await;
        until(&second, Readiness::Ready).await;
        goes_on(&world).await;
    });
}
