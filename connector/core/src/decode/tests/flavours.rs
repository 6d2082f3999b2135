//! Events of other servers than MySQL 8.0: MariaDB, MySQL before 5.6 and after 8.3.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;
use crate::position::GtidPos;

const COMPRESSED_QUERY: u8 = 165;
const WRITE_V1: u8 = 23;
const COMPRESSED_WRITE_V1: u8 = 166;
const COMPRESSED_UPDATE_V2: u8 = 170;
const MARIADB_GTID: u8 = 162;
const TAGGED_GTID: u8 = 42;

const STANDALONE: u8 = 1;
const GROUP_COMMIT_ID: u8 = 2;
const PREPARED_XA: u8 = 64;
const COMPLETED_XA: u8 = 128;

/// A stream of a MariaDB server.
fn mariadb(gtid_pos: &str) -> Followed {
    let gtid_pos: GtidPos = gtid_pos.parse().unwrap();
    let at = at("binlog.000007", 4);
    let mut followed = Followed::new(Position::Mariadb { gtid_pos, at }, true);
    followed.describe("11.8.6-MariaDB-log", 0);
    followed
}

impl Followed {
    /// The server sends a format description of a version.
    fn describe(&mut self, version: &str, created: u32) {
        let body = testing::format_description_of(version, created, true);
        let event = self.stream.artificial(FORMAT_DESCRIPTION, &body);
        assert_eq!(self.raw(&event), Ok("file".into()));
    }

    /// An event whose place MariaDB does not say, and which lies behind the one before.
    #[track_caller]
    fn check_placeless(&mut self, event_type: u8, body: &[u8], expected: &str) {
        let start = self.stream.offset;
        let mut event = self.stream.event(event_type, body);
        event[13..17].copy_from_slice(&[0; 4]);
        let covered = event.len() - 4;
        let checksum = crc32fast::hash(&event[..covered]).to_le_bytes();
        event[covered..].copy_from_slice(&checksum);
        assert_eq!(self.raw(&event).unwrap(), expected);
        assert_eq!(self.decoder.at().offset, start);
        assert_eq!(self.decoder.end().offset, self.stream.offset);
    }
}

fn gtid_event(domain: u32, sequence: u64, flags: u8, more: &[u8]) -> Vec<u8> {
    let mut body = [
        &sequence.to_le_bytes()[..],
        &domain.to_le_bytes(),
        &[flags],
        more,
    ]
    .concat();
    body.resize(body.len().max(19), 0);
    body
}

/// As MariaDB compresses: the algorithm, the size, and what zlib makes.
fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(bytes).unwrap();
    let size = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0x82][..], &size, &zlib.finish().unwrap()].concat()
}

/// A rows event of version 1, which has no room for extra data.
fn rows_v1(images: &[u8], update: bool) -> Vec<u8> {
    let mut body = [number(117, 6), number(1, 2), vec![1, 0xff]].concat();
    if update {
        body.push(0xff);
    }
    body.extend(images);
    body
}

const IMAGE: [u8; 5] = [0, 1, 0, 0, 0];

#[test]
fn a_gtid_of_mariadb_begins_a_transaction_and_numbers_it() {
    let mut stream = mariadb("0-1-4,1-2-9");
    stream.check(MARIADB_GTID, &gtid_event(0, 5, 0, &[]), "begin", false);
    assert_eq!(
        stream
            .decoder
            .transaction()
            .gtid
            .as_ref()
            .unwrap()
            .to_string(),
        format!("0-{}-5", testing::SERVER)
    );
    stream.check_placeless(160, b"INSERT INTO t VALUES (1)", "-");
    stream.check_placeless(TABLE_MAP, &map(), "map 117=shop.t");
    stream.check_placeless(WRITE_V1, &rows_v1(&IMAGE, false), "Write 117");
    stream.check(XID, &number(9, 8), "Commit", true);
    let Position::Mariadb { gtid_pos, .. } = stream.decoder.position() else {
        panic!("{}", stream.decoder.position());
    };
    let expected = format!("0-{}-5,1-2-9", testing::SERVER);
    assert_eq!(gtid_pos.to_string(), expected);
    // What is no transaction moves the place, and no number.
    for (event_type, body) in [(161, &b"binlog.000007"[..]), (163, b"")] {
        stream.check(event_type, body, "-", true);
    }
}

