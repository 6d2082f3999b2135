//! Binlog events, byte by byte, as MySQL 8 writes them.

pub const FORMAT_DESCRIPTION: u8 = 15;
pub const XID: u8 = 16;
pub const TABLE_MAP: u8 = 19;
pub const WRITE_ROWS: u8 = 30;
pub const UPDATE_ROWS: u8 = 31;
pub const DELETE_ROWS: u8 = 32;
pub const GTID: u8 = 33;
pub const ANONYMOUS_GTID: u8 = 34;
pub const QUERY: u8 = 2;
pub const ROTATE: u8 = 4;

/// 3e11fa47-71ca-11e1-9e33-c80aa9429562
pub const UUID: [u8; 16] = [
    0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62,
];

/// A row of a table with the columns id INT PRIMARY KEY and v INT, both NOT NULL.
pub type Row = (i32, i32);

const ARTIFICIAL: u16 = 0x20;

/// A whole event that begins at `start`; without one it is made up by the server.
pub fn event(event_type: u8, start: Option<u64>, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(19 + body.len() + 4).unwrap();
    let end = start.map_or(0, |start| u32::try_from(start).unwrap() + size);
    let flags = if start.is_some() { 0 } else { ARTIFICIAL };
    let mut bytes = 1_700_000_000_u32.to_le_bytes().to_vec();
    bytes.push(event_type);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(end.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(body);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub fn format_description(created: u32) -> Vec<u8> {
    let mut body = 4_u16.to_le_bytes().to_vec();
    body.extend([0; 50]);
    body.extend(created.to_le_bytes());
    body.push(19);
    body.extend([0; 41]);
    body.push(1);
    body
}

pub fn gtid(sequence: u64) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(UUID);
    body.extend(sequence.to_le_bytes());
    body.push(2);
    body.extend([0; 16]);
    let micros = 1_700_000_000_000_000 + sequence;
    body.extend(&micros.to_le_bytes()[..7]);
    body
}

pub fn query(text: &str) -> Vec<u8> {
    let mut body = 7_u32.to_le_bytes().to_vec();
    body.extend([0; 4]);
    body.push(4);
    body.extend([0; 4]);
    body.extend(b"shop\0");
    body.extend(text.as_bytes());
    body
}

pub fn rotate(file: &str, offset: u64) -> Vec<u8> {
    let mut body = offset.to_le_bytes().to_vec();
    body.extend(file.as_bytes());
    body
}

pub fn table_map(table_id: u64, database: &str, table: &str) -> Vec<u8> {
    const LONG: u8 = 3;
    let mut body = table_id.to_le_bytes()[..6].to_vec();
    body.extend([1, 0]);
    for name in [database, table] {
        body.push(u8::try_from(name.len()).unwrap());
        body.extend(name.as_bytes());
        body.push(0);
    }
    // Two columns, no type metadata, none nullable.
    body.extend([2, LONG, LONG, 0, 0]);
    // Both signed; their names; the first is the primary key.
    body.extend([1, 1, 0]);
    body.extend([4, 5, 2, b'i', b'd', 1, b'v']);
    body.extend([8, 1, 0]);
    body
}

/// The images of a rows event, one after another.
pub fn rows(event_type: u8, table_id: u64, images: &[Row]) -> Vec<u8> {
    let mut body = table_id.to_le_bytes()[..6].to_vec();
    body.extend([1, 0, 2, 0, 2, 0b11]);
    if event_type == UPDATE_ROWS {
        body.push(0b11);
    }
    for (id, v) in images {
        body.push(0);
        body.extend(id.to_le_bytes());
        body.extend(v.to_le_bytes());
    }
    body
}
