//! What a source transaction took back before it ended. Servers write it where something else has to be in the binlog (a
//! temporary table that was made or dropped, in MariaDB and MySQL before 8.0): rows, and behind them ROLLBACK, or ROLLBACK TO
//! SAVEPOINT. Rows of engines that take nothing back stand in transactions of their own (seen in 5.5 to 9 and MariaDB).
//!
//! What is taken back is known only behind the rows: then, at the end of the transaction, the run begins again from the
//! checkpoint, and leaves them out.

use std::collections::BTreeMap;

use binlog_bridge_core::decode::Transaction;
use binlog_bridge_core::position::FileOffset;

/// Rows events that a source transaction took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Where the transaction's first event begins.
    pub first: FileOffset,
    /// Tells it from another one in the same place, in microseconds since 1970.
    pub commit_time_us: i64,
    /// By their numbers in the transaction, from 0: the first of each run, and the one behind its last.
    pub ranges: Vec<(u64, u64)>,
}

/// A statement takes back what nobody can tell the beginning of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownSavepoint;

/// Names of savepoints that are remembered; beyond, none of those of before is.
const SAVEPOINTS_MAX: usize = 10_000;

/// Counts the rows events of the transaction at hand.
#[derive(Debug, Default)]
pub(crate) struct Rollbacks {
    /// Known from runs before.
    known: Vec<TakenBack>,
    /// The transaction at hand, and what of it is known from them.
    transaction: Option<(FileOffset, i64)>,
    ranges: Vec<(u64, u64)>,
    /// What it has taken back, and was not known.
    found: Vec<(u64, u64)>,
    /// Rows events so far, selected or not.
    count: u64,
    /// The last one whose rows are published.
    last_kept: Option<u64>,
    /// By name, what there was when it was set.
    savepoints: BTreeMap<String, Savepoint>,
    /// How many were set so far.
    set: u64,
}

#[derive(Debug)]
struct Savepoint {
    number: u64,
    count: u64,
    last_kept: Option<u64>,
}

impl Rollbacks {
    pub(crate) fn new(known: Vec<TakenBack>) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Takes note of an event with rows; true if they were taken back.
    pub(super) fn next_rows(&mut self, transaction: &Transaction, is_selected: bool) -> bool {
        self.begin(transaction);
        let number = self.count;
        self.count += 1;
        let is_in = |(from, to): &(u64, u64)| (*from..*to).contains(&number);
        let is_taken_back = self.ranges.iter().any(is_in);
        if is_selected && !is_taken_back {
            self.last_kept = Some(number);
        }
        is_taken_back
    }

    /// Takes note of an event with rows that nobody wants, and of which nothing but the header was kept.
    pub(super) fn passed_over(&mut self, transaction: &Transaction) {
        self.begin(transaction);
        self.count += 1;
    }

    /// Takes note of a statement inside of the transaction.
    ///
    /// # Errors
    /// If it takes back rows that are published, and from where on is not known.
    pub(super) fn statement(
        &mut self,
        transaction: &Transaction,
        text: &str,
        is_rollback: bool,
    ) -> Result<(), UnknownSavepoint> {
        self.begin(transaction);
        if !is_rollback {
            if let Some(name) = behind(text, &["SAVEPOINT"]) {
                self.set_savepoint(name);
            }
            return Ok(());
        }
        let name = behind(text, &["ROLLBACK", "WORK", "TO", "SAVEPOINT"]);
        let savepoint = name.and_then(|name| self.savepoints.get(&name));
        let Some(&Savepoint {
            number,
            count,
            last_kept,
        }) = savepoint
        else {
            return match self.last_kept {
                Some(_) => Err(UnknownSavepoint),
                None => Ok(()),
            };
        };
        self.savepoints.retain(|_, other| other.number <= number);
        if self.last_kept > last_kept {
            self.found.push((count, self.count));
            self.last_kept = last_kept;
        }
        Ok(())
    }

