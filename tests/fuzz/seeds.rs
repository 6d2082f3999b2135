//! Inputs that mean something: events that real servers wrote, and some by hand.

use std::fs;
use std::path::Path;

/// Numbered and anonymous.
const GTIDS: [u8; 2] = [33, 34];
const MARIADB_GTID: &[u8] = &[162];
const TABLE_MAP: u8 = 19;
const ROWS: [u8; 4] = [30, 31, 32, 39];
/// Larger inputs take long and find no more.
const SEED_BYTES_MAX: usize = 4096;
/// Events of a file that are kept.
const EVENTS_MAX: usize = 60;

/// The events of the recorded binlogs: number and body.
pub struct Seeds {
    events: Vec<Event>,
    /// Those of MariaDB servers.
    mariadb: Vec<Event>,
}

type Event = (u8, Vec<u8>);

/// An event's number, the length of its body and the body.
fn numbered(number: u8, body: &[u8]) -> Vec<u8> {
    [&[number][..], &chunk(body)].concat()
}

fn chunk(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&length[..], body].concat()
}

/// The recorded binlogs of a folder whose names begin so.
fn recorded(folder: &str, prefix: &str) -> Vec<Event> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(prefix) && name.ends_with(".binlog")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .flat_map(|path| events(&fs::read(path).unwrap()))
        .collect()
}

/// The first events of a file, without their checksums.
fn events(bytes: &[u8]) -> Vec<Event> {
    const FORMAT_DESCRIPTION: u8 = 15;
    let mut rest = &bytes[4..];
    let mut events = Vec::new();
    let mut checksum_len = 0;
    while let Some(size) = rest.get(9..13) {
        let size = u32::from_le_bytes(size.try_into().unwrap());
        let (event, after) = rest.split_at(usize::try_from(size).unwrap());
        if event[4] == FORMAT_DESCRIPTION {
            checksum_len = usize::from(event[event.len() - 5]) * 4;
        }
        let body = &event[19..event.len() - checksum_len];
        if body.len() < SEED_BYTES_MAX && events.len() < EVENTS_MAX {
            events.push((event[4], body.to_vec()));
        }
        rest = after;
    }
    events
}

impl Seeds {
    pub fn of_golden_binlogs() -> Self {
        Self {
            events: recorded("golden", ""),
            mariadb: recorded("golden/servers", "mariadb"),
        }
    }

    /// The seeds of a target.
    pub fn of(&self, target: &str) -> Vec<Vec<u8>> {
        match target {
            "events" => streams(&self.events, &GTIDS),
            "table_maps" => self.table_maps(),
            "rows" => self.rows(),
            "json" => documents(),
            "decimals" => decimals(),
            "gtid_sets" => gtid_sets(),
            "frames" => self.frames(),
            "payloads" => self.payloads(),
            "mariadb" => streams(&self.mariadb, MARIADB_GTID),
            other => panic!("no target {other}"),
        }
    }

    /// Packets with events, and with an error behind them.
    fn frames(&self) -> Vec<Vec<u8>> {
        let error: &[u8] = b"\xff\xd4\x04#HY000gone";
        let mut seeds = Vec::new();
        for (part_bytes_max, at_once) in [(50_u16, 7_u16), (300, 1000), (5000, 60_000)] {
            for events in self.events.chunks(12) {
                let mut seed = [part_bytes_max.to_be_bytes(), at_once.to_be_bytes()].concat();
                let bodies = events
                    .iter()
                    .map(|(number, body)| [&[0], &inner(*number, body)[..]].concat());
                for (sequence, payload) in bodies.chain([error.to_vec()]).enumerate() {
                    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
                    seed.extend(&length[..3]);
                    seed.push(u8::try_from(sequence + 1).unwrap());
                    seed.extend(payload);
                }
                seeds.push(seed);
            }
        }
        seeds
    }

    /// Source transactions without their GTID, packed as they are and in a frame of zstd that compresses nothing.
    fn payloads(&self) -> Vec<Vec<u8>> {
        let transactions = self
            .events
            .chunk_by(|_, (number, _)| !GTIDS.contains(number));
        let mut seeds = Vec::new();
        for events in transactions {
            let is_of_rows = events.iter().any(|(number, _)| ROWS.contains(number));
            let inner = events
                .iter()
                .skip(1)
                .map(|(number, body)| inner(*number, body));
            let inner = inner.collect::<Vec<_>>().concat();
            let Ok(size) = u16::try_from(inner.len()) else {
                continue;
            };
            if !is_of_rows {
                continue;
            }
            for flags in 0..4 {
                let packed = if flags & 1 == 1 {
                    stored(&inner)
                } else {
                    inner.clone()
                };
                seeds.push([&[flags], &size.to_be_bytes()[..], &packed].concat());
            }
        }
        seeds
    }

