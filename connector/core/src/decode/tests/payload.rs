//! Compressed transactions: whatever the parts that they come in, what comes out is what went in, and nothing that is damaged
//! gets to its end.

use std::io::{Read as _, Write as _};

use super::*;
use crate::decode::PayloadMark;
use crate::decode::inflate::BUFFER_BYTES;

const PAYLOAD: u8 = 40;
const EVENT_BYTES_MAX: usize = 1 << 20;

/// An event as it is in a payload: without a place and without a checksum.
fn inner(event_type: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(19 + body.len()).unwrap();
    let head = [
        &testing::TIME.to_le_bytes()[..],
        &[event_type],
        &testing::SERVER.to_le_bytes(),
        &size.to_le_bytes(),
        &[0; 4],
        &[8, 0],
    ];
    [&head.concat()[..], body].concat()
}

/// A transaction whose rows have `sizes` bytes.
fn events(sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut random = Random::new(7);
    let mut events = vec![inner(QUERY, &query("BEGIN")), inner(TABLE_MAP, &map())];
    for size in sizes {
        // Neither all the same nor incompressible.
        let values = (0..*size).map(|at| if at % 3 == 0 { random.byte() } else { 7 });
        let body = [rows(false), values.collect()].concat();
        events.push(inner(WRITE, &body));
    }
    events.push(inner(XID, &number(9, 8)));
    events
}

fn size(events: &[Vec<u8>]) -> usize {
    events.iter().map(Vec::len).sum()
}

fn field(number: u8, value: u64) -> Vec<u8> {
    let value = lenenc(usize::try_from(value).unwrap());
    [vec![number, u8::try_from(value.len()).unwrap()], value].concat()
}

/// The body of the event that holds `packed`.
fn body(compression: u64, size: usize, packed: &[u8]) -> Vec<u8> {
    let packed_size = u64::try_from(packed.len()).unwrap();
    [
        field(2, compression),
        field(3, u64::try_from(size).unwrap()),
        field(1, packed_size),
        vec![0],
        packed.to_vec(),
    ]
    .concat()
}

fn zstd(events: &[Vec<u8>]) -> Vec<u8> {
    zstd::encode_all(&events.concat()[..], 3).unwrap()
}

/// What comes out of a transaction, until an error.
struct Read {
    stream: Followed,
    joiner: Joiner,
    names: Vec<String>,
    sizes: Vec<usize>,
}

