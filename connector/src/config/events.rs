//! `events`: columns that make the keys of records, and heartbeats.

use std::sync::Arc;
use std::time::Duration;

use binlog_bridge_core::schema::KeyRule;
use binlog_bridge_core::selection::{Pattern, TablePattern};

use super::raw::RawKeyRule;
use super::{ConfigError, milliseconds, table_name, wrong};

/// The rules, in the order in which they are tried.
pub(super) fn keys(raw: &[RawKeyRule]) -> Result<Arc<[KeyRule]>, ConfigError> {
    let numbered = raw.iter().enumerate();
    let rule = |(number, raw)| key_rule(&format!("events.message_key[{number}]"), raw);
    numbered.map(rule).collect()
}

fn key_rule(key: &str, raw: &RawKeyRule) -> Result<KeyRule, ConfigError> {
    let pattern = |text: &String| {
        let name = table_name(key, text)?;
        let (database, table) = (Pattern::new(&name.database), Pattern::new(&name.table));
        Ok(TablePattern { database, table })
    };
    if raw.tables.is_empty() {
        return Err(wrong(key, "names no table"));
    }
    if raw.columns.is_empty() {
        return Err(wrong(key, "names no column"));
    }
    for (place, column) in raw.columns.iter().enumerate() {
        let mut others = raw.columns.iter().take(place);
        if others.any(|other| other.to_lowercase() == column.to_lowercase()) {
            return Err(wrong(key, format!("names column '{column}' twice")));
        }
    }
    Ok(KeyRule {
        tables: raw.tables.iter().map(pattern).collect::<Result<_, _>>()?,
        columns: raw.columns.clone(),
    })
}

/// The time between heartbeats; `None` for none.
pub(super) fn heartbeat_interval(value: u32) -> Result<Option<Duration>, ConfigError> {
    match value {
        0 => Ok(None),
        1..100 => Err(wrong(
            "events.heartbeat_interval_ms",
            "must be 0, for none, or at least 100",
        )),
        _ => Ok(Some(milliseconds(value))),
    }
}
