//! Faults that the state machine can be held to, numbered as the tests on real servers number them.

mod kafka;
mod process;
mod source;

use std::future::Future;
use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge_tests::simulated::faults::{Fault, Scripted, Step};

use crate::instance::Instance;
use crate::world::World;

/// Whatever heals is published within this time.
const SOON: Duration = Duration::from_secs(120);
/// Longer than any pause of the connector.
const WHILE: Duration = Duration::from_secs(60);

fn block_on(test: impl Future<Output = ()>) {
    crate::runtime().block_on(test);
}

/// With and without numbers of transactions.
fn both_modes<F: Future<Output = ()>>(test: impl Fn(bool) -> F) {
    for gtid_on in [true, false] {
        block_on(test(gtid_on));
    }
}

/// A world whose first transactions are published, and the instance that did it.
async fn streaming(gtid_on: bool) -> (World, Instance) {
    let mut world = World::calm(gtid_on);
    let instance = world.start();
    instance.ready().await;
    // Of both tables.
    (0..3).for_each(|_| world.server().transaction(10, false));
    world.caught_up(SOON).await.unwrap();
    (world, instance)
}

/// The next step of that kind meets a fault.
fn next(world: &World, step: Step, fault: Fault) {
    next_after(world, step, 0, fault);
}

/// After some steps of that kind that go well, one meets a fault.
fn next_after(world: &World, step: Step, after: u32, fault: Fault) {
    let scripted = || Scripted { step, after, fault };
    match step {
        Step::Registry => world
            .registry
            .faults(|faults| faults.script.push(scripted())),
        Step::Survey | Step::Open | Step::Next => world.network().faults.script.push(scripted()),
        _ => world.broker().faults.script.push(scripted()),
    }
}

/// More transactions come, and all of them are published.
async fn goes_on(world: &World) {
    (0..3).for_each(|_| world.server().transaction(3, false));
    world.caught_up(SOON).await.unwrap();
}

/// It ends by itself, with that error, and nothing that does not hold was published.
async fn halts(world: &World, instance: Instance, is_expected: impl Fn(&Error) -> bool) {
    let halt = instance.ended().await.unwrap_err();
    assert!(is_expected(&halt.error), "{}", halt.error);
    assert!(halt.remedy.ends_with('.'), "{}", halt.remedy);
    world.check().unwrap();
}