impl Read {
    fn new(checksum: bool) -> Self {
        let mut stream = Followed::new(gtid_position("U:1-4", 157), checksum);
        stream.check(GTID, &gtid(5), "begin", false);
        Self {
            stream,
            joiner: Joiner::new(EVENT_BYTES_MAX),
            names: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Takes an event in parts of so many bytes.
    fn take(&mut self, event: &[u8], part_bytes: usize) -> Result<(), DecodeErrorKind> {
        let count = event.len().div_ceil(part_bytes);
        for (index, bytes) in event.chunks(part_bytes).enumerate() {
            let part = match (index, index + 1 == count) {
                (0, true) => Part::Whole,
                (0, false) => Part::First,
                (_, true) => Part::Last,
                (_, false) => Part::Middle,
            };
            self.piece(part, bytes)?;
        }
        Ok(())
    }

    fn piece(&mut self, part: Part, bytes: &[u8]) -> Result<(), DecodeErrorKind> {
        let mut fed = Fed::new(part, bytes);
        while let Some(joined) = self.joiner.next(&mut fed, |_, _| true)? {
            match joined {
                Joined::Event(event) => {
                    let item = self.stream.decoder.event(event);
                    let (_, item) = item.map_err(|error| error.kind)?;
                    self.names.push(name(&item));
                    self.sizes.push(event.len());
                }
                Joined::Payload(mark) => {
                    let result = self.stream.decoder.payload(&mark);
                    result.map_err(|error| error.kind)?;
                }
                Joined::Pending => {}
                Joined::Skipped(header) => panic!("{header:?} was wanted"),
            }
        }
        Ok(())
    }

    fn payload(&mut self, body: &[u8]) -> Vec<u8> {
        self.stream.stream.event(PAYLOAD, body)
    }

    /// Whether a transaction was ended.
    fn has_ended(&self) -> bool {
        self.names.iter().any(|name| name == "Commit")
    }
}

/// Those that fit into the buffer, that just do and just do not, and those that are much larger.
const SIZES: [usize; 7] = [
    10,
    BUFFER_BYTES - 200,
    0,
    BUFFER_BYTES - 30,
    BUFFER_BYTES,
    700_000,
    5,
];

#[test]
fn whatever_the_parts_what_went_in_comes_out_at_the_place_of_the_event_that_held_it() {
    let events = events(&SIZES);
    let packed = [(0, zstd(&events)), (255, events.concat())];
    for (compression, packed) in packed {
        for checksum in [true, false] {
            for part_bytes in [60, 4097, 100_000, usize::MAX] {
                let mut read = Read::new(checksum);
                let event = read.payload(&body(compression, size(&events), &packed));
                read.take(&event, part_bytes.min(event.len())).unwrap();
                let lengths: Vec<_> = events.iter().map(Vec::len).collect();
                assert_eq!(read.sizes, lengths);
                assert!(read.has_ended());
                let end = read.stream.stream.offset;
                let decoder = &mut read.stream.decoder;
                assert_eq!(decoder.position().at().offset, end);
                let set = decoder.position().gtid_set().unwrap().to_string();
                assert_eq!(set, format!("{UUID}:1-5"));
                // Another one follows, with its place and its checksum.
                read.stream.check(GTID, &gtid(6), "begin", false);
            }
        }
    }
}

#[test]
fn what_is_not_wanted_is_told_by_its_header() {
    let events = events(&[700_000]);
    let mut read = Read::new(true);
    let event = read.payload(&body(0, size(&events), &zstd(&events)));
    let mut fed = Fed::new(Part::Whole, &event);
    let mut skipped = 0;
    while let Some(joined) = read
        .joiner
        .next(&mut fed, |_, table_id| table_id.is_none())
        .unwrap()
    {
        match joined {
            Joined::Event(event) => drop(read.stream.decoder.event(event).unwrap()),
            Joined::Payload(mark) => read.stream.decoder.payload(&mark).unwrap(),
            Joined::Skipped(header) => {
                skipped += 1;
                read.stream.decoder.skipped(&header).unwrap();
            }
            Joined::Pending => {}
        }
    }
    assert_eq!(skipped, 1);
    read.stream.check(GTID, &gtid(6), "begin", false);
}

#[test]
fn nothing_that_is_damaged_gets_to_its_end() {
    let events = events(&[10, 2000, 300]);
    let packed = zstd(&events);
    for part_bytes in [61, usize::MAX] {
        let mut read = Read::new(true);
        let whole = read.payload(&body(0, size(&events), &packed));
        for at in 24..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let mut read = Read::new(true);
            let result = read.take(&damaged, part_bytes.min(whole.len()));
            assert!(result.is_err(), "a wrong byte at {at}");
            assert!(!read.has_ended(), "a wrong byte at {at}");
        }
    }
}

#[test]
fn sizes_that_are_not_those_that_were_said_are_refused() {
    let events = events(&[10, 2000]);
    let (whole, packed) = (size(&events), zstd(&events));
    let refused = |body: &[u8]| {
        let mut read = Read::new(true);
        let event = read.payload(body);
        let error = read.take(&event, event.len()).unwrap_err();
        assert!(!read.has_ended(), "{error}: {:?}", read.names);
        error
    };
    for said in [0, whole - 1, whole + 1, 10 << 30] {
        for (compression, packed) in [(0, &packed), (255, &events.concat())] {
            assert_eq!(
                refused(&body(compression, said, packed)),
                DecodeErrorKind::CompressedTransaction,
                "{said} instead of {whole}"
            );
        }
    }
    // More behind the last, less, and another number of bytes behind what is compressed.
    let more = [&packed[..], &zstd::encode_all(&b"more"[..], 3).unwrap()].concat();
    let less = &packed[..packed.len() - 1];
    for packed in [&more[..], less] {
        refused(&body(0, whole, packed));
    }
    let mut wrong = body(0, whole, &packed);
    wrong.push(0);
    assert_eq!(refused(&wrong), DecodeErrorKind::CompressedTransaction);
}

#[test]
fn fault_100_a_bomb_is_refused_at_the_size_that_it_says() {
    // Events of zeros: none of them can be.
    let zeros = zstd::encode_all(std::io::repeat(0).take(1 << 30), 3).unwrap();
    assert!(zeros.len() < 100_000);
    for said in [1000, 1 << 30, 10 << 30] {
        let mut read = Read::new(true);
        let event = read.payload(&body(0, said, &zeros));
        let error = read.take(&event, event.len()).unwrap_err();
        assert_eq!(error, DecodeErrorKind::CompressedTransaction, "{said}");
        assert_eq!(read.sizes, Vec::<usize>::new());
    }
    // Events as they should be, and more of them than it says.
    let [begin, map, write, xid] = &events(&[500])[..] else {
        panic!("other events");
    };
    let writes = vec![write.clone(); 200_000];
    let all = [
        &[begin.clone(), map.clone()],
        &writes[..],
        std::slice::from_ref(xid),
    ]
    .concat();
    let packed = zstd(&all);
    let said = 1000 * write.len();
    let mut read = Read::new(true);
    let event = read.payload(&body(0, said, &packed));
    let error = read.take(&event, 4096).unwrap_err();
    assert_eq!(error, DecodeErrorKind::CompressedTransaction);
    assert!(read.sizes.iter().sum::<usize>() <= said && !read.has_ended());
    // One event that nobody could keep.
    let large = inner(WRITE, &[rows(false), vec![0; 64 << 20]].concat());
    let all = [events(&[])[..2].to_vec(), vec![large]].concat();
    let mut read = Read::new(true);
    let event = read.payload(&body(0, size(&all), &zstd(&all)));
    let error = read.take(&event, event.len()).unwrap_err();
    assert!(matches!(error, DecodeErrorKind::TooLarge { .. }), "{error}");
    // Another one within.
    let nested = [inner(PAYLOAD, &body(0, 10, b"x")), events(&[])[2].clone()];
    let mut read = Read::new(true);
    let event = read.payload(&body(0, size(&nested), &zstd(&nested)));
    let error = read.take(&event, event.len()).unwrap_err();
    assert_eq!(error, DecodeErrorKind::CompressedTransaction);
}

#[test]
fn several_frames_and_the_largest_windows_are_read_and_larger_ones_refused() {
    let events = events(&[10, 2000]);
    let (first, second) = events.split_at(2);
    let frames = [zstd(first), zstd(second)].concat();
    let mut read = Read::new(true);
    let event = read.payload(&body(0, size(&events), &frames));
    read.take(&event, 50).unwrap();
    assert!(read.has_ended());
    for (window, is_taken) in [(27, true), (28, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.write_all(&events.concat()).unwrap();
        let packed = encoder.finish().unwrap();
        let mut read = Read::new(true);
        let event = read.payload(&body(0, size(&events), &packed));
        let result = read.take(&event, event.len());
        assert_eq!(result.is_ok(), is_taken, "2^{window}: {result:?}");
    }
}

#[test]
fn pieces_out_of_order_are_refused() {
    let events = events(&[10, 2000]);
    let mut read = Read::new(true);
    let event = read.payload(&body(0, size(&events), &zstd(&events)));
    let (first, rest) = event.split_at(200);
    let orders: [&[(Part, &[u8])]; 5] = [
        &[(Part::First, first), (Part::First, first)],
        &[(Part::First, first), (Part::Whole, rest)],
        &[(Part::First, first), (Part::Middle, rest)],
        &[(Part::First, first), (Part::Last, &rest[1..])],
        &[(Part::Whole, first)],
    ];
    for order in orders {
        let mut read = Read::new(true);
        let mut result = Ok(());
        for (part, bytes) in order {
            result = result.and_then(|()| read.piece(*part, bytes));
        }
        assert_eq!(result, Err(DecodeErrorKind::Pieces));
    }
}

#[test]
fn fields_that_are_missing_damaged_or_not_known_are_refused() {
    let events = events(&[10]);
    let (whole, packed) = (size(&events), zstd(&events));
    let right = body(0, whole, &packed);
    let head = right.len() - packed.len();
    for len in 0..head {
        let mut read = Read::new(true);
        let event = read.payload(&right[..len]);
        assert!(read.take(&event, event.len()).is_err(), "{len}");
    }
    let (size, packed_size) = (
        u64::try_from(whole).unwrap(),
        u64::try_from(packed.len()).unwrap(),
    );
    for fields in [
        [field(2, 0), field(3, size)].concat(),
        [field(2, 0), field(1, packed_size)].concat(),
        [field(1, packed_size), field(3, size)].concat(),
        [field(2, 7), field(1, packed_size), field(3, size)].concat(),
        [field(2, 255), field(1, packed_size), field(3, size)].concat(),
        [field(2, 0), field(1, 1 << 40), field(3, size)].concat(),
    ] {
        let mut read = Read::new(true);
        let event = read.payload(&[&fields[..], &[0], &packed].concat());
        let error = read.take(&event, event.len()).unwrap_err();
        assert_eq!(error, DecodeErrorKind::CompressedTransaction);
    }
}

#[test]
fn one_of_a_transaction_without_end_is_passed_over() {
    let events = events(&[10]);
    let dead = DeadTransaction {
        first: at("binlog.000007", 157),
        commit_time_us: 1_700_000_000_123_456,
    };
    let mut read = Read::new(true);
    let mut followed = Followed::new(gtid_position("U:1-4", 157), true);
    let first = followed.stream.event(GTID, &gtid(5));
    let mut decoder = Decoder::new(gtid_position("U:1-4", 157));
    decoder.event(&first).unwrap();
    let commit_time_us = decoder.transaction().commit_time_us;
    followed.decoder = followed.decoder.without(vec![DeadTransaction {
        commit_time_us,
        ..dead
    }]);
    followed.decoder.event(&first).unwrap();
    assert!(followed.decoder.is_dropping());
    read.stream = followed;
    let event = read.payload(&body(0, size(&events), &zstd(&events)));
    read.take(&event, 64).unwrap();
    assert_eq!(read.names, ["-"; 4]);
}

/// A whole one is not for the decoder.
#[test]
fn the_decoder_takes_none_that_was_not_inflated() {
    let mut read = Read::new(true);
    let event = read.payload(&body(0, 10, b"x"));
    let error = read.stream.raw(&event).unwrap_err();
    assert_eq!(error, DecodeErrorKind::CompressedTransaction);
    let header = EventHeader::of(&event).unwrap();
    let mark = PayloadMark::Begins {
        header,
        size: 10,
        trailer: 0,
    };
    assert!(read.stream.decoder.payload(&mark).is_err());
}
