//! What a task remembers: records of its state topic, keys as JSON arrays, values as JSON.

mod base;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::base::{Bases, GtidBase};
use crate::decode::Transaction;
use crate::position::{FileOffset, Position};
use crate::schema::{DescribedTable, TableDefinition};
use crate::selection::TableName;

/// Format of what is written; a task refuses state of a newer one.
pub const STATE_FORMAT: u32 = 1;

/// How far the stream is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// [`STATE_FORMAT`] of the writer.
    pub format: u32,
    /// Everything before it is published, nothing after it.
    pub position: Position,
    /// Rows of the source transaction after the position that are published already: the sum of those in `split`.
    pub skip_rows: u64,
    /// The source transaction after the position, if parts of it are published already.
    pub split: Option<Split>,
    /// Which server the position is of.
    pub lineage: Lineage,
    /// [`crate::selection::Selection::fingerprint`] of what was selected.
    pub selection: String,
    /// Commit time of the last source transaction before the position, in milliseconds since 1970.
    pub source_ts_ms: Option<i64>,
    /// How many heartbeats were published.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub heartbeats: u64,
    /// As it is recorded: the set to which that of the position is to be added. `None` once that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid_base: Option<String>,
}

/// The identity of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The server's uuid.
    pub server_uuid: String,
    /// The oldest binlog file that the server had when the stream was opened.
    pub first_file: String,
    /// The last source transaction before the position that was read, selected or not.
    pub last: Option<TransactionIdentity>,
    /// True if transactions that the server passes over may lie behind the position: those of a set of GTIDs that was given to
    /// begin with, or that another server ran in another order. Their statements are not seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passes_over: bool,
}

/// What makes a source transaction recognisable: names of files and numbers may be given again, its time is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionIdentity {
    /// Its GTID, where the server numbers transactions.
    pub gtid: Option<String>,
    /// Where its first event begins.
    pub first: FileOffset,
    /// Its commit time at the server that ran it first, in microseconds since 1970.
    pub commit_time_us: i64,
}

impl TransactionIdentity {
    /// The identity of a transaction that has begun; `None` if there is none.
    #[must_use]
    pub fn of(transaction: &Transaction) -> Option<Self> {
        Some(Self {
            gtid: transaction.gtid.as_ref().map(ToString::to_string),
            first: transaction.first.clone()?,
            commit_time_us: transaction.commit_time_us,
        })
    }

    /// True if the transaction is the one, on whatever server.
    #[must_use]
    pub fn is(&self, transaction: &Transaction) -> bool {
        transaction.commit_time_us == self.commit_time_us
            && transaction.gtid.as_ref().map(ToString::to_string) == self.gtid
    }
}

/// How much of a source transaction is published that was too large for one Kafka transaction.
///
/// Rows are counted for each table, not over all: so the count means the same when other tables are selected
/// later, and on another server whose binlog has the same transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Its GTID, or `file=FILE,pos=OFFSET` of its first event.
    pub id: String,
    /// Tells it from one of the same GTID that the server rolled back.
    pub identity: TransactionIdentity,
    /// Kafka transactions that hold parts of it, so far.
    pub parts: u32,
    /// The tables whose rows were published.
    pub tables: Vec<SplitTable>,
}

/// The part of a split source transaction that belongs to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitTable {
    /// The table.
    #[serde(flatten)]
    pub name: TableName,
    /// Its first rows in the source transaction, as many as are published.
    pub rows: u64,
}

impl Split {
    /// The split with those tables of the one of before that it does not have: what is not selected for a while is published
    /// as far as it was.
    #[must_use]
    pub fn with_tables_of(mut self, before: Option<&Self>) -> Self {
        for table in before.iter().flat_map(|before| &before.tables) {
            if !self.tables.iter().any(|known| known.name == table.name) {
                self.tables.push(table.clone());
            }
        }
        self
    }

    /// Rows that are published, over all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// A table as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// [`STATE_FORMAT`] of the writer.
    pub format: u32,
    /// The definition.
    pub definition: TableDefinition,
    /// Where the source transaction begins from which it holds.
    pub holds_from: FileOffset,
    /// True if the schema was widened for partial images.
    pub widened: bool,
    /// The first statement since then that may have changed the table: behind it the definition is to be found anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<FileOffset>,
    /// How often the table was given another topic, as readers could not follow a change of its schema.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub topic_version: u32,
    /// The registry's id of the schema that values were published with last; none in a state of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_schema_id: Option<u32>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// What statements have made of a table by the checkpoint, whether rows of it were published or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedTable {
    /// [`STATE_FORMAT`] of the writer.
    pub format: u32,
    /// The table.
    #[serde(flatten)]
    pub table: DescribedTable,
}

