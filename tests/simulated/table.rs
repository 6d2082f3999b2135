//! A table of the server in memory, and what statements do to its definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::simulated::random::Random;

/// Values of the columns, in the table's order.
pub type Row = Vec<Option<i32>>;

/// A column of type INT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub nullable: bool,
}

/// The columns at some position of the binlog; the first is the primary key.
pub type Columns = Arc<[Column]>;

pub struct Table {
    pub name: String,
    pub columns: Columns,
    pub rows: BTreeMap<i32, Row>,
    /// What the server calls it in table maps; given anew after each DDL and each start of the server.
    pub id: Option<u64>,
    /// Columns that it ever had, so that each has a name of its own.
    columns_made: u32,
}

/// A record that a change becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub table: usize,
    /// The columns when it was made (I6).
    pub columns: Columns,
    pub what: What,
    /// True if it is the second record of a row whose key has changed.
    pub is_rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Row {
        before: Option<Row>,
        after: Option<Row>,
    },
    Truncate,
}

/// Columns that a table may grow to.
const COLUMNS_MAX: usize = 12;

impl Table {
    /// A table with the columns id INT PRIMARY KEY and v INT, both NOT NULL.
    pub fn new(name: &str) -> Self {
        let column = |name: &str| Column {
            name: name.to_owned(),
            nullable: false,
        };
        Self {
            name: name.to_owned(),
            columns: [column("id"), column("v")].into(),
            rows: BTreeMap::new(),
            id: None,
            columns_made: 0,
        }
    }

    /// Changes the definition by chance, and returns the statement.
    pub fn alter(&mut self, random: &mut Random) -> String {
        self.id = None;
        let mut columns = self.columns.to_vec();
        let extra = columns.len() - 2;
        let pick = |random: &mut Random| {
            2 + usize::try_from(random.below(0..u64::try_from(extra).unwrap())).unwrap()
        };
        let action = match random.below(0..8) {
            0..3 if columns.len() < COLUMNS_MAX => self.add(&mut columns, random),
            3 if extra > 0 => {
                let index = pick(random);
                self.rows.values_mut().for_each(|row| {
                    row.remove(index);
                });
                format!("DROP COLUMN {}", columns.remove(index).name)
            }
            4 if extra > 0 => {
                let index = pick(random);
                let new = self.new_name();
                let old = std::mem::replace(&mut columns[index].name, new.clone());
                format!("RENAME COLUMN {old} TO {new}")
            }
            5 | 6 if extra > 1 => swap(&mut columns, pick(random), pick(random)),
            // Nothing that a table map shows.
            _ => "COMMENT 'a word'".to_owned(),
        };
        self.columns = columns.into();
        format!("ALTER TABLE shop.{} {action}", self.name)
    }

    /// The last two columns give each other their names.
    pub(super) fn swap_last(&mut self) -> String {
        self.id = None;
        let mut columns = self.columns.to_vec();
        let last = columns.len() - 1;
        let action = swap(&mut columns, last - 1, last);
        self.columns = columns.into();
        format!("ALTER TABLE shop.{} {action}", self.name)
    }

    fn new_name(&mut self) -> String {
        self.columns_made += 1;
        format!("c{}", self.columns_made)
    }

    fn add(&mut self, columns: &mut Vec<Column>, random: &mut Random) -> String {
        let nullable = random.one_of(&[true, false]);
        let name = self.new_name();
        let index = random.one_of(&[columns.len(), 2]);
        columns.insert(
            index,
            Column {
                name: name.clone(),
                nullable,
            },
        );
        let value = (!nullable).then_some(0);
        self.rows
            .values_mut()
            .for_each(|row| row.insert(index, value));
        let after = &columns[index - 1].name;
        let null = if nullable { "NULL" } else { "NOT NULL" };
        format!("ADD COLUMN {name} INT {null} AFTER {after}")
    }

    /// A row with a value that no other row has.
    pub fn row(&self, key: i32, value: i32, random: &mut Random) -> Row {
        let mut row: Row = vec![Some(key), Some(value)];
        for column in self.columns.iter().skip(2) {
            let is_null = column.nullable && random.one_of(&[true, false]);
            row.push((!is_null).then(|| i32::try_from(random.below(0..1000)).unwrap()));
        }
        row
    }
}

/// Two columns of one type give each other their names: nothing but the names changes.
fn swap(columns: &mut [Column], one: usize, other: usize) -> String {
    if one == other || columns[one].nullable != columns[other].nullable {
        return "ENGINE=InnoDB".to_owned();
    }
    let (a, b) = (columns[one].name.clone(), columns[other].name.clone());
    columns[one].name.clone_from(&b);
    columns[other].name.clone_from(&a);
    format!("RENAME COLUMN {a} TO {b}, RENAME COLUMN {b} TO {a}")
}
