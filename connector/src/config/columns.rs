//! `events.columns`: columns that are masked or left out.

use std::sync::Arc;

use binlog_bridge_core::selection::Pattern;
use binlog_bridge_core::value::{ColumnRule, Mask, Salt};

use super::raw::{RawConfig, RawMask};
use super::{ConfigError, Environment, secret, wrong};

/// The rules, in the order in which they are tried.
pub(super) fn columns(
    raw: &RawConfig,
    environment: Environment<'_>,
) -> Result<Arc<[ColumnRule]>, ConfigError> {
    let events = &raw.events;
    let salt = secret(
        "events.hash_salt",
        events.hash_salt.as_ref(),
        events.hash_salt_file.as_deref(),
        environment,
    )?;
    let salt = salt.map(|salt| Salt(salt.expose().as_bytes().into()));
    let mut rules = Vec::new();
    for (number, rule) in events.columns.iter().enumerate() {
        let key = format!("events.columns[{number}]");
        let mask = match &rule.mask {
            RawMask::LeaveOut => Mask::LeaveOut,
            RawMask::Hash => Mask::Hash(salt.clone().ok_or_else(|| {
                wrong(
                    &key,
                    "hashes need a secret in front of each value, or they could be guessed: set events.hash_salt or events.hash_salt_file",
                )
            })?),
            RawMask::Truncate(characters) => {
                Mask::Truncate(usize::try_from(*characters).unwrap_or(usize::MAX))
            }
            RawMask::Fixed(text) => Mask::Fixed(text.as_str().into()),
        };
        for name in &rule.names {
            let mut parts = name
                .splitn(3, '.')
                .map(|part| Some(part).filter(|part| !part.is_empty()));
            let mut part = || parts.next().flatten().map(Pattern::new);
            let (Some(database), Some(table), Some(column)) = (part(), part(), part()) else {
                return Err(wrong(
                    &key,
                    format!("'{name}' is not of the form database.table.column"),
                ));
            };
            rules.push(ColumnRule {
                database,
                table,
                column,
                mask: mask.clone(),
            });
        }
    }
    Ok(rules.into())
}