    fn set_savepoint(&mut self, name: String) {
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            self.savepoints.clear();
        }
        self.set += 1;
        let savepoint = Savepoint {
            number: self.set,
            count: self.count,
            last_kept: self.last_kept,
        };
        // The same name again is the newer one.
        self.savepoints.insert(name, savepoint);
    }

    /// The transaction ends with ROLLBACK.
    pub(super) fn all(&mut self) {
        if self.last_kept.take().is_some() {
            self.found.push((0, self.count));
        }
    }

    /// True if it has taken anything back, as far as it was read, or as is known.
    pub(super) fn has_any(&self) -> bool {
        !(self.ranges.is_empty() && self.found.is_empty())
    }

    /// What it has taken back, all told, if some of that was not left out.
    pub(super) fn taken_back(&self) -> Option<TakenBack> {
        let (first, commit_time_us) = self.transaction.clone()?;
        let is_new = !self.found.is_empty();
        is_new.then(|| TakenBack {
            first,
            commit_time_us,
            ranges: [&self.ranges[..], &self.found].concat(),
        })
    }

    /// Counts from 0 for each transaction.
    fn begin(&mut self, transaction: &Transaction) {
        let commit_time_us = transaction.commit_time_us;
        let is_it = |(first, time): &(FileOffset, i64)| {
            Some(first) == transaction.first.as_ref() && *time == commit_time_us
        };
        if self.transaction.as_ref().is_some_and(is_it) {
            return;
        }
        self.end();
        self.transaction = transaction
            .first
            .clone()
            .map(|first| (first, commit_time_us));
        let is_known = |taken: &&TakenBack| {
            Some(&taken.first) == transaction.first.as_ref()
                && taken.commit_time_us == commit_time_us
        };
        let known = self.known.iter().find(is_known);
        self.ranges = known.map(|taken| taken.ranges.clone()).unwrap_or_default();
    }

    /// Another transaction follows.
    pub(super) fn end(&mut self) {
        let known = std::mem::take(&mut self.known);
        *self = Self::new(known);
    }
}

