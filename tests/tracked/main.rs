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
use binlog_bridge_core::decode::{Decoder, Item};
use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_core::schema::{DescribedTable, Dialect, Known, Tracker, may_define};
use serde_json::{Value, json};

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
    for event in BinlogFile::open(path)? {
        let event = event?;
        let mut buffer = Vec::new();
        let (_, item) = decoder.event(&event)?;
        let statement = match &item {
            Item::Statement(statement) => *statement,
            Item::CompressedStatement(statement) => statement.inflate(&mut buffer, 1 << 30)?,
            _ => continue,
        };
        if !may_define(&statement) {
            continue;
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
    }
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
