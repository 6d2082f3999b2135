//! The real supervisor over simulated edges, with faults, kills and frozen processes drawn from a seed.

use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge::start::Start;
use binlog_bridge::supervise::Halt;

use crate::world::{Instance, World};
use binlog_bridge_tests::simulated::random::Random;

const SEEDS: u64 = 600;

#[test]
fn whatever_fails_every_row_is_published_once_and_in_order() {
    let only: Option<u64> = std::env::var("SIM_SEED")
        .ok()
        .map(|seed| seed.parse().expect("SIM_SEED is a number"));
    let count = std::env::var("SIM_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(SEEDS);
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let result = std::panic::catch_unwind(|| simulate(seed));
        let why = match result {
            Ok(Ok(_)) => continue,
            Ok(Err(why)) => why,
            Err(_) => "a panic".to_owned(),
        };
        panic!(
            "{why}; repeat: SIM_SEED={seed} cargo test -p binlog-bridge-tests --test simulation whatever"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        assert_eq!(simulate(seed), simulate(seed), "SIM_SEED={seed}");
    }
}

/// Runs one seed; the trace of all that happened.
fn simulate(seed: u64) -> Result<u64, String> {
    crate::runtime().block_on(episode(Random::new(seed)))
}

async fn episode(mut random: Random) -> Result<u64, String> {
    let gtid_on = random.per_mille(500);
    let faults = random.one_of(&[0, 10, 50, 150]);
    let mut world = World::new(random.fork(), gtid_on, faults);
    world.task.limits.batch_bytes_max = usize::try_from(random.below(200..3_000)).unwrap();
    world.task.limits.commit_interval_min = Duration::from_millis(random.one_of(&[0, 0, 30]));
    world.task.start = if random.one_of(&[true, false]) {
        Start::Latest
    } else {
        Start::Earliest
    };
    for _ in 0..random.below(0..20) {
        world.server().grow();
    }
    let mut instances = vec![world.start()];
    for _ in 0..random.below(5..40) {
        act(&mut world, &mut random, &mut instances).await;
        world.check()?;
        reap(&mut instances).await?;
    }
    world.end_faults();
    // Long enough for every frozen process to wake up, and for every transaction to time out.
    tokio::time::sleep(Duration::from_secs(150)).await;
    reap(&mut instances).await?;
    if instances.is_empty() {
        instances.push(world.start());
    }
    world.caught_up(Duration::from_secs(300)).await?;
    // One that was fenced while it had nothing to do finds out by its next commit, and leaves.
    world.server().grow();
    tokio::time::sleep(Duration::from_secs(60)).await;
    reap(&mut instances).await?;
    if instances.is_empty() {
        instances.push(world.start());
    }
    world.caught_up(Duration::from_secs(60)).await?;
    for instance in instances {
        instance.kill().await;
    }
    let trace = world.broker().trace();
    Ok(trace)
}

async fn act(world: &mut World, random: &mut Random, instances: &mut Vec<Instance>) {
    tokio::time::sleep(Duration::from_millis(random.below(0..400))).await;
    match random.below(0..12) {
        0 => {
            if let Some(instance) = instances.pop() {
                world.broker().note(&format!("{} is killed", instance.name));
                instance.kill().await;
            }
            instances.push(world.start());
        }
        1 => {
            if let Some(instance) = instances.last() {
                instance.freeze(Duration::from_millis(random.below(1..90_000)));
            }
            instances.push(world.start());
        }
        2 if instances.len() < 3 => instances.push(world.start()),
        3 => tokio::time::sleep(Duration::from_millis(random.below(0..20_000))).await,
        4 => {
            if let Some(instance) = instances.last() {
                instance.freeze(Duration::from_millis(random.below(1..3_000)));
            }
        }
        5 if instances.len() == 1 => instances[0].trigger.ask(),
        _ => {
            for _ in 0..random.below(1..8) {
                world.server().grow();
            }
        }
    }
    if instances.is_empty() {
        instances.push(world.start());
    }
}

/// Takes away what has ended. Only another instance, or a broker that ends transactions, may end one.
async fn reap(instances: &mut Vec<Instance>) -> Result<(), String> {
    let mut alive = Vec::new();
    for instance in instances.drain(..) {
        if !instance.has_ended() {
            alive.push(instance);
            continue;
        }
        let name = instance.name.clone();
        match instance.ended().await {
            Ok(()) => {}
            Err(Halt {
                error: Error::Sink(SinkError::TakenOver { .. }),
                ..
            }) => {}
            Err(Halt {
                error: Error::FencedByNobody,
                ..
            }) => {}
            Err(halt) => return Err(format!("{name} ended: {}", halt.error)),
        }
    }
    *instances = alive;
    Ok(())
}
