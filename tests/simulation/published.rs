//! What a consumer sees: the records of committed transactions, decoded by the schemas that their bytes name.

use std::collections::HashMap;

use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_tests::simulated::registry::SimRegistry;
use binlog_bridge_tests::simulated::table::{Column, Columns, Row};
use serde_json::Value;

/// The front of an envelope, up to the position of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The columns of the schema that it was written with.
    pub columns: Columns,
    pub before: Option<Row>,
    pub after: Option<Row>,
    pub ts_us: Option<i64>,
    pub table: String,
    pub gtid: Option<String>,
}

/// A record of the transactions topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionMark {
    pub status: String,
    pub id: String,
    pub event_count: Option<i64>,
    pub part: Option<i64>,
    pub gap: Option<Gap>,
}

/// What a GAP says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub reason: String,
    pub from: Position,
    pub from_ts_ms: i64,
    pub to: Position,
    pub may_repeat: bool,
}

/// Decodes records, and remembers the schemas that it asked for.
pub struct Reader {
    registry: SimRegistry,
    columns: HashMap<u32, Columns>,
}

impl Reader {
    pub fn new(registry: SimRegistry) -> Self {
        Self {
            registry,
            columns: HashMap::new(),
        }
    }

    pub fn event(&mut self, value: &[u8]) -> Result<Event, String> {
        let (id, mut rest) = split_header(value)?;
        let columns = self.columns(id)?;
        let input = &mut rest;
        let before = image(input, &columns)?;
        let after = image(input, &columns)?;
        let _version_and_kin = (text(input)?, text(input)?, text(input)?);
        let _ts_ms = long(input)?;
        let _snapshot = (long(input)?, text(input)?);
        let _database = text(input)?;
        let _sequence = optional(input, text)?;
        let ts_us = optional(input, long)?;
        let _ts_ns = optional(input, long)?;
        let table = optional(input, text)?.unwrap_or_default();
        let _server_id = long(input)?;
        let gtid = optional(input, text)?;
        Ok(Event {
            columns,
            before,
            after,
            ts_us,
            table,
            gtid,
        })
    }

    fn columns(&mut self, id: u32) -> Result<Columns, String> {
        if let Some(known) = self.columns.get(&id) {
            return Ok(known.clone());
        }
        let text = self
            .registry
            .schema(id)
            .ok_or_else(|| format!("no schema has the id {id}"))?;
        let schema: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let fields = &schema["fields"][0]["type"][1]["fields"];
        let fields = fields.as_array().ok_or("the schema is no envelope")?;
        let columns: Columns = fields
            .iter()
            .map(|field| Column {
                name: field["name"].as_str().unwrap_or_default().to_owned(),
                nullable: field["type"].is_array(),
            })
            .collect();
        self.columns.insert(id, columns.clone());
        Ok(columns)
    }
}

/// The key of a table's record: its one column.
pub fn key(bytes: &[u8]) -> Result<i32, String> {
    let (_, mut rest) = split_header(bytes)?;
    integer(&mut rest)
}

/// The statement of a schema change.
pub fn schema_change(value: &[u8]) -> Result<String, String> {
    let (_, mut rest) = split_header(value)?;
    let input = &mut rest;
    let _kind_and_databases = (text(input)?, text(input)?, text(input)?);
    optional(input, text)?.ok_or_else(|| "a statement without its text".to_owned())
}

/// A record of the heartbeats topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub position: Position,
    pub number: i64,
}

pub fn heartbeat(value: &[u8]) -> Result<Heartbeat, String> {
    let (_, mut rest) = split_header(value)?;
    let input = &mut rest;
    let at = place(input)?;
    let position = position(at, optional(input, text)?)?;
    let _source_ts_ms = optional(input, long)?;
    let number = long(input)?;
    match input.is_empty() {
        true => Ok(Heartbeat { position, number }),
        false => Err("bytes follow a heartbeat".to_owned()),
    }
}

