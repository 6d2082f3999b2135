//! A task that is moved. What the GAP says of it is judged by the checker.

use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::offsets::{Move, Target, look, set};
use binlog_bridge::start::StartError;
use binlog_bridge_core::state::Owner;
use binlog_bridge_tests::simulated::faults::{Fault, Scripted, Step};
use binlog_bridge_tests::simulated::process::Process;

use crate::gaps::Asked;
use crate::runtime;
use crate::world::World;

const SOON: Duration = Duration::from_secs(120);

/// The command as a process of its own; it may die after some points. Its result, and the points that it passed.
pub async fn command(
    world: &mut World,
    target: Target,
    dies_after: Option<u64>,
) -> (Option<Result<Move, Error>>, u64) {
    world.commands += 1;
    let name = format!("offsets-{}", world.commands);
    let process = Process::new(&name, world.trace.clone());
    if let Some(points) = dies_after {
        process.die_after(points);
    }
    let mut task = world.task.clone();
    task.owner = Owner {
        instance: name,
        started_ts_ms: 0,
        command: Some("offsets set".to_owned()),
    };
    let executed = world.server().history.len();
    world.checker().asked = Some(Asked { target, executed });
    let connections = world.connections(&process);
    let work = async move {
        let (dump, log) = ((connections.dump)(), (connections.log)().unwrap());
        set(&task, dump, log, connections.registry, target).await
    };
    let work = tokio::spawn(work);
    while !work.is_finished() && !process.is_dead() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if process.is_dead() {
        work.abort();
        return (None, process.passed());
    }
    (Some(work.await.unwrap()), process.passed())
}

/// The command moves the task, and consumers are told the truth.
async fn moves(world: &mut World, target: Target) -> Move {
    let (moved, _) = command(world, target, None).await;
    let moved = moved.unwrap().unwrap();
    world.check().unwrap();
    moved
}

/// A task that runs and is caught up.
async fn streaming(gtid_on: bool) -> (World, crate::instance::Instance) {
    let mut world = World::calm(gtid_on);
    let instance = world.start();
    instance.ready().await;
    goes_on(&world).await;
    (world, instance)
}

async fn goes_on(world: &World) {
    (0..3).for_each(|_| world.server().transaction(10, false));
    world.caught_up(SOON).await.unwrap();
}

#[test]
fn a_running_task_goes_on_after_it_was_moved() {
    for gtid_on in [true, false] {
        runtime().block_on(async move {
            let (mut world, instance) = streaming(gtid_on).await;
            for count in 1..=3 {
                let moved = moves(&mut world, Target::Newest).await;
                assert_eq!(moved.gap.reason, "requested");
                assert!(!moved.gap.may_repeat);
                goes_on(&world).await;
                assert_eq!(world.checker().gaps, count);
                assert!(!instance.has_ended());
            }
        });
    }
}

#[test]
fn a_task_that_stood_still_passes_over_what_it_has_missed() {
    for gtid_on in [true, false] {
        runtime().block_on(async move {
            let (mut world, instance) = streaming(gtid_on).await;
            instance.kill().await;
            (0..5).for_each(|_| world.server().transaction(10, false));
            moves(&mut world, Target::Newest).await;
            assert_eq!(world.checker().left_out, 5);
            let _instance = world.start();
            goes_on(&world).await;
            assert_eq!(world.checker().left_out, 5);
        });
    }
}

#[test]
fn a_command_that_is_killed_at_any_step_costs_the_running_task_a_moment() {
    runtime().block_on(async {
        let (mut world, _instance) = streaming(true).await;
        let (_, points) = command(&mut world, Target::Newest, None).await;
        goes_on(&world).await;
        assert!(points > 10, "{points}");
        for point in 0..points {
            let (mut world, instance) = streaming(true).await;
            let (moved, _) = command(&mut world, Target::Newest, Some(point)).await;
            assert!(moved.is_none());
            goes_on(&world).await;
            assert!(!instance.has_ended());
        }
    });
}

#[test]
fn going_back_is_refused_while_nothing_is_missing_and_the_task_goes_on_at_once() {
    runtime().block_on(async {
        let (mut world, instance) = streaming(true).await;
        let (moved, _) = command(&mut world, Target::Oldest, None).await;
        let error = moved.unwrap().unwrap_err();
        assert!(
            matches!(error, Error::Start(StartError::NothingMissing)),
            "{error}"
        );
        goes_on(&world).await;
        assert!(!instance.has_ended());
        assert_eq!(world.checker().gaps, 0);
    });
}

/// With and without numbers of transactions, to either end.
fn each_way<F: Future<Output = ()>>(test: impl Fn(bool, Target) -> F) {
    for gtid_on in [true, false] {
        for target in [Target::Oldest, Target::Newest] {
            runtime().block_on(test(gtid_on, target));
        }
    }
}

#[test]
fn another_history_is_followed_from_its_oldest_or_its_newest_transaction() {
    each_way(|gtid_on, target| async move {
        let (mut world, instance) = streaming(gtid_on).await;
        instance.kill().await;
        world.server().transaction(10, false);
        world.server().reset();
        (0..20).for_each(|_| world.server().transaction(10, false));
        let error = world.start().ended().await.unwrap_err().error;
        assert!(matches!(error, Error::Start(_)), "{error}");
        moves(&mut world, target).await;
        let _instance = world.start();
        goes_on(&world).await;
        let left_out = match target {
            Target::Oldest => 1,
            Target::Newest => 21,
        };
        assert_eq!(world.checker().left_out, left_out);
    });
}