/// The name behind words, of which only the first and `TO` must be there; in lower case, as names of savepoints are compared.
fn behind(text: &str, words: &[&str]) -> Option<String> {
    let mut rest = text.trim();
    for (number, word) in words.iter().enumerate() {
        let head = rest.get(..word.len());
        let is_it = head.is_some_and(|head| head.eq_ignore_ascii_case(word));
        let after = rest.get(word.len()..).unwrap_or_default();
        let ends = after.starts_with([' ', '\t', '\n', '\r', '`', '"']);
        match is_it && ends {
            true => rest = after.trim_start(),
            false if number == 0 || *word == "TO" => return None,
            false => {}
        }
    }
    let unquoted = |quote: char| {
        let quoted = rest.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(quoted.replace(&format!("{quote}{quote}"), &quote.to_string()))
    };
    let name = unquoted('`')
        .or_else(|| unquoted('"'))
        .unwrap_or_else(|| rest.to_owned());
    (!name.is_empty()).then(|| name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> Transaction {
        Transaction {
            first: Some(FileOffset {
                file: "binlog.000001".into(),
                offset: 4,
            }),
            commit_time_us: 7,
            ..Transaction::default()
        }
    }

    /// Numbers of rows events that are kept, once what was taken back is known; `.` stands for such an event.
    fn kept(steps: &[&str]) -> Vec<u64> {
        let transaction = transaction();
        let mut known = Vec::new();
        for run in 0..2 {
            let mut rollbacks = Rollbacks::new(known.clone());
            let mut kept = Vec::new();
            for step in steps {
                match *step {
                    "." => {
                        let number = rollbacks.count;
                        if !rollbacks.next_rows(&transaction, true) {
                            kept.push(number);
                        }
                    }
                    "ROLLBACK" => rollbacks.all(),
                    text => {
                        let is_rollback = text.to_uppercase().starts_with("ROLLBACK");
                        let result = rollbacks.statement(&transaction, text, is_rollback);
                        result.unwrap();
                    }
                }
            }
            match rollbacks.taken_back() {
                None => return kept,
                // Once for each transaction.
                Some(found) if run == 0 => known.push(found),
                Some(found) => panic!("found again: {found:?}"),
            }
        }
        unreachable!()
    }

    #[test]
    fn rows_that_were_taken_back_are_left_out_and_no_others() {
        assert_eq!(kept(&[".", "."]), [0, 1]);
        assert_eq!(kept(&[".", ".", "ROLLBACK"]), [0; 0]);
        let steps = [".", "SAVEPOINT `a`", ".", ".", "ROLLBACK TO `a`", "."];
        assert_eq!(kept(&steps), [0, 3]);
        // Twice to the same, to an older one, to one of the same name, and with the quotes of another mode.
        let twice = [
            ".",
            "SAVEPOINT a",
            ".",
            "ROLLBACK TO A",
            ".",
            "rollback work to savepoint a",
            ".",
        ];
        assert_eq!(kept(&twice), [0, 3]);
        let older = [
            ".",
            "SAVEPOINT a",
            ".",
            "SAVEPOINT b",
            ".",
            "ROLLBACK TO a",
            ".",
        ];
        assert_eq!(kept(&older), [0, 3]);
        let newer = [".", "SAVEPOINT a", ".", "SAVEPOINT a", ".", "ROLLBACK TO a"];
        assert_eq!(kept(&newer), [0, 1]);
        let quotes = [".", "SAVEPOINT \"a\"", ".", "ROLLBACK TO `a`"];
        assert_eq!(kept(&quotes), [0]);
        let both = [".", "SAVEPOINT a", ".", "ROLLBACK TO a", ".", "ROLLBACK"];
        assert_eq!(kept(&both), [0; 0]);
        let none = ["SAVEPOINT a", "ROLLBACK TO a", "."];
        assert_eq!(kept(&none), [0]);
        let unknown_before_all = ["ROLLBACK TO unseen", "."];
        assert_eq!(kept(&unknown_before_all), [0]);
    }

    #[test]
    fn a_savepoint_that_is_not_known_is_no_guess() {
        for text in ["ROLLBACK TO `b`", "ROLLBACK TO `a", "/* x */ ROLLBACK TO a"] {
            let mut rollbacks = Rollbacks::default();
            rollbacks.next_rows(&transaction(), true);
            rollbacks
                .statement(&transaction(), "SAVEPOINT a", false)
                .unwrap();
            let result = rollbacks.statement(&transaction(), text, true);
            assert_eq!(result, Err(UnknownSavepoint), "{text}");
        }
        let mut rollbacks = Rollbacks::default();
        rollbacks.next_rows(&transaction(), true);
        for number in 0..=SAVEPOINTS_MAX {
            let text = format!("SAVEPOINT s{number}");
            rollbacks.statement(&transaction(), &text, false).unwrap();
        }
        let result = rollbacks.statement(&transaction(), "ROLLBACK TO s0", true);
        assert_eq!(result, Err(UnknownSavepoint));
        assert!(rollbacks.savepoints.len() <= SAVEPOINTS_MAX);
    }

    #[test]
    fn names_of_savepoints_are_read_as_servers_write_them() {
        let savepoint = |text| behind(text, &["SAVEPOINT"]);
        assert_eq!(savepoint("SAVEPOINT `b ``c`"), Some("b `c".to_owned()));
        assert_eq!(savepoint("SAVEPOINT \"b\"\"c\""), Some("b\"c".to_owned()));
        assert_eq!(savepoint("savepoint\tx"), Some("x".to_owned()));
        assert_eq!(savepoint("SAVEPOINTS x"), None);
        let rollback = |text| behind(text, &["ROLLBACK", "WORK", "TO", "SAVEPOINT"]);
        let name = Some("savepoint".to_owned());
        assert_eq!(rollback("ROLLBACK TO `Savepoint`"), name);
        assert_eq!(rollback("ROLLBACK"), None);
        assert_eq!(rollback("ROLLBACK WORK"), None);
    }

    #[test]
    fn each_transaction_is_counted_from_its_beginning() {
        let taken = |commit_time_us| TakenBack {
            first: transaction().first.unwrap(),
            commit_time_us,
            ranges: vec![(0, 5)],
        };
        // Another one in the same place.
        let mut rollbacks = Rollbacks::new(vec![taken(8)]);
        assert!(!rollbacks.next_rows(&transaction(), true));
        // One before it of which nobody saw the end.
        let mut rollbacks = Rollbacks::new(vec![taken(7)]);
        let dead = Transaction {
            commit_time_us: 6,
            ..transaction()
        };
        (0..9).for_each(|_| rollbacks.passed_over(&dead));
        let left_out = (0..6).map(|_| rollbacks.next_rows(&transaction(), true));
        assert_eq!(
            left_out.collect::<Vec<_>>(),
            [true, true, true, true, true, false]
        );
    }
}
