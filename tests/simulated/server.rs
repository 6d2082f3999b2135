//! A MySQL server in memory: a history of source transactions and the binlog files that hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use binlog_bridge::source::Survey;
use binlog_bridge_core::position::{FileOffset, GtidSet, Position};
use tokio::sync::Notify;

use crate::simulated::events::{self, Row, event};
use crate::simulated::random::Random;

pub const TABLES: [&str; 2] = ["t", "u"];
const NOISE_TABLE_ID: u64 = 99;

pub struct Server {
    gtid_on: bool,
    pub files: Vec<File>,
    pub history: Vec<SourceTransaction>,
    random: Random,
    rows: BTreeMap<(usize, i32), i32>,
    changes: i32,
    pub grown: Arc<Notify>,
    /// How often it was asked who it is.
    pub surveys: u32,
}

pub struct File {
    pub name: String,
    pub events: Vec<Event>,
}

pub struct Event {
    pub start: u64,
    pub bytes: Vec<u8>,
    /// The source transaction that it belongs to, from 0.
    pub transaction: Option<usize>,
}

pub struct SourceTransaction {
    /// The records that its rows become.
    pub changes: Vec<Change>,
    pub end: FileOffset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub table: usize,
    pub before: Option<Row>,
    pub after: Option<Row>,
}

impl Server {
    pub fn new(random: Random, gtid_on: bool) -> Self {
        let mut server = Self {
            gtid_on,
            files: Vec::new(),
            history: Vec::new(),
            random,
            rows: BTreeMap::new(),
            changes: 0,
            grown: Arc::new(Notify::new()),
            surveys: 0,
        };
        server.new_file(1);
        server
    }

    fn new_file(&mut self, created: u32) {
        let name = format!("binlog.{:06}", self.files.len() + 1);
        self.files.push(File {
            name,
            events: Vec::new(),
        });
        self.write(
            events::FORMAT_DESCRIPTION,
            &events::format_description(created),
            None,
        );
    }

    fn write(&mut self, event_type: u8, body: &[u8], transaction: Option<usize>) {
        let start = self.current().offset;
        let bytes = event(event_type, Some(start), body);
        let file = self.files.last_mut().unwrap();
        file.events.push(Event {
            start,
            bytes,
            transaction,
        });
    }

    /// The end of the binlog.
    pub fn current(&self) -> FileOffset {
        let file = self.files.last().unwrap();
        let end = |event: &Event| event.start + u64::try_from(event.bytes.len()).unwrap();
        FileOffset {
            file: file.name.clone(),
            offset: file.events.last().map_or(4, end),
        }
    }

    /// Executes one more source transaction: mostly a small one, now and then a large one, one of a table that
    /// is not selected, or the beginning of another binlog file.
    pub fn grow(&mut self) {
        if self.random.per_mille(60) {
            let next = format!("binlog.{:06}", self.files.len() + 1);
            self.write(events::ROTATE, &events::rotate(&next, 4), None);
            self.new_file(0);
        }
        let (rows_events, is_noise) = match self.random.below(0..10) {
            0 | 1 => (1, true),
            2 => (self.random.below(10..30), false),
            _ => (self.random.below(1..4), false),
        };
        self.transaction(rows_events, is_noise);
    }

    pub fn transaction(&mut self, rows_events: u64, is_noise: bool) {
        let number = self.history.len();
        let id = Some(number);
        let event_type = if self.gtid_on {
            events::GTID
        } else {
            events::ANONYMOUS_GTID
        };
        self.write(event_type, &events::gtid(sequence(number)), id);
        self.write(events::QUERY, &events::query("BEGIN"), id);
        let mut changes = Vec::new();
        for _ in 0..rows_events {
            if is_noise {
                self.write(
                    events::TABLE_MAP,
                    &events::table_map(NOISE_TABLE_ID, "other", "n"),
                    id,
                );
                let body = events::rows(events::WRITE_ROWS, NOISE_TABLE_ID, &[(1, 1)]);
                self.write(events::WRITE_ROWS, &body, id);
            } else {
                self.rows_event(id, &mut changes);
            }
        }
        self.write(events::XID, &sequence(number).to_le_bytes(), id);
        self.history.push(SourceTransaction {
            changes,
            end: self.current(),
        });
        self.grown.notify_waiters();
    }

