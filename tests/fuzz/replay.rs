//! The fuzz targets over seeds from recorded binlogs and many changes of them: what `make soak fuzz` does for long.

// The lints are for the connector: here a panic is what is looked for.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the targets belong to another workspace"
)]
#![allow(clippy::let_underscore_must_use, reason = "any answer is good")]

#[path = "src/lib.rs"]
mod fuzz;
mod seeds;

use std::panic::catch_unwind;
use std::path::Path;

use crate::seeds::Seeds;

type Target = fn(&[u8]) -> usize;

const TARGETS: [(&str, Target); 9] = [
    ("events", fuzz::events),
    ("table_maps", fuzz::table_maps),
    ("rows", fuzz::rows),
    ("json", fuzz::json),
    ("decimals", fuzz::decimals),
    ("gtid_sets", fuzz::gtid_sets),
    ("frames", fuzz::frames),
    ("payloads", fuzz::payloads),
    ("mariadb", fuzz::mariadb),
];
/// Changed inputs for each target.
const CHANGES: usize = 4_000;

#[test]
fn no_bytes_make_a_target_panic() {
    let seeds = Seeds::of_golden_binlogs();
    for (name, target) in TARGETS {
        let seeds = seeds.of(name);
        assert!(seeds.len() > 5, "{name} has {} seeds", seeds.len());
        // Else nothing would be looked at.
        let understood = seeds
            .iter()
            .filter(|seed| check(name, target, seed) > 0)
            .count();
        assert!(
            understood * 2 > seeds.len(),
            "{name}: {understood} of {}",
            seeds.len()
        );
        let mut random = seeds::Random::new(7);
        for _ in 0..CHANGES {
            check(name, target, &random.changed(&seeds));
        }
    }
}

/// The seeds as files, for cargo-fuzz to begin with: into the folder that BINLOG_BRIDGE_FUZZ_SEEDS names.
#[test]
fn seeds_are_written_for_the_fuzzer() {
    let Some(folder) = std::env::var_os("BINLOG_BRIDGE_FUZZ_SEEDS") else {
        return;
    };
    let seeds = Seeds::of_golden_binlogs();
    for (name, _) in TARGETS {
        let folder = Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.of(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}

fn check(name: &str, target: Target, data: &[u8]) -> usize {
    catch_unwind(|| target(data)).unwrap_or_else(|_| {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("target {name} panics with {hex}");
    })
}
