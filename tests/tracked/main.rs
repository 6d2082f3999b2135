//! Follows the statements of binlog files, and prints what tables are after each of them: for comparing with what the
//! server itself says.
//!
//! `tracked VERSION FILE…`: a JSON object in a line for each statement that may define something. `end` is where it ends,
//! `reason` why something is unproven, `tables` has what is proven, by `database.table`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use binlog_bridge::source::file::BinlogFile;
use binlog_bridge_core::decode::{Decoder, Fed, Item, Joined, Joiner};
use binlog_bridge_core::event::Part;
use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_core::schema::{DescribedTable, Dialect, Known, Tracker, may_define};
use serde_json::{Value, json};

/// The protocol's own limit for an event.
const EVENT_BYTES_MAX: usize = 1 << 30;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let version = arguments.next().context("a version is missing")?;
    let dialect = Dialect::of_version(&version);
    let mut tracker = Tracker::new(dialect, false);
    for file in arguments {
        follow(Path::new(&file), &mut tracker)?;
    }
    Ok(())
}

fn follow(path: &Path, tracker: &mut Tracker) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let at = FileOffset {
        file: name.into_owned(),
        offset: 4,
    };
    let mut decoder = Decoder::new(Position::File { at });
    let mut joiner = Joiner::new(EVENT_BYTES_MAX);
    for event in BinlogFile::open(path)? {
        let event = event?;
        let mut fed = Fed::new(Part::Whole, &event);
        while let Some(joined) = joiner
            .next(&mut fed, |_, _| true)
            .map_err(|kind| decoder.failed(kind))?
        {
            match joined {
                Joined::Event(event) => note(event, &mut decoder, tracker)?,
                Joined::Skipped(header) => decoder.skipped(&header)?,
                Joined::Payload(mark) => decoder.payload(&mark)?,
                Joined::Pending => {}
            }
        }
    }
    Ok(())
}

fn note(event: &[u8], decoder: &mut Decoder, tracker: &mut Tracker) -> anyhow::Result<()> {
    let mut buffer = Vec::new();
    let (_, item) = decoder.event(event)?;
    let statement = match &item {
        Item::Statement(statement) => *statement,
        Item::CompressedStatement(statement) => statement.inflate(&mut buffer, EVENT_BYTES_MAX)?,
        _ => return Ok(()),
    };
    if !may_define(&statement) {
        return Ok(());
    }
    let reason = tracker.follow(&statement);
    let tables: BTreeMap<String, Value> = tracker
        .tables()
        .filter_map(|(name, known)| match known {
            Known::Proven(table) => Some((name.to_string(), shown(table))),
            Known::Gone | Known::Unproven => None,
        })
        .collect();
    let end = decoder.end();
    let reason = reason.err().map(|reason| reason.to_string());
    let line = json!({"end": [end.file, end.offset], "reason": reason, "tables": tables});
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn shown(table: &DescribedTable) -> Value {
    let columns = table.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.sql_type,
            "nullable": column.nullable,
            "collation": column.collation,
            "default": column.default,
            "extra": column.extra,
            "is_unproven": column.is_unproven,
        })
    });
    json!({
        "columns": columns.collect::<Vec<_>>(),
        "primary_key": table.primary_key(),
        "collation": table.collation,
    })
}
