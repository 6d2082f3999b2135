//! The few questions and commands that go over the connection of a dump before it becomes one.
//!
//! Format: MySQL source, "Command Phase" (`page_protocol_command_phase`); answers as text, with the packets that end lists of
//! columns and rows (no `CLIENT_DEPRECATE_EOF`).

use binlog_bridge_core::frames::{END, ERROR};
use mysql_common::io::ParseBuf;

use super::WireError;
use super::channel::Channel;

/// Largest packet of an answer.
const PACKET_BYTES_MAX: usize = 1024 * 1024;
/// Most columns of an answer; none of ours has more than two.
const COLUMNS_MAX: u64 = 16;
/// Most rows of an answer.
const ROWS_MAX: usize = 1000;

const OK: u8 = 0;
/// The server asks for a file.
const LOCAL_INFILE: u8 = 0xfb;
const COM_QUERY: u8 = 3;

/// A row; `None` for NULL.
type Row = Vec<Option<String>>;

/// Runs a statement, and returns its rows.
pub(super) async fn query(channel: &mut Channel, sql: &str) -> Result<Vec<Row>, WireError> {
    channel
        .command(&[&[COM_QUERY], sql.as_bytes()].concat())
        .await?;
    let packet = channel.read(PACKET_BYTES_MAX).await?;
    let columns = match packet.first() {
        Some(&OK) => return Ok(Vec::new()),
        Some(&ERROR) => return Err(WireError::server(&packet)),
        Some(&LOCAL_INFILE) => return Err(WireError::LocalInfile),
        Some(_) | None => (ParseBuf(&packet).checked_eat_lenenc_int()).ok_or_else(wrong)?,
    };
    if columns > COLUMNS_MAX {
        return Err(wrong());
    }
    for _ in 0..columns {
        channel.read(PACKET_BYTES_MAX).await?;
    }
    if !is_end(&channel.read(PACKET_BYTES_MAX).await?) {
        return Err(wrong());
    }
    let mut rows = Vec::new();
    loop {
        let packet = channel.read(PACKET_BYTES_MAX).await?;
        if is_end(&packet) {
            return Ok(rows);
        }
        if packet.first() == Some(&ERROR) {
            return Err(WireError::server(&packet));
        }
        if rows.len() == ROWS_MAX {
            return Err(wrong());
        }
        rows.push(row(&packet, columns)?);
    }
}

/// Sends a command that the server says yes or no to.
pub(super) async fn command(channel: &mut Channel, payload: &[u8]) -> Result<(), WireError> {
    channel.command(payload).await?;
    let packet = channel.read(PACKET_BYTES_MAX).await?;
    match packet.first() {
        Some(&OK) => Ok(()),
        Some(&ERROR) => Err(WireError::server(&packet)),
        Some(_) | None => Err(wrong()),
    }
}

fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&END) && packet.len() < 9
}

fn row(packet: &[u8], columns: u64) -> Result<Row, WireError> {
    const NULL: u8 = 0xfb;
    let mut input = ParseBuf(packet);
    let mut row = Vec::new();
    for _ in 0..columns {
        if input.0.first() == Some(&NULL) {
            input.skip(1);
            row.push(None);
        } else {
            let text = input.checked_eat_lenenc_str().ok_or_else(wrong)?;
            row.push(Some(String::from_utf8_lossy(text).into_owned()));
        }
    }
    match input.is_empty() {
        true => Ok(row),
        false => Err(wrong()),
    }
}

fn wrong() -> WireError {
    WireError::Protocol("its answer to a question of ours is none".to_owned())
}