pub fn transaction_mark(value: &[u8]) -> Result<TransactionMark, String> {
    let (_, mut rest) = split_header(value)?;
    let input = &mut rest;
    let (status, id) = (text(input)?, text(input)?);
    let event_count = optional(input, long)?;
    optional(input, tables)?;
    let (ts_ms, at) = (long(input)?, place(input)?);
    let _gtid = optional(input, text)?;
    let part = optional(input, long)?;
    let gap = optional(input, |input| gap(input, ts_ms, at))?;
    if !input.is_empty() {
        return Err("bytes follow a mark".to_owned());
    }
    Ok(TransactionMark {
        status,
        id,
        event_count,
        part,
        gap,
    })
}

/// The rest of a GAP, behind the time and the place of its beginning.
fn gap(input: &mut &[u8], from_ts_ms: i64, from: FileOffset) -> Result<Gap, String> {
    let reason = text(input)?;
    let from = position(from, optional(input, text)?)?;
    let to = place(input)?;
    let to = position(to, optional(input, text)?)?;
    let may_repeat = boolean(input)?;
    Ok(Gap {
        reason,
        from,
        from_ts_ms,
        to,
        may_repeat,
    })
}

fn place(input: &mut &[u8]) -> Result<FileOffset, String> {
    let file = text(input)?;
    let offset = u64::try_from(long(input)?).map_err(|error| error.to_string())?;
    Ok(FileOffset { file, offset })
}

fn position(at: FileOffset, gtid_set: Option<String>) -> Result<Position, String> {
    let Some(gtid_set) = gtid_set else {
        return Ok(Position::File { at });
    };
    let gtid_set = gtid_set
        .parse()
        .map_err(|error| format!("{gtid_set}: {error}"))?;
    Ok(Position::Gtid { gtid_set, at })
}

/// An array of tables and their counts.
fn tables(input: &mut &[u8]) -> Result<(), String> {
    loop {
        let count = long(input)?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            let _table = (text(input)?, long(input)?);
        }
    }
}

/// The five bytes before each record: zero, and the schema's id.
fn split_header(bytes: &[u8]) -> Result<(u32, &[u8]), String> {
    match bytes.split_first_chunk::<5>() {
        Some(([0, a, b, c, d], rest)) => Ok((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => Err("a record without a schema id".to_owned()),
    }
}

fn image(input: &mut &[u8], columns: &[Column]) -> Result<Option<Row>, String> {
    optional(input, |input| {
        columns
            .iter()
            .map(|column| match column.nullable {
                true => optional(input, integer),
                false => integer(input).map(Some),
            })
            .collect()
    })
}

/// A union of null and something.
fn optional<T>(
    input: &mut &[u8],
    read: impl FnOnce(&mut &[u8]) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match long(input)? {
        0 => Ok(None),
        1 => read(input).map(Some),
        other => Err(format!("a union has no branch {other}")),
    }
}

fn text(input: &mut &[u8]) -> Result<String, String> {
    let length = usize::try_from(long(input)?).map_err(|error| error.to_string())?;
    let (bytes, rest) = input.split_at_checked(length).ok_or("a text is cut off")?;
    *input = rest;
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

fn integer(input: &mut &[u8]) -> Result<i32, String> {
    i32::try_from(long(input)?).map_err(|error| error.to_string())
}

fn boolean(input: &mut &[u8]) -> Result<bool, String> {
    let (byte, rest) = input.split_first().ok_or("a boolean is cut off")?;
    *input = rest;
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{other} is no boolean")),
    }
}

/// A number in Avro's zigzag form.
fn long(input: &mut &[u8]) -> Result<i64, String> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first().ok_or("a number is cut off")?;
        *input = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let sign = (number & 1).cast_signed();
            return Ok((number >> 1).cast_signed() ^ -sign);
        }
    }
    Err("a number is too long".to_owned())
}
