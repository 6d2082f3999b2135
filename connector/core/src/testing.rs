//! What the tests of this crate share: seeded randomness and the oracle.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;

/// The same numbers for the same seed (xorshift64*): a failing run is repeated by its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(u64::try_from(from.len()).unwrap())).unwrap()]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    pub(crate) fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}

/// What the Avro library reads from bytes that we wrote. No byte may be left: the library takes some truncated
/// values for complete ones, and so would take too short a value for the right one.
pub(crate) fn oracle(schema: &serde_json::Value, mut bytes: &[u8]) -> Value {
    let schema = Schema::parse_str(&schema.to_string()).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let value = reader.read_value(&mut bytes).unwrap();
    assert!(
        bytes.is_empty(),
        "{} bytes are left after {value:?}",
        bytes.len()
    );
    assert!(value.validate(&schema), "{value:?} is not of the schema");
    value
}

/// Number of a FORMAT_DESCRIPTION_EVENT.
pub(crate) const FORMAT_DESCRIPTION: u8 = 15;
/// Seconds since 1970 in the header of every hand-made event.
pub(crate) const TIME: u32 = 1_699_999_999;
/// Server id in the header of every hand-made event.
pub(crate) const SERVER: u32 = 11;
/// The thread of every hand-made query.
pub(crate) const THREAD: u32 = 77;
/// Status variables of every hand-made query: flags2.
pub(crate) const STATUS: &[u8] = &[0, 1, 2, 3, 4];

/// Makes events as a server would send them from a file.
pub(crate) struct Stream {
    /// Where the next event begins.
    pub(crate) offset: u64,
    pub(crate) checksum: bool,
}

impl Stream {
    pub(crate) fn new(checksum: bool) -> Self {
        Self {
            offset: 4,
            checksum,
        }
    }

    pub(crate) fn event(&mut self, event_type: u8, body: &[u8]) -> Vec<u8> {
        self.flagged(event_type, 0, body)
    }

    /// An event that is in the file, with flags.
    pub(crate) fn flagged(&mut self, event_type: u8, flags: u16, body: &[u8]) -> Vec<u8> {
        self.offset = self
            .offset
            .wrapping_add(u64::from(self.size(event_type, body)));
        let end = u32::try_from(self.offset & u64::from(u32::MAX)).unwrap();
        self.bytes(event_type, flags, end, body)
    }

    /// An event that the server made up; a format description is one with offset 0 instead.
    pub(crate) fn artificial(&self, event_type: u8, body: &[u8]) -> Vec<u8> {
        let flags = if event_type == FORMAT_DESCRIPTION {
            0
        } else {
            0x20
        };
        self.bytes(event_type, flags, 0, body)
    }

    /// A heartbeat, which names the place that the server has read up to.
    pub(crate) fn heartbeat(&self, end: u32, body: &[u8]) -> Vec<u8> {
        self.bytes(27, 0, end, body)
    }

    /// A format description has room for a checksum in any case.
    fn has_checksum(&self, event_type: u8) -> bool {
        self.checksum || event_type == FORMAT_DESCRIPTION
    }

    fn size(&self, event_type: u8, body: &[u8]) -> u32 {
        let checksum = if self.has_checksum(event_type) { 4 } else { 0 };
        u32::try_from(19 + body.len() + checksum).unwrap()
    }

    fn bytes(&self, event_type: u8, flags: u16, end: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = TIME.to_le_bytes().to_vec();
        bytes.push(event_type);
        bytes.extend(SERVER.to_le_bytes());
        bytes.extend(self.size(event_type, body).to_le_bytes());
        bytes.extend(end.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(body);
        if self.has_checksum(event_type) {
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        }
        bytes
    }
}

/// A little-endian number of `size` bytes.
pub(crate) fn number(value: u64, size: usize) -> Vec<u8> {
    value.to_le_bytes()[..size].to_vec()
}

/// A length-encoded number.
pub(crate) fn lenenc(value: usize) -> Vec<u8> {
    match value {
        0..=250 => vec![u8::try_from(value).unwrap()],
        251..=0xffff => [&[252], &value.to_le_bytes()[..2]].concat(),
        0x1_0000..=0xff_ffff => [&[253], &value.to_le_bytes()[..3]].concat(),
        _ => [&[254], &value.to_le_bytes()[..]].concat(),
    }
}

pub(crate) fn rotate(file: &str, offset: u64) -> Vec<u8> {
    [&offset.to_le_bytes(), file.as_bytes()].concat()
}

pub(crate) fn format_description(created: u32, checksum: bool) -> Vec<u8> {
    format_description_of("8.0.31", created, checksum)
}

pub(crate) fn format_description_of(version: &str, created: u32, checksum: bool) -> Vec<u8> {
    let mut version = version.as_bytes().to_vec();
    version.resize(50, 0);
    let lengths = [13; 41];
    [
        &4_u16.to_le_bytes()[..],
        &version,
        &created.to_le_bytes(),
        &[19],
        &lengths,
        &[u8::from(checksum)],
    ]
    .concat()
}

/// A GTID event's body as 8.0 writes it, with the commit times of this server and of the first one.
pub(crate) fn gtid(sequence: u64, immediate: u64, original: Option<u64>) -> Vec<u8> {
    let uuid = b"\x3e\x11\xfa\x47\x71\xca\x11\xe1\x9e\x33\xc8\x0a\xa9\x42\x95\x62";
    let mut body = [
        &[1][..],
        uuid,
        &number(sequence, 8),
        &[2],
        &number(3, 8),
        &number(4, 8),
    ]
    .concat();
    match original {
        None => body.extend(number(immediate, 7)),
        Some(original) => {
            body.extend(number(immediate | 1 << 55, 7));
            body.extend(number(original, 7));
        }
    }
    // Length of the transaction, and the server's version.
    body.extend([252, 0, 1]);
    body.extend(80_031_u32.to_le_bytes());
    body
}

pub(crate) fn query(database: &str, text: &str) -> Vec<u8> {
    let mut body = THREAD.to_le_bytes().to_vec();
    body.extend([0; 4]);
    body.push(u8::try_from(database.len()).unwrap());
    body.extend([0; 2]);
    body.extend(number(u64::try_from(STATUS.len()).unwrap(), 2));
    [&body, STATUS, database.as_bytes(), &[0], text.as_bytes()].concat()
}

pub(crate) fn table_map(table_id: u64, database: &str, table: &str, shape: &[u8]) -> Vec<u8> {
    let mut body = [number(table_id, 6), number(1, 2)].concat();
    for name in [database, table] {
        body.push(u8::try_from(name.len()).unwrap());
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.extend(shape);
    body
}

/// One column, `id INT`, the primary key.
pub(crate) fn shape_of_one_int() -> Vec<u8> {
    [&[1, 3, 0, 0][..], &[1, 1, 0], &[4, 3, 2], b"id", &[8, 1, 0]].concat()
}

/// A rows event's body in which every column is present.
pub(crate) fn rows(table_id: u64, columns: usize, update: bool, images: &[u8]) -> Vec<u8> {
    let bitmap = vec![0xff; columns.div_ceil(8)];
    let again = if update { bitmap.clone() } else { Vec::new() };
    [
        number(table_id, 6),
        number(1, 2),
        number(2, 2),
        lenenc(columns),
        bitmap,
        again,
        images.to_vec(),
    ]
    .concat()
}