/// What statements have made of a database by the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedDatabase {
    /// [`STATE_FORMAT`] of the writer.
    pub format: u32,
    /// The number of its default collation.
    pub collation: u64,
}

/// A topic that rows are published to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicState {
    /// The topic's id in the cluster: another id is another topic.
    pub topic_id: String,
    /// Partitions in use, whatever the cluster has.
    pub partitions: i32,
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Random, new with each process.
    pub instance: String,
    /// When it started, in milliseconds since 1970.
    pub started_ts_ms: i64,
    /// A command that changes the state and then gives the task back, such as `offsets set`; `None` for a task that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The state, as read from its topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// `["checkpoint"]`.
    pub checkpoint: Option<Checkpoint>,
    /// `["gtid_base"]`.
    pub gtid_base: Option<GtidBase>,
    /// `["owner"]`.
    pub owner: Option<Owner>,
    /// `["table", database, table]`.
    pub tables: BTreeMap<TableName, TableState>,
    /// `["topic", name]`.
    pub topics: BTreeMap<String, TopicState>,
    /// `["tracked", database, table]`.
    pub tracked: BTreeMap<TableName, TrackedTable>,
    /// `["database", name]`.
    pub databases: BTreeMap<String, TrackedDatabase>,
}

/// A record of the state topic makes no sense: it was written by another program, or by a newer version.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The key is not one of ours.
    #[error("the state topic holds a record that is not of this program")]
    Key,
    /// The value does not fit the key.
    #[error("the state topic holds a {kind} record that cannot be read")]
    Value {
        /// Which record.
        kind: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The checkpoint refers to a record that is not there.
    #[error("the state topic lacks the set of GTIDs {id}, to which its checkpoint adds")]
    Base {
        /// What the checkpoint calls it.
        id: String,
    },
    /// A newer format.
    #[error("the state was written in format {format}; this version reads up to {STATE_FORMAT}")]
    Format {
        /// The record's format.
        format: u32,
    },
}

/// Key of the checkpoint record.
#[must_use]
pub fn checkpoint_key() -> String {
    r#"["checkpoint"]"#.to_owned()
}

/// Key of the set that checkpoints add to.
#[must_use]
pub fn gtid_base_key() -> String {
    r#"["gtid_base"]"#.to_owned()
}

/// Key of the owner record.
#[must_use]
pub fn owner_key() -> String {
    r#"["owner"]"#.to_owned()
}

/// Key of a table's record.
#[must_use]
pub fn table_key(name: &TableName) -> String {
    serde_json::json!(["table", name.database, name.table]).to_string()
}

/// Key of what is tracked of a table.
#[must_use]
pub fn tracked_key(name: &TableName) -> String {
    serde_json::json!(["tracked", name.database, name.table]).to_string()
}

/// Key of what is tracked of a database.
#[must_use]
pub fn database_key(name: &str) -> String {
    serde_json::json!(["database", name]).to_string()
}

/// Key of a topic's record.
#[must_use]
pub fn topic_key(topic: &str) -> String {
    serde_json::json!(["topic", topic]).to_string()
}

impl State {
    /// Takes the next record of the topic; a null value is a deletion.
    ///
    /// # Errors
    /// [`StateError`] if it is not a record that this version knows.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let parts: Vec<String> = serde_json::from_slice(key).map_err(|_| StateError::Key)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["checkpoint"] => {
                self.checkpoint = read("checkpoint", value)?;
                if let (Some(base), Some(checkpoint)) = (&self.gtid_base, &mut self.checkpoint) {
                    base.complete(checkpoint);
                }
            }
            ["gtid_base"] => self.gtid_base = read("gtid_base", value)?,
            ["owner"] => self.owner = read("owner", value)?,
            ["table", database, table] => {
                let name = TableName::new(database, table);
                put(&mut self.tables, name, read("table", value)?);
            }
            ["topic", name] => put(&mut self.topics, (*name).to_owned(), read("topic", value)?),
            ["tracked", database, table] => {
                let name = TableName::new(database, table);
                put(&mut self.tracked, name, read("tracked", value)?);
            }
            ["database", name] => {
                put(
                    &mut self.databases,
                    (*name).to_owned(),
                    read("database", value)?,
                );
            }
            _ => return Err(StateError::Key),
        }
        Ok(())
    }

    /// The state, once all records were taken. One in the middle may refer to a base that was compacted away.
    ///
    /// # Errors
    /// [`StateError::Base`] if the last checkpoint does.
    pub fn checked(self) -> Result<Self, StateError> {
        match self
            .checkpoint
            .as_ref()
            .and_then(|last| last.gtid_base.clone())
        {
            Some(id) => Err(StateError::Base { id }),
            None => Ok(self),
        }
    }
}