#[test]
fn a_statement_that_stands_alone_has_no_other_end() {
    let mut stream = mariadb("");
    for (flags, more) in [
        (STANDALONE, &[][..]),
        (STANDALONE | GROUP_COMMIT_ID, &[7; 8]),
    ] {
        let body = gtid_event(0, 5, flags, more);
        stream.check(MARIADB_GTID, &body, "begin", false);
        stream.check(QUERY, &query("DROP TABLE t"), "shop DROP TABLE t.", true);
    }
    // CREATE TABLE … SELECT: the statement is inside.
    stream.check(MARIADB_GTID, &gtid_event(0, 6, 0, &[]), "begin", false);
    let text = "CREATE TABLE a (b INT)";
    stream.check_placeless(QUERY, &query(text), &format!("shop {text}"));
    stream.check(QUERY, &query("COMMIT"), "Commit", true);
}

#[test]
fn a_thread_is_named_by_newer_servers() {
    let mut stream = mariadb("");
    let more = [&[16_u8][..], &77_u32.to_le_bytes()].concat();
    stream
        .next(MARIADB_GTID, &gtid_event(0, 5, 0, &more))
        .unwrap();
    assert_eq!(stream.decoder.transaction().thread_id, Some(77));
    // Behind an engine's number and the commit's.
    let mut stream = mariadb("");
    let more = [&[0; 8][..], &[1 | 16, 2], &78_u32.to_le_bytes()].concat();
    let body = gtid_event(0, 5, GROUP_COMMIT_ID, &more);
    stream.next(MARIADB_GTID, &body).unwrap();
    assert_eq!(stream.decoder.transaction().thread_id, Some(78));
}

#[test]
fn an_alter_in_two_phases_changes_its_table_at_the_end() {
    const START: u8 = 2;
    const COMMIT: u8 = 4;
    const ROLLBACK: u8 = 8;
    let text = "ALTER TABLE t ADD c INT";
    for (phase, expected) in [
        (START, "Commit".to_owned()),
        (ROLLBACK, "Commit".to_owned()),
        (COMMIT, format!("shop {text}.")),
    ] {
        let mut stream = mariadb("");
        let more = [&[phase][..], &[0; 8]].concat();
        let body = gtid_event(0, 5, STANDALONE, &more);
        stream.check(MARIADB_GTID, &body, "begin", false);
        stream.check(QUERY, &query(text), &expected, true);
        // The next statement is whole again.
        stream.check(
            MARIADB_GTID,
            &gtid_event(0, 6, STANDALONE, &[]),
            "begin",
            false,
        );
        stream.check(QUERY, &query(text), &format!("shop {text}."), true);
    }
}

#[test]
fn an_xa_group_of_mariadb_is_prepared_and_completed_by_its_flags() {
    let xid = [&1_u32.to_le_bytes()[..], &[3, 0], b"abc"].concat();
    let mut stream = mariadb("");
    let body = gtid_event(0, 5, PREPARED_XA, &xid);
    stream.check(MARIADB_GTID, &body, "begin", false);
    assert!(stream.decoder.transaction().is_xa);
    stream.check_placeless(TABLE_MAP, &map(), "map 117=shop.t");
    stream.check(XA_PREPARE, &number(1, 8), "Prepared", true);
    let body = gtid_event(0, 6, COMPLETED_XA, &xid);
    stream.check(MARIADB_GTID, &body, "begin", false);
    assert!(!stream.decoder.transaction().is_xa);
    stream.check(
        QUERY,
        &query("XA COMMIT 'abc'"),
        "shop XA COMMIT 'abc'.",
        true,
    );
}

