//! What the server in memory executes: source transactions by chance, and what goes into the binlog for each.

use binlog_bridge_core::position::FileOffset;

use crate::simulated::events;
use crate::simulated::server::{Server, SourceTransaction};
use crate::simulated::table::{Change, Column, Row, Table, What};

const NOISE_TABLE_ID: u64 = 1_000_000;
/// Tables that there may be.
const TABLES_MAX: usize = 4;

impl Server {
    /// Executes one more source transaction: mostly a small one, now and then a large one, one of a table that
    /// is not selected, a statement that changes a definition, or the beginning of another binlog file.
    pub fn grow(&mut self) {
        if self.random.per_mille(60) {
            self.rotate();
        }
        if self.random.per_mille(self.ddl_per_mille) {
            return self.define();
        }
        let (rows_events, is_noise) = match self.random.below(0..20) {
            0..4 => (1, true),
            4..6 => (self.random.below(10..30), false),
            6 => (0, false),
            _ => (self.random.below(1..4), false),
        };
        self.transaction(rows_events, is_noise);
    }

    pub fn transaction(&mut self, rows_events: u64, is_noise: bool) {
        let id = self.announce();
        self.write(events::QUERY, &events::query("shop", "BEGIN"), Some(id));
        let mut changes = Vec::new();
        for _ in 0..rows_events {
            if is_noise {
                self.noise(id);
            } else {
                self.rows_event(id, &mut changes);
            }
        }
        if rows_events == 0 {
            self.write(events::QUERY, &events::query("shop", "COMMIT"), Some(id));
        } else {
            let sequence = u64::try_from(id).unwrap() + 1;
            self.write(events::XID, &sequence.to_le_bytes(), Some(id));
        }
        self.executed(changes);
    }

    /// A statement that changes a definition, empties a table, or makes one.
    pub fn define(&mut self) {
        let table = self.some_table();
        let kind = self.random.below(0..10);
        if kind == 0 && self.tables.len() < TABLES_MAX {
            let name = format!("w{}", self.tables.len());
            self.tables.push(Table::new(&name));
            let text = format!("CREATE TABLE {name} (id INT PRIMARY KEY, v INT NOT NULL)");
            return self.statement("shop", &text);
        }
        if kind < 3 {
            return self.truncate(table);
        }
        let text = self.tables[table].alter(&mut self.random);
        self.statement("shop", &text);
    }

    /// A statement that is a source transaction of its own, and changes no row.
    pub fn statement(&mut self, database: &str, text: &str) {
        let id = self.announce();
        self.write(events::QUERY, &events::query(database, text), Some(id));
        self.executed(Vec::new());
        self.told(database, text);
    }

    /// The last transaction is a statement, of which consumers are told if it changes the schema of the selected database.
    fn told(&mut self, database: &str, text: &str) {
        let is_change = ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"];
        let is_change = is_change.iter().any(|kind| text.starts_with(kind));
        if let Some(last) = self.history.last_mut()
            && is_change
            && database == "shop"
        {
            last.statement = Some(text.to_owned());
        }
    }

    pub fn truncate(&mut self, table: usize) {
        let id = self.announce();
        let target = &mut self.tables[table];
        target.rows.clear();
        target.id = None;
        let change = Change {
            table,
            columns: target.columns.clone(),
            what: What::Truncate,
            is_rest: false,
        };
        let text = format!("TRUNCATE TABLE {}", target.name);
        self.write(events::QUERY, &events::query("shop", &text), Some(id));
        self.executed(vec![change]);
        self.told("shop", &text);
    }

    /// A source transaction that inserts one row.
    pub fn insert(&mut self, table: usize) {
        let id = self.announce();
        self.write(events::QUERY, &events::query("shop", "BEGIN"), Some(id));
        self.changes += 1;
        let target = &mut self.tables[table];
        let row = target.row(self.changes, self.changes, &mut self.random);
        target.rows.insert(self.changes, row.clone());
        let change = Change {
            table,
            columns: target.columns.clone(),
            what: What::Row {
                before: None,
                after: Some(row.clone()),
            },
            is_rest: false,
        };
        self.write_rows(id, table, events::WRITE_ROWS, &[row]);
        self.write(events::XID, &[0; 8], Some(id));
        self.executed(vec![change]);
    }

    /// A statement by which the last two columns of a table give each other their names.
    pub fn swap_names(&mut self, table: usize) {
        let text = self.tables[table].swap_last();
        self.statement("shop", &text);
    }

    /// A source transaction with rows that ends with ROLLBACK, as it changed a table of an engine without transactions.
    pub fn rolled_back(&mut self, rows_events: u64) {
        let id = self.announce();
        self.write(events::QUERY, &events::query("shop", "BEGIN"), Some(id));
        for _ in 0..rows_events {
            let row = self.tables[0].row(1, -1, &mut self.random);
            self.write_rows(id, 0, events::WRITE_ROWS, &[row]);
        }
        self.write(events::QUERY, &events::query("shop", "ROLLBACK"), Some(id));
        self.executed(Vec::new());
    }

    /// A change of a selected table that is in the binlog as text.
    pub fn statement_format(&mut self) {
        let id = self.announce();
        for text in ["BEGIN", "INSERT INTO t VALUES (1, 1)"] {
            self.write(events::QUERY, &events::query("shop", text), Some(id));
        }
        self.write(events::XID, &[0; 8], Some(id));
        self.executed(Vec::new());
    }

