//! Binlogs that real servers wrote, and the rows that come out of them: a case is an SQL script, its binlog, and the
//! JSON lines that are expected. `tests/golden/record` makes all of it anew; BINLOG_BRIDGE_REWRITE=1 only the lines.

// The lints are for the connector: here a failed unwrap is the test's answer.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use binlog_bridge::cli::decode::print_file;
use serde_json::Value;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    cases.sort();
    cases
}

/// The lines of a binlog, without what differs from one recording to the next.
fn lines(binlog: &Path) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    print_file(binlog, &[], &mut out)?;
    let text = String::from_utf8(out)?;
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line)?;
            let fields = line.as_object_mut().unwrap();
            for volatile in ["at", "gtid", "ts_us"] {
                let value = fields.shift_remove(volatile).unwrap();
                // Not every server numbers transactions.
                assert!(volatile == "gtid" || !value.is_null());
            }
            Ok(line.to_string())
        })
        .collect()
}

#[test]
fn rows_are_those_that_are_expected() {
    let cases = cases();
    assert!(cases.len() >= 9, "{}", cases.len());
    for case in cases {
        let found = lines_of(&case.with_extension("binlog"));
        check(&found, &case.with_extension("jsonl"));
    }
}

fn lines_of(binlog: &Path) -> Vec<String> {
    lines(binlog).unwrap_or_else(|error| panic!("{}: {error:#}", binlog.display()))
}

fn check(found: &[String], expectation: &Path) {
    if std::env::var_os("BINLOG_BRIDGE_REWRITE").is_some() {
        fs::write(expectation, found.join("\n") + "\n").unwrap();
    }
    let expected = fs::read_to_string(expectation).unwrap();
    let expected: Vec<_> = expected.lines().collect();
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(
            found,
            expected,
            "{} line {}",
            expectation.display(),
            number + 1
        );
    }
    assert_eq!(found.len(), expected.len(), "{}", expectation.display());
}

/// Every server, and what it alone can do.
const SERVERS: [(&str, Option<&str>); 8] = [
    ("mysql55", None),
    ("mysql56", None),
    ("mysql57", None),
    ("mysql8015", None),
    ("mysql80", Some("mysql80")),
    ("mysql9", Some("mysql9")),
    ("mariadb1011", Some("mariadb1011")),
    ("mariadb", Some("mariadb")),
];

/// The same statements make the same rows on each of them, with names in the binlog and without, with checksums and without.
#[test]
fn rows_of_every_server_are_those_that_are_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/servers");
    for (server, own) in SERVERS {
        let found = lines_of(&folder.join(server).with_extension("binlog"));
        let is_own = |line: &&String| {
            ["golden.own", "golden.versions"]
                .iter()
                .any(|table| line.contains(table))
        };
        let of_all = found
            .iter()
            .filter(|line| !is_own(line))
            .cloned()
            .collect::<Vec<_>>();
        check(&of_all, &folder.join("all.jsonl"));
        let of_own = found.iter().filter(is_own).cloned().collect::<Vec<_>>();
        assert_eq!(of_own.is_empty(), own.is_none(), "{server}");
        if let Some(own) = own {
            check(&of_own, &folder.join(own).with_extension("jsonl"));
        }
    }
}

#[test]
fn a_file_that_is_damaged_or_cut_is_an_error_and_no_panic() {
    let folder = std::env::temp_dir().join(format!("golden-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("binlog.000001");
    for case in cases() {
        let whole = fs::read(case.with_extension("binlog")).unwrap();
        for step in 0..60 {
            let place = whole.len() * step / 60;
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            for (bytes, is_cut) in [(&whole[..place], true), (&flipped[..], false)] {
                fs::write(&path, bytes).unwrap();
                let result = catch_unwind(|| print_file(&path, &[], &mut Vec::new()));
                let result = result.unwrap_or_else(|_| panic!("{} {place}", case.display()));
                // What lies behind the last event of rows may be missing unnoticed; a checksum tells of each flip.
                assert!(is_cut || result.is_err(), "{} {place}", case.display());
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Of servers without checksums a flip may give another value; whatever it gives, it is no panic.
#[test]
fn a_damaged_file_of_any_server_is_no_panic() {
    let folder = std::env::temp_dir().join(format!("golden-servers-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("binlog.000001");
    for (server, _) in SERVERS {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/servers");
        let whole = fs::read(original.join(server).with_extension("binlog")).unwrap();
        for step in 0..300 {
            let mut flipped = whole.clone();
            flipped[whole.len() * step / 300] ^= 1 << (step % 8);
            fs::write(&path, flipped).unwrap();
            let result = catch_unwind(|| print_file(&path, &[], &mut Vec::new()));
            assert!(result.is_ok(), "{server} {step}");
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}
