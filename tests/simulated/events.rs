//! Binlog events, byte by byte, as MySQL 8 writes them.

use crate::simulated::table::{Column, Row};

pub const QUERY: u8 = 2;
pub const STOP: u8 = 3;
pub const ROTATE: u8 = 4;
pub const FORMAT_DESCRIPTION: u8 = 15;
pub const XID: u8 = 16;
pub const TABLE_MAP: u8 = 19;
pub const HEARTBEAT: u8 = 27;
pub const WRITE_ROWS: u8 = 30;
pub const UPDATE_ROWS: u8 = 31;
pub const DELETE_ROWS: u8 = 32;
pub const GTID: u8 = 33;
pub const ANONYMOUS_GTID: u8 = 34;
pub const PREVIOUS_GTIDS: u8 = 35;

/// 3e11fa47-71ca-11e1-9e33-c80aa9429562
pub const UUID: [u8; 16] = [
    0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62,
];
/// The same as text.
pub const UUID_TEXT: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

const ARTIFICIAL: u16 = 0x20;

/// A whole event that begins at `start`; without one it is made up by the server.
pub fn event(event_type: u8, start: Option<u64>, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(19 + body.len() + 4).unwrap();
    let bytes = match start {
        Some(start) => build(
            event_type,
            size,
            u32::try_from(start).unwrap() + size,
            0,
            body,
        ),
        None => build(event_type, size, 0, ARTIFICIAL, body),
    };
    checked(bytes)
}

/// What a dump begins with: it has no checksum, as no format description has announced any yet.
pub fn first_rotate(file: &str, offset: u64) -> Vec<u8> {
    let body = rotate(file, offset);
    let size = u32::try_from(19 + body.len()).unwrap();
    build(ROTATE, size, 0, ARTIFICIAL, &body)
}

/// What an idle server sends: the end of its binlog.
pub fn heartbeat(file: &str, end: u64) -> Vec<u8> {
    let size = u32::try_from(19 + file.len() + 4).unwrap();
    let end = u32::try_from(end).unwrap();
    checked(build(HEARTBEAT, size, end, 0, file.as_bytes()))
}

fn build(event_type: u8, size: u32, end: u32, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = 1_700_000_000_u32.to_le_bytes().to_vec();
    bytes.push(event_type);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(end.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(body);
    bytes
}

fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// `created` is not 0 in the first file of a server run.
pub fn format_description(created: u32) -> Vec<u8> {
    let mut body = 4_u16.to_le_bytes().to_vec();
    body.extend([0; 50]);
    body.extend(created.to_le_bytes());
    body.push(19);
    body.extend([0; 41]);
    body.push(1);
    body
}

pub fn gtid(sequence: u64, commit_time_us: u64) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(UUID);
    body.extend(sequence.to_le_bytes());
    body.push(2);
    body.extend([0; 16]);
    body.extend(&commit_time_us.to_le_bytes()[..7]);
    body
}

pub fn query(database: &str, text: &str) -> Vec<u8> {
    let mut body = 7_u32.to_le_bytes().to_vec();
    body.extend([0; 4]);
    body.push(u8::try_from(database.len()).unwrap());
    body.extend([0; 4]);
    body.extend(database.as_bytes());
    body.push(0);
    body.extend(text.as_bytes());
    body
}

pub fn rotate(file: &str, offset: u64) -> Vec<u8> {
    let mut body = offset.to_le_bytes().to_vec();
    body.extend(file.as_bytes());
    body
}

/// What table maps have: `binlog_row_metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    Full,
    Minimal,
}

/// The map of a table whose columns are all INT, and whose first column is the primary key.
///
/// It names the columns and the key if `metadata` is [`Metadata::Full`].
pub fn table_map(
    table_id: u64,
    (database, table): (&str, &str),
    columns: &[Column],
    metadata: Metadata,
) -> Vec<u8> {
    const LONG: u8 = 3;
    let byte = |number: usize| u8::try_from(number).unwrap();
    let mut body = table_id.to_le_bytes()[..6].to_vec();
    body.extend([1, 0]);
    for name in [database, table] {
        body.push(byte(name.len()));
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.push(byte(columns.len()));
    body.extend(columns.iter().map(|_| LONG));
    // No type has metadata.
    body.push(0);
    body.extend(bits(columns.iter().map(|column| column.nullable)));
    let bitmap = columns.len().div_ceil(8);
    // All signed.
    body.extend([1, byte(bitmap)]);
    body.extend(std::iter::repeat_n(0, bitmap));
    if metadata == Metadata::Minimal {
        return body;
    }
    let names: Vec<u8> = columns
        .iter()
        .flat_map(|column| std::iter::once(byte(column.name.len())).chain(column.name.bytes()))
        .collect();
    body.extend([4, byte(names.len())]);
    body.extend(names);
    body.extend([8, 1, 0]);
    body
}

/// The images of a rows event, one after another.
pub fn rows(event_type: u8, table_id: u64, images: &[Row]) -> Vec<u8> {
    let count = images.first().map_or(0, Vec::len);
    let mut body = table_id.to_le_bytes()[..6].to_vec();
    body.extend([1, 0, 2, 0, u8::try_from(count).unwrap()]);
    let present = bits((0..count).map(|_| true));
    body.extend(&present);
    if event_type == UPDATE_ROWS {
        body.extend(&present);
    }
    for image in images {
        body.extend(bits(image.iter().map(Option::is_none)));
        for value in image.iter().flatten() {
            body.extend(value.to_le_bytes());
        }
    }
    body
}

/// A bitmap, the lowest bit of each byte first.
fn bits(all: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, bit) in all.enumerate() {
        if index % 8 == 0 {
            bytes.push(0);
        }
        *bytes.last_mut().unwrap() |= u8::from(bit) << (index % 8);
    }
    bytes
}