#[test]
fn what_is_left_behind_a_purged_position_is_published_once() {
    each_way(|gtid_on, target| async move {
        let (mut world, instance) = streaming(gtid_on).await;
        instance.kill().await;
        (0..3).for_each(|_| world.server().transaction(10, false));
        world.server().rotate();
        (0..2).for_each(|_| world.server().transaction(10, false));
        world.server().purge(1);
        let error = world.start().ended().await.unwrap_err().error;
        assert!(
            matches!(error, Error::Start(StartError::Purged { .. })),
            "{error}"
        );
        let moved = moves(&mut world, target).await;
        assert_eq!(moved.gap.reason, "position-purged");
        let left_out = match target {
            Target::Oldest => 3,
            Target::Newest => 5,
        };
        let _instance = world.start();
        goes_on(&world).await;
        assert_eq!(world.checker().left_out, left_out);
    });
}

/// A task that was killed when it had published some parts of the source transaction at hand.
async fn split(gtid_on: bool) -> World {
    let mut world = World::calm(gtid_on);
    world.task.limits.batch_bytes_max = 500;
    world.task.limits.transaction_bytes_max = 3_000;
    world.server().transaction(2, false);
    world.server().transaction(300, false);
    world.server().transaction(2, false);
    let instance = world.start();
    while world.checker().splits < 3 {
        world.check().unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    instance.kill().await;
    // What it has sent arrives first.
    tokio::time::sleep(SOON).await;
    world
}

#[test]
fn the_rest_of_a_split_source_transaction_is_passed_over_or_goes_on() {
    each_way(|gtid_on, target| async move {
        let mut world = split(gtid_on).await;
        let (moved, _) = command(&mut world, target, None).await;
        let left_out = match target {
            Target::Newest => {
                moved.unwrap().unwrap();
                2
            }
            Target::Oldest => {
                let error = moved.unwrap().unwrap_err();
                assert!(
                    matches!(error, Error::Start(StartError::NothingMissing)),
                    "{error}"
                );
                0
            }
        };
        let _instance = world.start();
        goes_on(&world).await;
        assert_eq!(world.checker().left_out, left_out);
    });
}

#[test]
fn a_split_source_transaction_that_is_purged_is_not_begun_again() {
    each_way(|gtid_on, target| async move {
        let mut world = split(gtid_on).await;
        world.server().rotate();
        world.server().transaction(10, false);
        world.server().purge(1);
        moves(&mut world, target).await;
        let _instance = world.start();
        goes_on(&world).await;
        let left_out = match target {
            Target::Oldest => 2,
            Target::Newest => 3,
        };
        assert_eq!(world.checker().left_out, left_out);
    });
}

#[test]
fn a_split_source_transaction_of_another_history_has_no_rest() {
    each_way(|gtid_on, target| async move {
        let mut world = split(gtid_on).await;
        world.server().reset();
        world.server().transaction(2, false);
        world.server().transaction(300, false);
        moves(&mut world, target).await;
        let _instance = world.start();
        goes_on(&world).await;
    });
}

#[test]
fn a_task_that_is_moved_in_the_middle_of_a_split_goes_on_behind_it() {
    for gtid_on in [true, false] {
        runtime().block_on(async move {
            let mut world = World::calm(gtid_on);
            world.task.limits.batch_bytes_max = 500;
            world.task.limits.transaction_bytes_max = 3_000;
            let instance = world.start();
            instance.ready().await;
            goes_on(&world).await;
            world.server().transaction(300, false);
            while world.checker().splits < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            moves(&mut world, Target::Newest).await;
            goes_on(&world).await;
            let checker = world.checker();
            assert_eq!((checker.gaps, checker.left_out), (1, 1));
            assert!(!instance.has_ended());
        });
    }
}

#[test]
fn a_look_fences_nobody() {
    runtime().block_on(async {
        let (mut world, instance) = streaming(true).await;
        let begun = world.checker().commits;
        let process = Process::new("look", world.trace.clone());
        let connections = world.connections(&process);
        let mut log = (connections.log)().unwrap();
        let moved = look(&world.task, (connections.dump)(), &mut log, Target::Newest).await;
        assert_eq!(moved.unwrap().gap.reason, "requested");
        assert_eq!(world.checker().commits, begun);
        goes_on(&world).await;
        assert!(instance.health.is_ready());
    });
}

#[test]
fn a_move_that_was_made_is_told_though_the_task_took_its_state_back_before_the_answer_came() {
    runtime().block_on(async {
        let (mut world, instance) = streaming(true).await;
        // After that of the owner record.
        world.broker().faults.script.push(Scripted {
            step: Step::Commit,
            after: 1,
            fault: Fault::AnswerLost,
        });
        let (moved, _) = command(&mut world, Target::Newest, None).await;
        moved.unwrap().unwrap();
        goes_on(&world).await;
        assert_eq!(world.checker().gaps, 1);
        assert!(!instance.has_ended());
    });
}
