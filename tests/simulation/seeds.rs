//! The real supervisor over simulated edges, with faults, kills and frozen processes drawn from a seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::episode::{Counts, simulate};

/// Seeds that once found a bug, for ever.
const KEPT: &str = include_str!("seeds.txt");
/// Seeds of an ordinary run, beside those that are kept.
const SEEDS: u64 = 2_000;
const THREADS: usize = 2;

#[test]
fn whatever_fails_every_row_is_published_once_and_in_order() {
    let seeds = chosen_seeds();
    let next = AtomicUsize::new(0);
    let sums = Mutex::new(Counts::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = seeds.get(index) else { break };
                    match twice(*seed) {
                        Ok(counts) => sums.lock().unwrap().add(counts),
                        Err(why) => {
                            failures.lock().unwrap().push((index + 1, *seed, why));
                            // Nothing more is begun.
                            next.fetch_max(seeds.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    eprintln!("{} seeds: {:?}", seeds.len(), sums.lock().unwrap());
    if let Some((count, seed, why)) = failures.lock().unwrap().first() {
        panic!(
            "{why}; after {count} seeds; repeat: SIM_TRACE=1 SIM_SEED={seed} cargo test -p binlog-bridge-tests --test simulation whatever"
        );
    }
}

/// Runs a seed twice: both runs must be the same, step by step.
fn twice(seed: u64) -> Result<Counts, String> {
    let once = || {
        std::panic::catch_unwind(|| simulate(seed)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map_or("", String::as_str);
            Err(format!("a panic: {text}"))
        })
    };
    let (first, second) = (once()?, once()?);
    if first == second {
        Ok(first.1)
    } else {
        Err("two runs of the seed differ".to_owned())
    }
}

/// `SIM_SEED=7` is one seed, `SIM_SEEDS=100..200` a range.
fn chosen_seeds() -> Vec<u64> {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return vec![seed.parse().expect("SIM_SEED is a number")];
    }
    if let Ok(range) = std::env::var("SIM_SEEDS") {
        let (from, to) = range.split_once("..").expect("SIM_SEEDS is from..to");
        let number = |text: &str| text.parse::<u64>().expect("SIM_SEEDS is from..to");
        return (number(from)..number(to)).collect();
    }
    let kept = KEPT
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse().ok());
    kept.chain(0..SEEDS).collect()
}