    fn table_maps(&self) -> Vec<Vec<u8>> {
        let text = "id\tint\t7\nname\tvarchar(20)\tnone\tINVISIBLE\nsize\tenum('a','b')\tb\namount\tdecimal(10,2)\t1.50\tDEFAULT_GENERATED\n";
        let maps = self
            .events
            .iter()
            .filter(|(number, _)| *number == TABLE_MAP);
        maps.map(|(_, body)| [&chunk(&body[6..]), text.as_bytes()].concat())
            .collect()
    }

    fn rows(&self) -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        for pair in self.events.windows(2) {
            let [(TABLE_MAP, map), (number, rows)] = pair else {
                continue;
            };
            if ROWS.contains(number) {
                for flags in [0, 1, 2] {
                    seeds.push(
                        [
                            &[flags][..],
                            &chunk(&map[6..]),
                            &numbered(*number, &rows[6..]),
                        ]
                        .concat(),
                    );
                }
            }
        }
        seeds
    }
}

/// Source transactions: each begins with its GTID.
fn streams(events: &[Event], gtids: &[u8]) -> Vec<Vec<u8>> {
    let of_flags = |flags: u8| {
        let transactions = events.chunk_by(|_, (number, _)| !gtids.contains(number));
        transactions.map(move |events| {
            let each = events
                .iter()
                .map(|(number, body)| [&[flags][..], &numbered(*number, body)].concat());
            each.collect::<Vec<_>>().concat()
        })
    };
    of_flags(0).chain(of_flags(1)).collect()
}

/// An event without a place and without a checksum.
fn inner(number: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(19 + body.len()).unwrap();
    let mut bytes = 1_700_000_000_u32.to_le_bytes().to_vec();
    bytes.push(number);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(body);
    bytes
}

/// A frame of zstd with one block that is not compressed (RFC 8878, 3.1.1).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let block = u32::try_from(bytes.len()).unwrap() << 3 | 1;
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x48];
    [&head[..], &block.to_le_bytes()[..3], bytes].concat()
}

/// Documents behind a byte that says what becomes of them.
fn documents() -> Vec<Vec<u8>> {
    let documents: [&[u8]; 9] = [
        &[4, 0],
        &[5, 1, 0],
        &[12, 3, b'a', b'b', b'c'],
        // {"a": 1}
        &[0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 1, 0, b'a'],
        // [1, "b"]
        &[2, 2, 0, 12, 0, 5, 1, 0, 12, 10, 0, 1, b'b'],
        &[11, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
        // Opaque: a DECIMAL, a TIME, a blob.
        &[15, 246, 4, 3, 2, 0x81, 0x32],
        &[15, 11, 8, 0, 0, 0, 0, 0, 0, 0, 0x80],
        &[15, 252, 2, 1, 2],
    ];
    let mut seeds: Vec<_> = documents
        .iter()
        .map(|document| [&[0], *document].concat())
        .collect();
    // A change of {"a": 1}: replace $.a by true.
    let changes = [0, 3, b'$', b'.', b'a', 2, 4, 1];
    seeds.push([&[1][..], &chunk(documents[3]), &changes].concat());
    seeds
}

fn decimals() -> Vec<Vec<u8>> {
    [
        &[9, 2, 0x80, 0, 0, 1, 50][..],
        &[9, 2, 0x7f, 0xff, 0xff, 0xfe, 0xcd],
        &[0, 0, 0x89],
        &[64, 30, 0x80],
        &[17, 9, 0x80, 0, 0, 0, 0, 0, 0, 1],
        &[8, 9, 0x80, 0, 0, 7],
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

fn gtid_sets() -> Vec<Vec<u8>> {
    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
    let sets = [
        String::new(),
        format!("{A}:1"),
        format!("{A}:1-10:12-20"),
        format!("{A}:5,{B}:1-9223372036854775806"),
        format!("{A}:tag:1-3:other:5, {B}:7"),
        format!("{A}:3-3:1-2"),
    ];
    let pairs = sets
        .iter()
        .flat_map(|one| sets.iter().map(move |other| (one, other)));
    pairs
        .map(|(one, other)| [&chunk(one.as_bytes()), other.as_bytes()].concat())
        .collect()
}

/// The same numbers for the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// One of the seeds, changed in some places.
    pub fn changed(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let index = self.below(seeds.len());
        let mut bytes = seeds[index].clone();
        for _ in 0..1 + self.below(4) {
            let place = self.below(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => bytes.push(self.byte()),
                0 => bytes[place] ^= 1 << self.below(8),
                1 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => bytes[place] = self.byte(),
                3 => bytes.truncate(place),
                4 => bytes.insert(place, self.byte()),
                _ => {
                    bytes.remove(place);
                }
            }
        }
        bytes
    }
}