    fn rows_event(&mut self, id: Option<usize>, changes: &mut Vec<Change>) {
        let table = usize::try_from(self.random.below(0..2)).unwrap();
        let table_id = 10 + u64::try_from(table).unwrap();
        let kind = self.random.below(0..3);
        let mut images = Vec::new();
        for _ in 0..self.random.below(1..5) {
            let key = i32::try_from(self.random.below(0..12)).unwrap();
            self.changes += 1;
            let new = (key, self.changes);
            match (kind, self.rows.remove(&(table, key))) {
                (1, Some(v)) => {
                    images.push((key, v));
                    changes.push(Change {
                        table,
                        before: Some((key, v)),
                        after: None,
                    });
                }
                (2, Some(v)) => {
                    let old = (key, v);
                    let new = self.update(table, old);
                    images.extend([old, new]);
                    changes.extend(changes_of_update(table, old, new));
                }
                // An insert; a row that is there already is replaced, which no server logs so, but which keeps
                // the history simple.
                (0, _) => {
                    self.rows.insert((table, key), new.1);
                    images.push(new);
                    changes.push(Change {
                        table,
                        before: None,
                        after: Some(new),
                    });
                }
                (_, None) | (_, Some(_)) => {}
            }
        }
        if images.is_empty() {
            return;
        }
        let event_type = [events::WRITE_ROWS, events::DELETE_ROWS, events::UPDATE_ROWS]
            [usize::try_from(kind).unwrap()];
        self.write(
            events::TABLE_MAP,
            &events::table_map(table_id, "shop", TABLES[table]),
            id,
        );
        self.write(event_type, &events::rows(event_type, table_id, &images), id);
    }

    /// Now and then an update moves a row to another key.
    fn update(&mut self, table: usize, (key, _): Row) -> Row {
        let free = key + 100;
        let is_move = self.random.per_mille(200) && !self.rows.contains_key(&(table, free));
        let new = (if is_move { free } else { key }, self.changes);
        self.rows.insert((table, new.0), new.1);
        new
    }

    pub fn survey(&mut self) -> Survey {
        self.surveys += 1;
        let executed = self.history.len();
        let gtid_executed = match executed {
            0 => String::new(),
            last => format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{last}"),
        };
        Survey {
            version: "8.0.31".to_owned(),
            server_uuid: "3e11fa47-71ca-11e1-9e33-c80aa9429562".to_owned(),
            log_bin: true,
            binlog_format: "ROW".to_owned(),
            binlog_row_image: "FULL".to_owned(),
            binlog_row_metadata: Some("FULL".to_owned()),
            gtid_on: self.gtid_on,
            gtid_executed: if self.gtid_on {
                gtid_executed
            } else {
                String::new()
            },
            gtid_purged: String::new(),
            lower_case_names: false,
            first_file: self.files[0].name.clone(),
            files: Vec::new(),
            current: self.current(),
            databases: vec!["shop".to_owned()],
        }
    }

    /// How many source transactions lie before the position.
    pub fn covered(&self, position: &Position) -> usize {
        match position.gtid_set() {
            Some(set) => {
                let count = (0..).find(|number| !set.contains(&gtid(*number))).unwrap();
                let next = (count..count + 50).find(|number| set.contains(&gtid(*number)));
                assert_eq!(next, None, "the set has a hole: {set}");
                count
            }
            None => {
                let at = position.at();
                self.history
                    .iter()
                    .take_while(|transaction| transaction.end <= *at)
                    .count()
            }
        }
    }

    /// File and event that a dump begins with.
    pub fn find(&self, position: &Position) -> (usize, usize) {
        match position.gtid_set() {
            Some(set) => (self.file_for(set), 0),
            None => {
                let at = position.at();
                let file = self.files.iter().position(|file| file.name == at.file);
                let file = file.expect("the file of a position exists");
                let events = &self.files[file].events;
                let event = events.iter().position(|event| event.start == at.offset);
                let is_end = at.offset == self.end_of(file);
                assert!(
                    event.is_some() || is_end,
                    "{at} is not where an event begins"
                );
                let event = event.unwrap_or(events.len());
                let inside = events.get(event).is_some_and(|event| {
                    event.transaction.is_some() && event.bytes[4] != first_event(self.gtid_on)
                });
                assert!(!inside, "{at} is inside of a source transaction");
                (file, event)
            }
        }
    }

    fn file_for(&self, set: &GtidSet) -> usize {
        let wanted = |event: &Event| event.transaction.is_some_and(|n| !set.contains(&gtid(n)));
        let found = self
            .files
            .iter()
            .position(|file| file.events.iter().any(wanted));
        found.unwrap_or(self.files.len() - 1)
    }

    fn end_of(&self, file: usize) -> u64 {
        let last = self.files[file].events.last().unwrap();
        last.start + u64::try_from(last.bytes.len()).unwrap()
    }
}

fn first_event(gtid_on: bool) -> u8 {
    if gtid_on {
        events::GTID
    } else {
        events::ANONYMOUS_GTID
    }
}

fn changes_of_update(table: usize, old: Row, new: Row) -> Vec<Change> {
    if old.0 == new.0 {
        return vec![Change {
            table,
            before: Some(old),
            after: Some(new),
        }];
    }
    vec![
        Change {
            table,
            before: Some(old),
            after: None,
        },
        Change {
            table,
            before: None,
            after: Some(new),
        },
    ]
}

fn sequence(number: usize) -> u64 {
    u64::try_from(number).unwrap() + 1
}

/// The GTID of a source transaction, given its number from 0.
pub fn gtid(number: usize) -> binlog_bridge_core::position::Gtid {
    use binlog_bridge_core::position::{Gtid, GtidSource, Uuid};
    let source = GtidSource {
        uuid: Uuid(events::UUID),
        tag: None,
    };
    Gtid {
        source,
        sequence: sequence(number),
    }
}