    /// The beginning of a source transaction that the server crashes in: it is in the binlog, without its end.
    pub(super) fn dead_group(&mut self) {
        let id = self.announce();
        let first = self.begun.clone();
        self.write(events::QUERY, &events::query("shop", "BEGIN"), Some(id));
        let table = self.some_table();
        let mut changes = Vec::new();
        for number in 0..self.random.one_of(&[0, 1, 3, 40]) {
            let key = i32::try_from(self.random.below(0..12)).unwrap();
            let row = self.tables[table].row(key, -1 - number, &mut self.random);
            changes.push(Change {
                table,
                columns: self.tables[table].columns.clone(),
                what: What::Row {
                    before: None,
                    after: Some(row.clone()),
                },
                is_rest: false,
            });
            self.write_rows(id, table, events::WRITE_ROWS, &[row]);
        }
        self.dead.push(SourceTransaction {
            changes,
            first,
            end: FileOffset::default(),
            commit_time_us: i64::try_from(self.clock_us).unwrap(),
            statement: None,
        });
    }

    /// The GTID of the next transaction is in the binlog; it has not happened yet.
    fn announce(&mut self) -> usize {
        let id = self.history.len();
        self.clock_us += 1;
        let event_type = if self.gtid_on {
            events::GTID
        } else {
            events::ANONYMOUS_GTID
        };
        let sequence = u64::try_from(id).unwrap() + 1;
        let body = events::gtid(sequence, self.clock_us);
        self.begun = self.current();
        self.write(event_type, &body, Some(id));
        id
    }

    fn executed(&mut self, changes: Vec<Change>) {
        self.history.push(SourceTransaction {
            changes,
            first: self.begun.clone(),
            end: self.current(),
            commit_time_us: i64::try_from(self.clock_us).unwrap(),
            statement: None,
        });
        self.grown.notify_waiters();
    }

    fn some_table(&mut self) -> usize {
        let count = u64::try_from(self.tables.len()).unwrap();
        usize::try_from(self.random.below(0..count)).unwrap()
    }

    fn noise(&mut self, id: usize) {
        let columns = [Column {
            name: "id".to_owned(),
            nullable: false,
        }];
        let map = events::table_map(NOISE_TABLE_ID, ("other", "n"), &columns, self.metadata);
        self.write(events::TABLE_MAP, &map, Some(id));
        let body = events::rows(events::WRITE_ROWS, NOISE_TABLE_ID, &[vec![Some(1)]]);
        self.write(events::WRITE_ROWS, &body, Some(id));
    }

    fn rows_event(&mut self, id: usize, changes: &mut Vec<Change>) {
        let table = self.some_table();
        let columns = self.tables[table].columns.clone();
        let kind = self.random.below(0..3);
        let mut images: Vec<Row> = Vec::new();
        let mut record = |before: Option<Row>, after: Option<Row>, is_rest: bool| {
            changes.push(Change {
                table,
                columns: columns.clone(),
                what: What::Row { before, after },
                is_rest,
            });
        };
        for _ in 0..self.random.below(1..5) {
            let key = i32::try_from(self.random.below(0..12)).unwrap();
            self.changes += 1;
            let old = self.tables[table].rows.remove(&key);
            match (kind, old) {
                (1, Some(old)) => {
                    images.push(old.clone());
                    record(Some(old), None, false);
                }
                (2, Some(old)) => {
                    let new = self.update(table, key);
                    images.extend([old.clone(), new.clone()]);
                    if old[0] == new[0] {
                        record(Some(old), Some(new), false);
                    } else {
                        record(Some(old), None, false);
                        record(None, Some(new), true);
                    }
                }
                // An insert; a row that is there already is replaced, which no server logs so, but which keeps
                // the history simple.
                (0, _) => {
                    let new = self.tables[table].row(key, self.changes, &mut self.random);
                    self.tables[table].rows.insert(key, new.clone());
                    images.push(new.clone());
                    record(None, Some(new), false);
                }
                (_, _) => {}
            }
        }
        let event_type = [events::WRITE_ROWS, events::DELETE_ROWS, events::UPDATE_ROWS]
            [usize::try_from(kind).unwrap()];
        self.write_rows(id, table, event_type, &images);
    }

    fn write_rows(&mut self, id: usize, table: usize, event_type: u8, images: &[Row]) {
        if images.is_empty() {
            return;
        }
        let next = self.next_table_id;
        let target = &mut self.tables[table];
        let table_id = *target.id.get_or_insert(next);
        self.next_table_id = next.max(table_id + 1);
        let map = events::table_map(
            table_id,
            ("shop", &target.name),
            &target.columns,
            self.metadata,
        );
        self.write(events::TABLE_MAP, &map, Some(id));
        let body = events::rows(event_type, table_id, images);
        self.write(event_type, &body, Some(id));
    }

    /// Now and then an update moves a row to another key.
    fn update(&mut self, table: usize, key: i32) -> Row {
        let free = key + 100;
        let is_taken = self.tables[table].rows.contains_key(&free);
        let is_move = self.random.per_mille(200) && !is_taken;
        let key = if is_move { free } else { key };
        let new = self.tables[table].row(key, self.changes, &mut self.random);
        self.tables[table].rows.insert(key, new.clone());
        new
    }
}
