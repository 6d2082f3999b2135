//! What a source transaction took back before it ended. Servers write it where something else has to be in the binlog (a
//! temporary table that was made or dropped, in MariaDB and MySQL before 8.0): rows, and behind them ROLLBACK, or ROLLBACK TO
//! SAVEPOINT. Rows of engines that take nothing back stand in transactions of their own (seen in 5.5 to 9 and MariaDB).
//!
//! What is taken back is known only behind the rows: then the run begins again from the checkpoint, and leaves them out.

use binlog_bridge_core::decode::Transaction;
use binlog_bridge_core::position::FileOffset;

/// Rows events of a source transaction that were taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Where the transaction's first event begins.
    pub first: FileOffset,
    /// Tells it from another one in the same place, in microseconds since 1970.
    pub commit_time_us: i64,
    /// The first of them, by its number in the transaction, from 0.
    pub from: u64,
    /// How many of the transaction's rows events lie before the statement that took them back.
    pub to: u64,
}

/// Counts the rows events of the transaction at hand.
#[derive(Debug, Default)]
pub(crate) struct Rollbacks {
    /// Known from runs before.
    taken_back: Vec<TakenBack>,
    /// Rows events so far, selected or not.
    count: u64,
    /// The last one whose rows are published.
    last_kept: Option<u64>,
    /// Names of savepoints, and how many rows events lie before each.
    savepoints: Vec<(String, u64)>,
}

impl Rollbacks {
    pub(crate) fn new(taken_back: Vec<TakenBack>) -> Self {
        Self {
            taken_back,
            ..Self::default()
        }
    }

    /// Takes note of an event with rows; true if they were taken back.
    pub(super) fn next_rows(&mut self, transaction: &Transaction, is_selected: bool) -> bool {
        let number = self.count;
        self.count += 1;
        let is_taken_back = self.taken_back.iter().any(|taken| {
            Some(&taken.first) == transaction.first.as_ref()
                && taken.commit_time_us == transaction.commit_time_us
                && (taken.from..taken.to).contains(&number)
        });
        if is_selected && !is_taken_back {
            self.last_kept = Some(number);
        }
        is_taken_back
    }

    /// Takes note of an event with rows that nobody wants, and of which nothing but the header was kept.
    pub(super) fn passed_over(&mut self) {
        self.count += 1;
    }

    /// Takes note of a statement inside of the transaction; tells of rows that it takes back, and that were not left out.
    pub(super) fn statement(&mut self, transaction: &Transaction, text: &str) -> Option<TakenBack> {
        if let Some(name) = behind(text, &["SAVEPOINT"]) {
            // The same name again is the newer one.
            self.savepoints.retain(|(known, _)| *known != name);
            self.savepoints.push((name, self.count));
            return None;
        }
        let name = behind(text, &["ROLLBACK", "WORK", "TO", "SAVEPOINT"])?;
        let index = self.savepoints.iter().position(|(known, _)| *known == name);
        // One that is not in the binlog was set before the first rows.
        let from = index.and_then(|index| self.savepoints.get(index));
        let from = from.map_or(0, |(_, from)| *from);
        self.savepoints.truncate(index.map_or(0, |index| index + 1));
        self.taken_back(transaction, from)
    }

    /// The transaction ends with ROLLBACK: tells of its rows, if they were not left out.
    pub(super) fn all(&self, transaction: &Transaction) -> Option<TakenBack> {
        self.taken_back(transaction, 0)
    }

    fn taken_back(&self, transaction: &Transaction, from: u64) -> Option<TakenBack> {
        let is_kept = self.last_kept.is_some_and(|last| last >= from);
        let first = transaction.first.clone().filter(|_| is_kept)?;
        Some(TakenBack {
            first,
            commit_time_us: transaction.commit_time_us,
            from,
            to: self.count,
        })
    }

    /// Another transaction follows.
    pub(super) fn end(&mut self) {
        self.count = 0;
        self.last_kept = None;
        self.savepoints.clear();
    }
}

/// The name behind words, of which only the first and `TO` must be there; in lower case, as names of savepoints are compared.
fn behind(text: &str, words: &[&str]) -> Option<String> {
    let mut rest = text.trim();
    for (number, word) in words.iter().enumerate() {
        let head = rest.get(..word.len());
        let is_it = head.is_some_and(|head| head.eq_ignore_ascii_case(word));
        let after = rest.get(word.len()..).unwrap_or_default();
        let ends = after.starts_with([' ', '\t', '\n', '\r', '`']);
        match is_it && ends {
            true => rest = after.trim_start(),
            false if number == 0 || *word == "TO" => return None,
            false => {}
        }
    }
    let name = match rest.strip_prefix('`') {
        Some(quoted) => quoted.strip_suffix('`')?.replace("``", "`"),
        None => rest.to_owned(),
    };
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
        loop {
            let mut rollbacks = Rollbacks::new(known.clone());
            let (mut kept, mut found) = (Vec::new(), None);
            for step in steps {
                let taken = match *step {
                    "." => {
                        let number = rollbacks.count;
                        if !rollbacks.next_rows(&transaction, true) {
                            kept.push(number);
                        }
                        None
                    }
                    "ROLLBACK" => rollbacks.all(&transaction),
                    text => rollbacks.statement(&transaction, text),
                };
                if taken.is_some() {
                    found = taken;
                    break;
                }
            }
            match found {
                None => return kept,
                Some(found) => {
                    assert!(!known.contains(&found), "found again: {found:?}");
                    known.push(found);
                }
            }
        }
    }

    #[test]
    fn rows_that_were_taken_back_are_left_out_and_no_others() {
        assert_eq!(kept(&[".", "."]), [0, 1]);
        assert_eq!(kept(&[".", ".", "ROLLBACK"]), [0; 0]);
        let steps = [".", "SAVEPOINT `a`", ".", ".", "ROLLBACK TO `a`", "."];
        assert_eq!(kept(&steps), [0, 3]);
        // Twice to the same, to an older one, to one of the same name, and to one that nobody has seen.
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
        assert_eq!(kept(&[".", "ROLLBACK TO unseen", "."]), [1]);
        let both = [".", "SAVEPOINT a", ".", "ROLLBACK TO a", ".", "ROLLBACK"];
        assert_eq!(kept(&both), [0; 0]);
        let none = ["SAVEPOINT a", "ROLLBACK TO a", "."];
        assert_eq!(kept(&none), [0]);
    }

    #[test]
    fn names_of_savepoints_are_read_as_servers_write_them() {
        let savepoint = |text| behind(text, &["SAVEPOINT"]);
        assert_eq!(savepoint("SAVEPOINT `b ``c`"), Some("b `c".to_owned()));
        assert_eq!(savepoint("savepoint\tx"), Some("x".to_owned()));
        assert_eq!(savepoint("SAVEPOINTS x"), None);
        let rollback = |text| behind(text, &["ROLLBACK", "WORK", "TO", "SAVEPOINT"]);
        assert_eq!(
            rollback("ROLLBACK TO `Savepoint`"),
            Some("savepoint".to_owned())
        );
        assert_eq!(rollback("ROLLBACK"), None);
        assert_eq!(rollback("ROLLBACK WORK"), None);
    }

    #[test]
    fn rows_of_another_transaction_in_the_same_place_are_kept() {
        let taken = TakenBack {
            first: transaction().first.unwrap(),
            commit_time_us: 8,
            from: 0,
            to: 5,
        };
        let mut rollbacks = Rollbacks::new(vec![taken]);
        assert!(!rollbacks.next_rows(&transaction(), true));
    }
}