/// The value under a key, or none any more.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

/// A newer format may have other fields: it is looked at before the rest, so that the error says so.
fn read<T: for<'de> Deserialize<'de>>(
    kind: &'static str,
    value: Option<&[u8]>,
) -> Result<Option<T>, StateError> {
    #[derive(Deserialize)]
    struct Formatted {
        format: Option<u32>,
    }
    let Some(value) = value else { return Ok(None) };
    match serde_json::from_slice(value) {
        Ok(Formatted {
            format: Some(format),
        }) if format > STATE_FORMAT => {
            return Err(StateError::Format { format });
        }
        Ok(_) | Err(_) => {}
    }
    serde_json::from_slice(value)
        .map(Some)
        .map_err(|source| StateError::Value { kind, source })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::position::GtidSet;
    use crate::schema::{Column, DescribedColumn, DescribedKey, KeyPart};
    use crate::value::{
        Binary, Bit, Charset, ColumnType, Compressed, Decimal, Float, Geometry, Identifier,
        Integer, Member, Members, Shape, Temporal, Text, Vector,
    };

    fn at() -> FileOffset {
        FileOffset {
            file: "binlog.000002".into(),
            offset: 5_000_000_000,
        }
    }

    fn checkpoint(position: Position) -> Checkpoint {
        Checkpoint {
            format: STATE_FORMAT,
            position,
            skip_rows: 7,
            split: Some(Split {
                id: "3e11fa47-71ca-11e1-9e33-c80aa9429562:8".into(),
                identity: TransactionIdentity {
                    gtid: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:8".into()),
                    first: at(),
                    commit_time_us: 7,
                },
                parts: 2,
                tables: vec![SplitTable {
                    name: TableName::new("a.b", "c"),
                    rows: 7,
                }],
            }),
            lineage: Lineage {
                server_uuid: "3e11fa47-71ca-11e1-9e33-c80aa9429562".into(),
                first_file: "binlog.000001".into(),
                last: Some(TransactionIdentity {
                    gtid: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:7".into()),
                    first: at(),
                    commit_time_us: -1,
                }),
                passes_over: true,
            },
            selection: "0123456789abcdef".into(),
            source_ts_ms: Some(-1),
            heartbeats: 0,
            gtid_base: None,
        }
    }

    #[test]
    fn tables_that_a_split_lacks_stay_as_far_published_as_they_were() {
        let split = |tables: &[(&str, u64)]| Split {
            tables: tables
                .iter()
                .map(|(table, rows)| SplitTable {
                    name: TableName::new("shop", table),
                    rows: *rows,
                })
                .collect(),
            ..checkpoint(Position::File { at: at() }).split.unwrap()
        };
        let now = split(&[("b", 9), ("c", 1)]);
        assert_eq!(now.clone().with_tables_of(None), now);
        // What both have counts as it is now.
        let merged = now.with_tables_of(Some(&split(&[("a", 5), ("b", 2)])));
        assert_eq!(merged, split(&[("b", 9), ("c", 1), ("a", 5)]));
        assert_eq!(merged.rows(), 15);
        // The same name in another database is another table.
        let mut other = split(&[("a", 5)]);
        other.tables[0].name.database = "hr".to_owned();
        assert_eq!(split(&[("a", 1)]).with_tables_of(Some(&other)).rows(), 6);
    }

    /// A table with every type there is.
    fn table() -> TableState {
        let charset = Charset::Utf8mb3;
        let types = [
            ColumnType::Integer(Integer {
                bytes: 8,
                unsigned: true,
            }),
            ColumnType::Decimal(Decimal {
                precision: 65,
                scale: 30,
                unsigned: true,
            }),
            ColumnType::Text(Text::Char {
                bytes_max: 1020,
                charset: Charset::Utf8mb4,
            }),
            ColumnType::Text(Text::VarChar {
                bytes_max: 65_532,
                charset,
            }),
            ColumnType::Text(Text::Blob {
                length_bytes: 4,
                charset: Charset::Ascii,
            }),
            ColumnType::Temporal(Temporal::DateTime { fraction: 6 }),
            ColumnType::Temporal(Temporal::Timestamp { fraction: 0 }),
            ColumnType::Temporal(Temporal::Time { fraction: 3 }),
            ColumnType::Temporal(Temporal::Date),
            ColumnType::Temporal(Temporal::Year),
            ColumnType::Float(Float {
                bytes: 4,
                unsigned: true,
            }),
            ColumnType::Bit(Bit { bits: 64 }),
            ColumnType::Binary(Binary::Fixed { bytes: 255 }),
            ColumnType::Members(Members::Set {
                bytes: 1,
                members: vec![
                    Member::Text("it's".to_owned()),
                    Member::Text(String::new()),
                    Member::NotText {
                        replaced: "\u{fffd}".to_owned(),
                    },
                    Member::Lost {
                        shown: "?".to_owned(),
                    },
                ],
            }),
            ColumnType::Json,
            ColumnType::Geometry(Geometry {
                shape: Shape::MultiPolygon,
            }),
            ColumnType::Vector(Vector {
                dimensions: 2048,
                bytes_max: None,
            }),
            ColumnType::Vector(Vector {
                dimensions: 2,
                bytes_max: Some(8),
            }),
            ColumnType::Identifier(Identifier::Inet6),
            ColumnType::Text(Text::Compressed {
                compressed: Compressed {
                    length_bytes: 2,
                    bytes_max: Some(400),
                },
                charset,
            }),
            ColumnType::Binary(Binary::Compressed(Compressed {
                length_bytes: 4,
                bytes_max: None,
            })),
            ColumnType::Temporal(Temporal::OldDateTime),
        ];
        let columns = (0..)
            .zip(types)
            .map(|(number, column_type): (u8, _)| Column {
                name: format!("ü \"{number}\""),
                column_type,
                nullable: number % 2 == 0,
                declared: None,
            })
            .collect();
        TableState {
            format: STATE_FORMAT,
            definition: TableDefinition {
                name: TableName::new("a.b", "c\"d"),
                columns,
                primary_key: vec![1, 0],
                message_key: Vec::new(),
                packing: String::new(),
            },
            holds_from: at(),
            widened: false,
            ended: None,
            topic_version: 0,
            value_schema_id: Some(7),
        }
    }

    fn tracked_table() -> DescribedTable {
        let part = KeyPart {
            column: Some("c".to_owned()),
            prefix: Some(7),
        };
        DescribedTable {
            columns: vec![DescribedColumn {
                name: "c".to_owned(),
                sql_type: "varchar(9)".to_owned(),
                default: Some(String::new()),
                collation: Some(255),
                is_unproven: true,
                ..DescribedColumn::default()
            }],
            keys: vec![DescribedKey {
                name: "k".to_owned(),
                is_unique: true,
                parts: vec![part],
                is_declared: true,
            }],
            collation: Some(46),
            is_versioned: true,
        }
    }

    fn apply(state: &mut State, key: &str, value: &impl Serialize) {
        let value = serde_json::to_vec(value).unwrap();
        state.apply(key.as_bytes(), Some(&value)).unwrap();
    }

    #[test]
    fn every_record_comes_back_as_it_was_written_and_goes_when_deleted() {
        let gtid_set: GtidSet = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:tag:7"
            .parse()
            .unwrap();
        let topic = TopicState {
            topic_id: "3VbxpgcXTbyLCRmhkUgOWw".into(),
            partitions: 12,
        };
        let owner = Owner {
            instance: "f00".into(),
            started_ts_ms: 1_700_000_000_123,
            command: Some("offsets set".into()),
        };
        let tracked = TrackedTable {
            format: STATE_FORMAT,
            table: tracked_table(),
        };
        let database = TrackedDatabase {
            format: STATE_FORMAT,
            collation: 255,
        };
        for position in [
            Position::Gtid { gtid_set, at: at() },
            Position::File { at: at() },
        ] {
            let mut state = State::default();
            apply(&mut state, &checkpoint_key(), &checkpoint(position.clone()));
            apply(&mut state, &owner_key(), &owner);
            apply(&mut state, &table_key(&table().definition.name), &table());
            apply(&mut state, &topic_key("bridge.a.b"), &topic);
            let name = table().definition.name;
            apply(&mut state, &tracked_key(&name), &tracked);
            apply(&mut state, &database_key("a.b"), &database);
            let expected = State {
                checkpoint: Some(checkpoint(position)),
                gtid_base: None,
                owner: Some(owner.clone()),
                tables: [(table().definition.name, table())].into(),
                topics: [("bridge.a.b".to_owned(), topic.clone())].into(),
                tracked: [(name.clone(), tracked.clone())].into(),
                databases: [("a.b".to_owned(), database.clone())].into(),
            };
            assert_eq!(state, expected);
            for key in [
                checkpoint_key(),
                owner_key(),
                table_key(&name),
                topic_key("bridge.a.b"),
                tracked_key(&name),
                database_key("a.b"),
            ] {
                state.apply(key.as_bytes(), None).unwrap();
            }
            assert_eq!(state, State::default());
        }
    }

    #[test]
    fn names_that_hold_dots_and_quotes_have_keys_of_their_own() {
        let names = [
            ("a.b", "c"),
            ("a", "b.c"),
            ("a\",\"b", "c"),
            ("a", "b\",\"c"),
        ];
        let keys: std::collections::BTreeSet<_> = names
            .iter()
            .map(|(database, table)| table_key(&TableName::new(database, table)))
            .collect();
        assert_eq!(keys.len(), names.len());
    }

    /// A record as a later version may write it.
    fn newer(record: &impl Serialize) -> Value {
        let mut value = serde_json::to_value(record).unwrap();
        value["format"] = json!(STATE_FORMAT + 1);
        value["unheard_of"] = json!([1]);
        value
    }

    #[test]
    fn a_newer_format_is_refused_as_such_though_its_fields_are_not_known() {
        let position = Position::File { at: at() };
        let owner = json!({"instance": "x", "started_ts_ms": 1});
        let topic = json!({"topic_id": "x", "partitions": 1});
        for (key, value) in [
            (checkpoint_key(), newer(&checkpoint(position))),
            (table_key(&TableName::new("a", "b")), newer(&table())),
            (owner_key(), newer(&owner)),
            (topic_key("t"), newer(&topic)),
            (checkpoint_key(), json!({"format": 2})),
        ] {
            let mut state = State::default();
            let error = state
                .apply(key.as_bytes(), Some(value.to_string().as_bytes()))
                .unwrap_err();
            assert!(matches!(error, StateError::Format { .. }), "{key}: {error}");
            assert_eq!(state, State::default());
        }
    }

    #[test]
    fn a_record_that_is_not_ours_is_refused() {
        for key in [
            "",
            "checkpoint",
            "[]",
            r#"["checkpoint","x"]"#,
            r#"["table","a"]"#,
            r#"["split"]"#,
            "[1]",
            r#"["topic"]"#,
            r#"["topic","a","b"]"#,
            r#"{"a":1}"#,
            "\u{feff}[]",
        ] {
            for value in [None, Some(&b"{}"[..])] {
                let error = State::default().apply(key.as_bytes(), value).unwrap_err();
                assert!(matches!(error, StateError::Key), "{key}");
            }
        }
    }

    #[test]
    fn a_value_that_does_not_fit_its_key_is_refused() {
        let mut unknown = serde_json::to_value(checkpoint(Position::File { at: at() })).unwrap();
        unknown["unheard_of"] = json!(1);
        for (key, value) in [
            (checkpoint_key(), unknown),
            (checkpoint_key(), json!({})),
            (checkpoint_key(), json!(null)),
            (owner_key(), json!({"instance": 1})),
            (table_key(&TableName::new("a", "b")), json!({"format": 1})),
            (topic_key("t"), json!([])),
        ] {
            let mut state = State::default();
            let error = state
                .apply(key.as_bytes(), Some(value.to_string().as_bytes()))
                .unwrap_err();
            assert!(matches!(error, StateError::Value { .. }), "{key} {value}");
            assert_eq!(state, State::default());
        }
    }
}