#[test]
fn what_mariadb_compressed_comes_out_as_it_went_in() {
    let mut stream = mariadb("");
    stream
        .next(MARIADB_GTID, &gtid_event(0, 5, 0, &[]))
        .unwrap();
    stream.next(TABLE_MAP, &map()).unwrap();
    for (event_type, body, kind) in [
        (
            COMPRESSED_WRITE_V1,
            rows_v1(&zipped(&IMAGE), false),
            RowsKind::Write,
        ),
        (
            COMPRESSED_UPDATE_V2,
            testing::rows(117, 1, true, &zipped(&IMAGE.repeat(2))),
            RowsKind::Update,
        ),
    ] {
        let event = stream.stream.event(event_type, &body);
        let (_, Item::CompressedRows(rows)) = stream.decoder.event(&event).unwrap() else {
            panic!("no compressed rows");
        };
        assert_eq!(rows.table_id(), 117);
        let mut buffer = Vec::new();
        let inflated = rows.inflate(&mut buffer, 10).unwrap();
        assert_eq!(inflated.kind, kind);
        assert_eq!(inflated.images, &IMAGE.repeat(10)[..inflated.images.len()]);
        let size = inflated.images.len();
        let refused = rows.inflate(&mut Vec::new(), size - 1).unwrap_err();
        assert!(matches!(refused, DecodeErrorKind::TooLarge { .. }));
    }
    let text = "INSERT INTO t VALUES (1)";
    let mut body = query("");
    body.extend(zipped(text.as_bytes()));
    let event = stream.stream.event(COMPRESSED_QUERY, &body);
    let (_, Item::CompressedStatement(statement)) = stream.decoder.event(&event).unwrap() else {
        panic!("no compressed statement");
    };
    let mut buffer = Vec::new();
    let inflated = statement.inflate(&mut buffer, 100).unwrap();
    assert_eq!(
        (inflated.text, inflated.database),
        (text.as_bytes(), &b"shop"[..])
    );
    assert!(inflated.is_mariadb && !inflated.ends_transaction);
}

#[test]
fn damage_in_what_is_compressed_is_found() {
    let whole = zipped(&IMAGE);
    let inflate = |packed: &[u8]| {
        let body = rows_v1(packed, false);
        let mut stream = mariadb("");
        stream
            .next(MARIADB_GTID, &gtid_event(0, 5, 0, &[]))
            .unwrap();
        let event = stream.stream.event(COMPRESSED_WRITE_V1, &body);
        let (_, Item::CompressedRows(rows)) = stream.decoder.event(&event).unwrap() else {
            panic!("no compressed rows");
        };
        let mut buffer = Vec::new();
        let rows = rows.inflate(&mut buffer, 100)?;
        Ok::<_, DecodeErrorKind>(rows.images.to_vec())
    };
    assert_eq!(inflate(&whole), Ok(IMAGE.to_vec()));
    for length in 0..whole.len() {
        assert!(inflate(&whole[..length]).is_err(), "{length}");
    }
    assert!(inflate(&[&whole[..], b"x"].concat()).is_err());
    for bit in 0..8 * whole.len() {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // Some bits of zlib's form nothing depends on.
        assert!(inflate(&damaged).is_ok_and(|found| found == IMAGE) || inflate(&damaged).is_err());
    }
}

/// The numbers of the serialization library of MySQL: short ones are given as they are, doubled.
fn tagged(fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let size = u8::try_from(2 * (3 + fields.len())).unwrap();
    [&[2, size, 0][..], &fields].concat()
}

#[test]
fn a_gtid_with_a_tag_is_read_with_it() {
    // 16 times 7; then 0x3ff in two bytes as signed number; a tag of three letters; commit times of 9 bytes and of 1.
    let uuid = [&[2_u8][..], &[14; 16]].concat();
    let sequence = [&[4_u8][..], &((0x3ff_u16 << 1 << 2) | 1).to_le_bytes()].concat();
    let tag = [&[6_u8, 6][..], b"red"].concat();
    let order = [8, 4, 10, 4];
    let immediate = [&[12_u8, 0xff][..], &1_700_000_000_123_456_u64.to_le_bytes()].concat();
    let original = [14_u8, 10];
    let rest = [16_u8, 2, 99];
    let parts: [&[u8]; 8] = [
        &[0, 2],
        &uuid,
        &sequence,
        &tag,
        &order,
        &immediate,
        &original,
        &rest,
    ];
    for (count, commit_time_us) in [(6, 1_700_000_000_123_456), (7, 5), (8, 5)] {
        let mut stream = Followed::new(gtid_position("U:1", 4), true);
        stream.check(TAGGED_GTID, &tagged(&parts[..count]), "begin", false);
        let transaction = stream.decoder.transaction();
        assert_eq!(
            transaction.gtid.as_ref().unwrap().to_string(),
            "07070707-0707-0707-0707-070707070707:red:1023"
        );
        assert_eq!(transaction.commit_time_us, commit_time_us);
        stream.check(QUERY, &query("DROP TABLE t"), "shop DROP TABLE t.", true);
        let set = stream.decoder.position().gtid_set().unwrap().to_string();
        assert!(
            set.starts_with("07070707-0707-0707-0707-070707070707:red:1023,"),
            "{set}"
        );
    }
    // Cut anywhere before its tag ends, it is an error.
    let whole = tagged(&parts[..4]);
    for length in 0..whole.len() {
        let mut stream = Followed::new(gtid_position("U:1", 4), true);
        assert!(
            stream.next(TAGGED_GTID, &whole[..length]).is_err() || length > 22,
            "{length}"
        );
    }
}

