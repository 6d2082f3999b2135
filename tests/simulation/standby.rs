//! Instances that stand by for each other.

use std::future::Future;
use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::health::Readiness;
use binlog_bridge::sink::transactor::SinkError;

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
        let (world, first, second) = pair().await;
        let group = world.group.clone().unwrap();
        let names = || group.names().join(" ");
        assert_eq!(names(), format!("{} {}", first.name, second.name));
        world.freeze(&first, 3 * SESSION_TIMEOUT);
        tokio::time::sleep(SESSION_TIMEOUT).await;
        group.lose(&first.name);
        until(&second, Readiness::Ready).await;
        goes_on(&world).await;
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
