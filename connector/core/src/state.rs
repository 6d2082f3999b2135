//! What a task remembers: records of its state topic, keys as JSON arrays, values as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::position::{FileOffset, Position};
use crate::schema::TableDefinition;
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
    /// Rows of the source transaction after the position that are published already: 0, as no transaction
    /// is split.
    pub skip_rows: u64,
    /// The split in progress: none.
    pub split: Option<serde_json::Value>,
    /// Which server the position is of.
    pub lineage: Lineage,
    /// [`crate::selection::Selection::fingerprint`] of what was selected.
    pub selection: String,
    /// Commit time of the last source transaction before the position, in milliseconds since 1970.
    pub source_ts_ms: Option<i64>,
}

/// The identity of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The server's uuid.
    pub server_uuid: String,
    /// The oldest binlog file that the server had when the stream was opened.
    pub first_file: String,
    /// The last source transaction's GTID, where the server numbers them.
    pub gtid: Option<String>,
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
    /// True if the schema was widened for partial images: never, as only full images are read.
    pub widened: bool,
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
}

/// The state, as read from its topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// `["checkpoint"]`.
    pub checkpoint: Option<Checkpoint>,
    /// `["owner"]`.
    pub owner: Option<Owner>,
    /// `["table", database, table]`.
    pub tables: BTreeMap<TableName, TableState>,
    /// `["topic", name]`.
    pub topics: BTreeMap<String, TopicState>,
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
                match &self.checkpoint {
                    Some(checkpoint) => check_format(checkpoint.format)?,
                    None => {}
                }
            }
            ["owner"] => self.owner = read("owner", value)?,
            ["table", database, table] => {
                let name = TableName::new(database, table);
                match read::<TableState>("table", value)? {
                    Some(state) => {
                        check_format(state.format)?;
                        self.tables.insert(name, state);
                    }
                    None => {
                        self.tables.remove(&name);
                    }
                }
            }
            ["topic", name] => match read("topic", value)? {
                Some(state) => {
                    self.topics.insert((*name).to_owned(), state);
                }
                None => {
                    self.topics.remove(*name);
                }
            },
            _ => return Err(StateError::Key),
        }
        Ok(())
    }
}

fn check_format(format: u32) -> Result<(), StateError> {
    if format > STATE_FORMAT { Err(StateError::Format { format }) } else { Ok(()) }
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
    if let Ok(Formatted { format: Some(format) }) = serde_json::from_slice(value) {
        check_format(format)?;
    }
    serde_json::from_slice(value).map(Some).map_err(|source| StateError::Value { kind, source })
}