#[test]
fn servers_of_before_checksums_have_none() {
    for (version, has_checksums) in [
        ("5.5.9-log", false),
        ("5.6.0", false),
        ("5.6.1", true),
        ("5.1.73", false),
        ("5.3.0-MariaDB", true),
        ("5.5.68-MariaDB", true),
        ("5.2.14-MariaDB", false),
        ("8.0.31", true),
        ("11.8.6-MariaDB-log", true),
        ("next", true),
    ] {
        let body = testing::format_description_of(version, 0, true);
        let mut decoder = Decoder::new(file_position(4));
        let stream = Stream::new(true);
        // An older server has neither the algorithm nor room for a checksum; what stands there is something else.
        decoder
            .event(&stream.artificial(FORMAT_DESCRIPTION, &body))
            .unwrap();
        let bare = Stream::new(false).event(STOP, b"");
        assert_eq!(decoder.event(&bare).is_ok(), !has_checksums, "{version}");
    }
}

#[test]
fn spatial_columns_of_mariadb_have_a_collation() {
    // g POINT, t TEXT CHARACTER SET latin1, j JSON, as 11.8 writes them.
    let shape = b"\x03\xff\xfc\xfc\x03\x04\x02\x04\x07\x03\x03\x3f\x08\x2e\x07\x01\x01\x04\x06\x01g\x01t\x01j";
    let mut stream = mariadb("");
    let begin = gtid_event(0, 5, 0, &[]);
    stream.next(MARIADB_GTID, &begin).unwrap();
    let body = testing::table_map(1, "shop", "t", shape);
    let event = stream.stream.event(TABLE_MAP, &body);
    let (_, Item::TableMap(map)) = stream.decoder.event(&event).unwrap() else {
        panic!("no table map");
    };
    let (columns, _) = map.shape().unwrap();
    let collations: Vec<_> = columns.iter().map(|column| column.collation).collect();
    assert_eq!(collations, [Some(63), Some(8), Some(46)]);
    assert_eq!(columns[0].geometry_type, Some(1));
}

#[test]
fn a_year_has_a_sign_in_newer_servers_only() {
    // a YEAR, b INT UNSIGNED, c INT, e INT UNSIGNED, as these servers write them.
    let unsigned = |version: &str, bits: u8| {
        let shape = [&[4, 13, 3, 3, 3, 0, 15, 1, 1][..], &[bits]].concat();
        let mut stream = Followed::new(file_position(4), true);
        stream.describe(version, 0);
        stream.next(GTID, &gtid(1)).unwrap();
        stream.next(QUERY, &query("BEGIN")).unwrap();
        let event = stream
            .stream
            .event(TABLE_MAP, &testing::table_map(1, "shop", "t", &shape));
        let (_, Item::TableMap(map)) = stream.decoder.event(&event).unwrap() else {
            panic!("no table map");
        };
        let (columns, _) = map.shape().unwrap();
        let unsigned = columns.iter().map(|column| column.unsigned);
        unsigned.collect::<Vec<_>>()
    };
    let numbers = [Some(true), Some(false), Some(true)];
    assert_eq!(unsigned("8.0.15", 0xa0), [&[None][..], &numbers].concat());
    for version in ["8.0.31", "9.7.4", "10.11.18-MariaDB"] {
        let expected = [&[Some(true)][..], &numbers].concat();
        assert_eq!(unsigned(version, 0xd0), expected, "{version}");
    }
}
