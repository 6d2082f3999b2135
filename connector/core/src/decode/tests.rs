//! Hand-made events, as MySQL 8.0 writes them: what each means, where it leaves the decoder, and that no damage
//! makes it panic.

use super::checksum::Layout;
use super::{
    Assembled, Assembler, DeadTransaction, DecodeErrorKind, Decoder, Ending, Fed, Item, Joined,
    Joiner, RowsKind, TableMapEvent, Transaction,
};
use crate::event::{EventHeader, EventType, Part, RowsFormat};
use crate::input::Input;
use crate::position::{FileOffset, Position};
use crate::testing::{self, FORMAT_DESCRIPTION, Random, Stream, lenenc, number};

mod flavours;
mod fragments;
mod large;
mod payload;

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

fn at(file: &str, offset: u64) -> FileOffset {
    FileOffset {
        file: file.to_owned(),
        offset,
    }
}

fn file_position(offset: u64) -> Position {
    Position::File {
        at: at("binlog.000007", offset),
    }
}

fn gtid_position(set: &str, offset: u64) -> Position {
    let gtid_set = set.replace('U', UUID).parse().unwrap();
    Position::Gtid {
        gtid_set,
        at: at("binlog.000007", offset),
    }
}

/// What an item is, in a word or two.
fn name(item: &Item<'_>) -> String {
    match item {
        Item::Begin => "begin".into(),
        Item::TableMap(map) => format!("map {}={}.{}", map.table_id, map.database, map.table),
        Item::Rows(rows) if rows.has_changes => {
            format!("{:?} {} with changes", rows.kind, rows.table_id)
        }
        Item::Rows(rows) => format!("{:?} {}", rows.kind, rows.table_id),
        Item::CompressedRows(rows) => format!("compressed {}", rows.table_id()),
        Item::RowsFragment(fragment) => {
            format!("fragment {} of {}", fragment.sequence, fragment.total)
        }
        Item::CompressedStatement(_) => "compressed".into(),
        Item::Statement(statement) => format!(
            "{} {}{}",
            String::from_utf8_lossy(statement.database),
            String::from_utf8_lossy(statement.text),
            if statement.ends_transaction { "." } else { "" }
        ),
        Item::End(ending) => format!("{ending:?}"),
        Item::NewFile => "file".into(),
        Item::Nothing => "-".into(),
    }
}

/// A decoder that follows a stream from its start.
struct Followed {
    decoder: Decoder,
    stream: Stream,
}

impl Followed {
    /// A stream that was opened at a position: a made-up rotation and the format description.
    fn new(position: Position, checksum: bool) -> Self {
        let FileOffset { file, offset } = position.at().clone();
        let mut stream = Stream::new(checksum);
        let mut decoder = Decoder::new(position);
        let rotate = stream.artificial(4, &testing::rotate(&file, offset));
        assert_eq!(name(&decoder.event(&rotate).unwrap().1), "file");
        let description = stream.artificial(
            FORMAT_DESCRIPTION,
            &testing::format_description(0, checksum),
        );
        assert_eq!(name(&decoder.event(&description).unwrap().1), "file");
        stream.offset = offset;
        Self { decoder, stream }
    }

    fn next(&mut self, event_type: u8, body: &[u8]) -> Result<String, DecodeErrorKind> {
        let event = self.stream.event(event_type, body);
        self.raw(&event)
    }

    fn raw(&mut self, event: &[u8]) -> Result<String, DecodeErrorKind> {
        self.decoder
            .event(event)
            .map(|(_, item)| name(&item))
            .map_err(|error| error.kind)
    }

    /// The next event must be `expected`, and move the position to its end or not at all.
    #[track_caller]
    fn check(&mut self, event_type: u8, body: &[u8], expected: &str, moves: bool) {
        let before = self.decoder.position().at().clone();
        let start = self.stream.offset;
        assert_eq!(self.next(event_type, body).unwrap(), expected);
        assert_eq!(self.decoder.at().offset, start);
        let expected = if moves {
            self.stream.offset
        } else {
            before.offset
        };
        assert_eq!(*self.decoder.position().at(), at(&before.file, expected));
    }
}

const QUERY: u8 = 2;
const STOP: u8 = 3;
const ROTATE: u8 = 4;
const XID: u8 = 16;
const TABLE_MAP: u8 = 19;
const HEARTBEAT: u8 = 27;
const WRITE: u8 = 30;
const GTID: u8 = 33;
const ANONYMOUS: u8 = 34;
const PREVIOUS_GTIDS: u8 = 35;
const XA_PREPARE: u8 = 38;

fn gtid(sequence: u64) -> Vec<u8> {
    testing::gtid(sequence, 1_700_000_000_123_456, None)
}

fn query(text: &str) -> Vec<u8> {
    testing::query("shop", text)
}

fn map() -> Vec<u8> {
    testing::table_map(117, "shop", "t", &testing::shape_of_one_int())
}

/// One row of one INT.
fn rows(update: bool) -> Vec<u8> {
    let image = [0, 1, 0, 0, 0];
    let images = if update {
        image.repeat(2)
    } else {
        image.to_vec()
    };
    testing::rows(117, 1, update, &images)
}

#[test]
fn a_transaction_is_a_group_from_its_gtid_to_its_xid() {
    for checksum in [true, false] {
        let mut stream = Followed::new(gtid_position("U:1-4", 157), checksum);
        stream.check(PREVIOUS_GTIDS, &[0; 8], "-", true);
        stream.check(GTID, &gtid(5), "begin", false);
        stream.check(QUERY, &query("BEGIN"), "-", false);
        stream.check(29, b"\x05quiet", "-", false);
        stream.check(TABLE_MAP, &map(), "map 117=shop.t", false);
        stream.check(WRITE, &rows(false), "Write 117", false);
        stream.check(31, &rows(true), "Update 117", false);
        stream.check(32, &rows(false), "Delete 117", false);
        stream.check(39, &rows(true), "Update 117 with changes", false);
        assert!(stream.decoder.in_transaction());
        assert_eq!(
            stream.decoder.position().gtid_set().unwrap().to_string(),
            format!("{UUID}:1-4")
        );
        stream.check(XID, &number(9, 8), "Commit", true);
        assert!(!stream.decoder.in_transaction());
        assert_eq!(
            stream.decoder.position().gtid_set().unwrap().to_string(),
            format!("{UUID}:1-5")
        );
        let transaction = stream.decoder.transaction();
        assert_eq!(
            transaction.gtid.as_ref().unwrap().to_string(),
            format!("{UUID}:5")
        );
        assert_eq!(transaction.thread_id, Some(testing::THREAD));
        assert_eq!(transaction.commit_time_us, 1_700_000_000_123_456);
        assert!(!transaction.is_xa);
    }
}

#[test]
fn whether_a_backslash_escapes_is_in_the_mode_of_the_statement() {
    const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
    let mode = |mode: u64| [&[1][..], &mode.to_le_bytes()].concat();
    let flags = [0, 1, 2, 3, 4];
    for (status, has_escapes) in [
        (vec![], true),
        (flags.to_vec(), true),
        (mode(0xff_ffef_ffff), true),
        (mode(NO_BACKSLASH_ESCAPES), false),
        ([&flags[..], &mode(NO_BACKSLASH_ESCAPES)].concat(), false),
        // Another variable first, and a mode that is cut off.
        ([&[4, 1][..], &mode(NO_BACKSLASH_ESCAPES)].concat(), true),
        (vec![1, 0, 0, 0x10], true),
    ] {
        let mut body = vec![0; 8];
        body.extend([4, 0, 0]);
        body.extend(number(u64::try_from(status.len()).unwrap(), 2));
        let body = [&body, &status, &b"shop\0DROP TABLE t"[..]].concat();
        let mut decoder = Decoder::new(file_position(4));
        let event = testing::Stream::new(false).event(QUERY, &body);
        let (_, item) = decoder.event(&event).unwrap();
        let Item::Statement(statement) = item else {
            panic!("{item:?}");
        };
        assert_eq!(statement.has_escapes, has_escapes, "{status:?}");
    }
}

#[test]
fn which_bytes_are_pairs_is_in_the_character_set_of_the_client() {
    // Flags, mode, catalog, auto-increment, character set, time zone; as a server writes them.
    let status = |collation: u8| {
        let mut status = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        status.extend(b"\x06\x03std\x03\x01\0\x01\0");
        status.extend([4, collation, 0, 45, 0, 8, 0]);
        status.extend(b"\x05\x06SYSTEM");
        status
    };
    for (collation, pairs) in [
        (45, super::Pairs::None),
        (13, super::Pairs::Sjis),
        (95, super::Pairs::Sjis),
        (28, super::Pairs::Wide),
        (1, super::Pairs::Wide),
        (248, super::Pairs::Wide),
    ] {
        let status = status(collation);
        let mut body = vec![0; 8];
        body.extend([4, 0, 0]);
        body.extend(number(u64::try_from(status.len()).unwrap(), 2));
        let body = [&body, &status, &b"shop\0DROP TABLE t"[..]].concat();
        let mut decoder = Decoder::new(file_position(4));
        let event = testing::Stream::new(false).event(QUERY, &body);
        let (_, item) = decoder.event(&event).unwrap();
        let Item::Statement(statement) = item else {
            panic!("{item:?}");
        };
        assert_eq!(statement.pairs, pairs, "{collation}");
    }
}

#[test]
fn a_transaction_begins_at_its_first_event() {
    let mut stream = Followed::new(file_position(157), true);
    let first = Some(at("binlog.000007", 157));
    stream.check(ANONYMOUS, &gtid(0), "begin", false);
    stream.check(QUERY, &query("BEGIN"), "-", false);
    assert_eq!(stream.decoder.transaction().first, first);
    assert_eq!(stream.decoder.transaction().gtid, None);
    stream.check(QUERY, &query("COMMIT"), "Commit", true);
    // Without an announcement, as before MySQL 5.7.
    let begins = stream.stream.offset;
    stream.check(QUERY, &query("BEGIN"), "-", false);
    assert_eq!(
        stream.decoder.transaction().first,
        Some(at("binlog.000007", begins))
    );
    assert_eq!(
        stream.decoder.transaction().commit_time_us,
        i64::from(testing::TIME) * 1_000_000
    );
    stream.check(QUERY, &query("SAVEPOINT a"), "shop SAVEPOINT a", false);
    stream.check(QUERY, &query("ROLLBACK"), "Rollback", true);
}

#[test]
fn a_ddl_statement_is_a_transaction_of_its_own() {
    let mut stream = Followed::new(gtid_position("U:1", 4), true);
    stream.check(GTID, &gtid(2), "begin", false);
    stream.check(QUERY, &query("DROP TABLE t"), "shop DROP TABLE t.", true);
    assert_eq!(
        stream.decoder.position().gtid_set().unwrap().to_string(),
        format!("{UUID}:1-2")
    );
    stream.check(QUERY, &query("DROP TABLE u"), "shop DROP TABLE u.", true);
    assert_eq!(stream.decoder.transaction().gtid, None);
    // No set of GTIDs says that this one was read.
    assert_eq!(stream.decoder.position().gtid_set(), None);
    // CREATE TABLE … SELECT since 8.0.21: the statement is inside of a group.
    stream.check(GTID, &gtid(3), "begin", false);
    stream.check(QUERY, &query("BEGIN"), "-", false);
    stream.check(
        QUERY,
        &query("CREATE TABLE a (b INT)"),
        "shop CREATE TABLE a (b INT)",
        false,
    );
    stream.check(TABLE_MAP, &map(), "map 117=shop.t", false);
    stream.check(WRITE, &rows(false), "Write 117", false);
    stream.check(XID, &number(9, 8), "Commit", true);
}

#[test]
fn an_xa_group_ends_when_it_is_prepared() {
    let mut stream = Followed::new(gtid_position("U:1", 4), true);
    stream.check(GTID, &gtid(2), "begin", false);
    stream.check(QUERY, &query("XA START X'78',X'',1"), "-", false);
    assert!(stream.decoder.transaction().is_xa);
    stream.check(TABLE_MAP, &map(), "map 117=shop.t", false);
    stream.check(WRITE, &rows(false), "Write 117", false);
    stream.check(
        QUERY,
        &query("XA END X'78',X'',1"),
        "shop XA END X'78',X'',1",
        false,
    );
    stream.check(XA_PREPARE, &[0; 14], "Prepared", true);
    stream.check(GTID, &gtid(3), "begin", false);
    stream.check(
        QUERY,
        &query("XA COMMIT X'78',X'',1"),
        "shop XA COMMIT X'78',X'',1.",
        true,
    );
    assert!(!stream.decoder.transaction().is_xa);
}

/// What is committed in one phase was never prepared.
#[test]
fn fault_28_an_xa_group_that_commits_in_one_phase_is_a_commit() {
    let mut stream = Followed::new(gtid_position("U:1", 4), true);
    stream.check(GTID, &gtid(2), "begin", false);
    stream.check(QUERY, &query("XA START X'78',X'',1"), "-", false);
    stream.check(TABLE_MAP, &map(), "map 117=shop.t", false);
    stream.check(WRITE, &rows(false), "Write 117", false);
    let body = [&[1], &[0; 13][..]].concat();
    stream.check(XA_PREPARE, &body, "Commit", true);
    stream.check(GTID, &gtid(3), "begin", false);
}

#[test]
fn the_commit_time_is_that_of_the_server_that_ran_it_first() {
    let header_time = i64::from(testing::TIME) * 1_000_000;
    let short = &gtid(1)[..25];
    let without_times = &gtid(1)[..42];
    for (body, expected) in [
        (
            testing::gtid(1, 1_700_000_000_000_001, None),
            1_700_000_000_000_001,
        ),
        (
            testing::gtid(1, 1_700_000_000_000_001, Some(1_600_000_000_000_002)),
            1_600_000_000_000_002,
        ),
        (short.to_vec(), header_time),
        (without_times.to_vec(), header_time),
        // A replica of a server before 8.0.1 does not know when that server committed.
        (
            testing::gtid(1, 1_700_000_000_000_001, Some(0)),
            header_time,
        ),
    ] {
        let mut stream = Followed::new(file_position(4), true);
        stream.check(GTID, &body, "begin", false);
        assert_eq!(stream.decoder.transaction().commit_time_us, expected);
    }
}

#[test]
fn fault_23_events_that_change_nothing_move_only_what_is_in_the_file() {
    let mut stream = Followed::new(file_position(4), true);
    for number in [5, 9, 11, 13, 14, 17, 35, 36, 37] {
        stream.check(number, b"anything", "-", true);
    }
    let before = stream.decoder.position().clone();
    let heartbeat = stream.stream.heartbeat(0x7fff_0000, b"binlog.000007");
    assert_eq!(stream.raw(&heartbeat), Ok("-".into()));
    assert_eq!(stream.decoder.position(), &before);
    stream.check(GTID, &gtid(0), "begin", false);
    assert_eq!(stream.raw(&heartbeat), Ok("-".into()));
    stream.check(PREVIOUS_GTIDS, &[0; 8], "-", false);
    let heartbeat = stream.stream.event(HEARTBEAT, b"binlog.000007");
    assert_eq!(stream.raw(&heartbeat), Ok("-".into()));
    assert_eq!(stream.decoder.position(), &before);
}

#[test]
fn a_rotation_leads_to_the_next_file() {
    let mut stream = Followed::new(file_position(4), true);
    let rotate = stream
        .stream
        .event(ROTATE, &testing::rotate("binlog.000008", 4));
    assert_eq!(stream.raw(&rotate), Ok("file".into()));
    assert_eq!(stream.decoder.position().at(), &at("binlog.000008", 4));
    // The server repeats it as a made-up one, then the new file begins.
    let rotate = stream
        .stream
        .artificial(ROTATE, &testing::rotate("binlog.000008", 4));
    assert_eq!(stream.raw(&rotate), Ok("file".into()));
    stream.stream.offset = 4;
    stream.check(
        FORMAT_DESCRIPTION,
        &testing::format_description(0, true),
        "file",
        true,
    );
    stream.check(STOP, b"", "file", true);
    // The next server run, whose file has no checksums.
    let rotate = stream
        .stream
        .artificial(ROTATE, &testing::rotate("binlog.000009", 4));
    assert_eq!(stream.raw(&rotate), Ok("file".into()));
    stream.stream.offset = 4;
    let description = stream
        .stream
        .event(FORMAT_DESCRIPTION, &testing::format_description(1, false));
    stream.stream.checksum = false;
    assert_eq!(stream.raw(&description), Ok("file".into()));
    assert_eq!(
        stream.decoder.position().at(),
        &at("binlog.000009", stream.stream.offset)
    );
    stream.check(GTID, &gtid(1), "begin", false);
    stream.check(QUERY, &query("BEGIN"), "-", false);
    stream.check(XID, &number(9, 8), "Commit", true);
}

#[test]
fn the_made_up_rotation_is_read_with_and_without_a_checksum() {
    for checksum in [true, false] {
        let stream = Stream::new(checksum);
        let mut decoder = Decoder::new(Position::File { at: at("", 4) });
        let rotate = stream.artificial(ROTATE, &testing::rotate("binlog.000042", 1234));
        decoder.event(&rotate).unwrap();
        assert_eq!(decoder.at(), &at("binlog.000042", 1234));
        assert_eq!(decoder.position().at(), &at("", 4));
    }
}

#[test]
fn a_made_up_rotation_to_an_older_file_is_no_way_back() {
    let mut stream = Followed::new(gtid_position("U:1-9", 5000), true);
    let rotate = stream
        .stream
        .artificial(ROTATE, &testing::rotate("binlog.000003", 4));
    assert_eq!(stream.raw(&rotate), Ok("file".into()));
    stream.stream.offset = 4;
    stream
        .next(FORMAT_DESCRIPTION, &testing::format_description(0, true))
        .unwrap();
    stream.next(PREVIOUS_GTIDS, &[0; 8]).unwrap();
    assert_eq!(stream.decoder.position(), &gtid_position("U:1-9", 5000));
    let rotate = stream
        .stream
        .event(ROTATE, &testing::rotate("binlog.000004", 4));
    assert_eq!(stream.raw(&rotate), Ok("file".into()));
    assert_eq!(stream.decoder.position(), &gtid_position("U:1-9", 5000));
    assert_eq!(stream.decoder.at(), &at("binlog.000004", 4));
}

#[test]
fn offsets_beyond_four_gigabytes_are_followed() {
    const FOUR: u64 = 1 << 32;
    for start in [FOUR - 30, FOUR - 100, FOUR + 5, 3 * FOUR - 20, 7 * FOUR + 1] {
        let mut stream = Followed::new(file_position(start), true);
        for sequence in 1..5 {
            stream.check(ANONYMOUS, &gtid(sequence), "begin", false);
            stream.check(QUERY, &query("BEGIN"), "-", false);
            stream.check(QUERY, &query("COMMIT"), "Commit", true);
        }
        assert!(stream.decoder.position().at().offset > start);
    }
}

#[test]
fn a_skipped_event_moves_like_one_that_was_read() {
    let mut stream = Followed::new(file_position(200), true);
    let event = stream.stream.event(29, b"\x05quiet");
    let header = EventHeader::read(&mut Input::new(&event)).unwrap();
    stream.decoder.skipped(&header).unwrap();
    assert_eq!(stream.decoder.at().offset, 200);
    assert_eq!(stream.decoder.position().at().offset, stream.stream.offset);
    stream.check(GTID, &gtid(1), "begin", false);
    let before = stream.decoder.position().clone();
    let event = stream.stream.event(29, b"\x05quiet");
    let header = EventHeader::read(&mut Input::new(&event)).unwrap();
    stream.decoder.skipped(&header).unwrap();
    assert_eq!(stream.decoder.position(), &before);
}

/// After `before`, the next event must be refused.
#[track_caller]
fn refused(before: &[(u8, Vec<u8>)], event_type: u8, body: &[u8], expected: DecodeErrorKind) {
    let mut stream = Followed::new(file_position(4), true);
    for (event_type, body) in before {
        stream.next(*event_type, body).unwrap();
    }
    let position = stream.decoder.position().clone();
    let begins = at("binlog.000007", stream.stream.offset);
    let event = stream.stream.event(event_type, body);
    let error = stream.decoder.event(&event).unwrap_err();
    assert_eq!((error.kind, error.at), (expected, begins));
    assert_eq!(stream.decoder.position(), &position);
}

#[test]
fn a_transaction_in_the_middle_of_another_is_refused() {
    let announced = [(GTID, gtid(1))];
    let open = [(GTID, gtid(1)), (QUERY, query("BEGIN"))];
    let unfinished = |event| DecodeErrorKind::UnfinishedTransaction { event };
    let run = testing::format_description(1, true);
    for before in [&announced[..], &open] {
        refused(before, GTID, &gtid(2), unfinished("GTID_LOG_EVENT"));
        refused(before, ANONYMOUS, &gtid(0), unfinished("GTID_LOG_EVENT"));
        refused(
            before,
            ROTATE,
            &testing::rotate("b.2", 4),
            unfinished("ROTATE_EVENT"),
        );
        refused(before, STOP, b"", unfinished("STOP_EVENT"));
        let first = at("binlog.000007", 4);
        let commit_time_us = 1_700_000_000_123_456;
        let dead = DecodeErrorKind::DeadTransaction {
            first,
            commit_time_us,
        };
        refused(before, FORMAT_DESCRIPTION, &run, dead);
        let next_file = testing::format_description(0, true);
        let event = "FORMAT_DESCRIPTION_EVENT";
        refused(before, FORMAT_DESCRIPTION, &next_file, unfinished(event));
    }
    refused(&open, QUERY, &query("BEGIN"), unfinished("BEGIN"));
    refused(
        &open,
        QUERY,
        &query("XA START X'79',X'',1"),
        unfinished("XA START"),
    );
}

#[test]
fn a_transaction_that_is_known_to_have_no_end_is_dropped_up_to_the_servers_next_start() {
    let announcements = [vec![(GTID, gtid(2))], vec![]];
    for announced in announcements {
        let mut stream = Followed::new(file_position(4), true);
        stream.next(GTID, &gtid(1)).unwrap();
        stream.next(QUERY, &query("BEGIN")).unwrap();
        stream.next(XID, &number(9, 8)).unwrap();
        let last = stream.decoder.last_complete().clone();
        let first = at("binlog.000007", stream.stream.offset);
        let before = stream.decoder.position().clone();
        // Without an announcement only the seconds of the header are known.
        let commit_time_us = match announced.is_empty() {
            true => i64::from(testing::TIME) * 1_000_000,
            false => 1_700_000_000_123_456,
        };
        stream.decoder = stream.decoder.without(vec![
            DeadTransaction {
                first: before.at().clone(),
                commit_time_us: commit_time_us + 1,
            },
            DeadTransaction {
                first,
                commit_time_us,
            },
        ]);
        for (event_type, body) in &announced {
            stream.next(*event_type, body).unwrap();
        }
        for (event_type, body) in [
            (QUERY, query("BEGIN")),
            (TABLE_MAP, map()),
            (WRITE, rows(false)),
        ] {
            assert_eq!(stream.next(event_type, &body).unwrap(), "-");
        }
        assert!(!stream.decoder.in_transaction());
        assert_eq!(stream.decoder.last_complete(), &last);
        // The file just ends: the server makes up the rotation to the first one of its next run.
        let rotate = stream
            .stream
            .artificial(ROTATE, &testing::rotate("binlog.000008", 4));
        assert_eq!(stream.raw(&rotate).unwrap(), "file");
        assert_eq!(stream.decoder.position(), &before);
        stream.stream.offset = 4;
        let run = testing::format_description(1, true);
        assert_eq!(stream.next(FORMAT_DESCRIPTION, &run).unwrap(), "file");
        let begun = at("binlog.000008", stream.stream.offset);
        assert_eq!(stream.decoder.position().at(), &begun);
        assert_eq!(stream.decoder.last_complete(), &last);
        // The number of what never happened is given again.
        assert_eq!(stream.next(GTID, &gtid(2)).unwrap(), "begin");
        stream.next(QUERY, &query("BEGIN")).unwrap();
        assert_eq!(stream.next(XID, &number(9, 8)).unwrap(), "Commit");
    }
}

#[test]
fn what_belongs_into_a_transaction_is_refused_outside_of_one() {
    let finished = [
        (GTID, gtid(1)),
        (QUERY, query("BEGIN")),
        (XID, number(9, 8)),
    ];
    let announced = [(GTID, gtid(1))];
    for before in [&[][..], &finished, &announced] {
        for (event_type, body) in [
            (TABLE_MAP, map()),
            (WRITE, rows(false)),
            (31, rows(true)),
            (32, rows(false)),
            (XID, number(9, 8)),
            (XA_PREPARE, vec![0; 14]),
        ] {
            refused(
                before,
                event_type,
                &body,
                DecodeErrorKind::RowsOutsideTransaction,
            );
        }
    }
}

#[test]
fn fault_22_an_event_of_an_unknown_number_is_refused_unless_the_server_marks_it() {
    for number in [0, 1, 6, 8, 20, 22, 28, 43, 99, 159, 173, 255] {
        refused(&[], number, b"x", DecodeErrorKind::UnknownEvent { number });
        let mut stream = Followed::new(file_position(4), true);
        let event = stream.stream.flagged(number, 0x80, b"x");
        assert_eq!(stream.raw(&event), Ok("-".into()));
        assert_eq!(stream.decoder.position().at().offset, stream.stream.offset);
        assert_eq!(
            (stream.decoder.take_ignored(), stream.decoder.take_ignored()),
            (1, 0)
        );
    }
    refused(&[], 26, b"x", DecodeErrorKind::Incident);
}

#[test]
fn fault_21_an_incident_is_refused_wherever_it_comes() {
    const INCIDENT: u8 = 26;
    let inside = [(GTID, gtid(1)), (QUERY, query("BEGIN"))];
    for before in [&[][..], &inside] {
        refused(
            before,
            INCIDENT,
            &[1, 0, 4, b'l', b'o', b's', b't'],
            DecodeErrorKind::Incident,
        );
    }
}

/// Servers after 8.3 and MariaDB name the place in a heartbeat, in whatever form; the position never goes back by it.
#[test]
fn fault_23_no_heartbeat_moves_the_position_back() {
    for number in [27, 41] {
        let mut stream = Followed::new(gtid_position("U:1-4", 157), true);
        stream.check(GTID, &gtid(5), "begin", false);
        stream.check(QUERY, &query("BEGIN"), "-", false);
        stream.check(XID, &self::number(9, 8), "Commit", true);
        let before = stream.decoder.position().clone();
        for end in [0, 4, 100, u32::MAX] {
            let mut heartbeat = stream.stream.heartbeat(end, b"binlog.000001");
            heartbeat[4] = number;
            let covered = heartbeat.len() - 4;
            let sum = crc32fast::hash(&heartbeat[..covered]).to_le_bytes();
            heartbeat[covered..].copy_from_slice(&sum);
            assert_eq!(stream.raw(&heartbeat), Ok("-".into()));
            assert_eq!(*stream.decoder.position(), before, "{number} {end}");
        }
        stream.check(GTID, &gtid(6), "begin", false);
    }
}

/// What a rows event of version 2 has besides says its own length, which may be more than there is.
#[test]
fn fault_97_lengths_that_are_more_than_there_is_are_refused() {
    let rows = rows(false);
    // Behind the table id and the flags.
    for length in [0, 1, 3, u16::MAX] {
        let mut body = rows.clone();
        body[8..10].copy_from_slice(&length.to_le_bytes());
        let inside = [(GTID, gtid(1)), (QUERY, query("BEGIN"))];
        refused(&inside, WRITE, &body, DecodeErrorKind::Truncated);
    }
    for (algorithm, is_taken) in [(0, true), (1, true), (2, false), (254, false)] {
        let mut description = testing::format_description(0, true);
        *description.last_mut().unwrap() = algorithm;
        let stream = Stream::new(true);
        let event = stream.artificial(FORMAT_DESCRIPTION, &description);
        let result = Decoder::new(file_position(4)).event(&event).map(drop);
        assert_eq!(result.is_ok(), is_taken, "{algorithm}: {result:?}");
    }
}

#[test]
fn fault_44_every_flipped_bit_is_found_by_length_or_checksum() {
    let open = [(GTID, gtid(1)), (QUERY, query("BEGIN"))];
    let followed = || {
        let mut stream = Followed::new(file_position(4), true);
        for (event_type, body) in &open {
            stream.next(*event_type, body).unwrap();
        }
        stream
    };
    let event = followed().stream.event(TABLE_MAP, &map());
    for bit in 0..event.len() * 8 {
        let mut damaged = event.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let mut stream = followed();
        let error = stream.raw(&damaged).unwrap_err();
        let expected = match bit / 8 {
            9..13 => matches!(error, DecodeErrorKind::Length { .. }),
            // A number that becomes that of a format description brings its own algorithm.
            4 => true,
            _ => error == DecodeErrorKind::Checksum,
        };
        assert!(expected, "bit {bit}: {error:?}");
    }
}

/// One event of each kind, and what must come before it.
fn every_kind() -> Vec<(u8, Vec<u8>, bool)> {
    let mut load = number(1, 4);
    load.extend(
        [
            number(0, 4),
            vec![4],
            number(0, 2),
            number(0, 2),
            vec![0; 13],
        ]
        .concat(),
    );
    load.extend(b"shop\0LOAD DATA");
    vec![
        (
            FORMAT_DESCRIPTION,
            testing::format_description(0, true),
            false,
        ),
        (ROTATE, testing::rotate("binlog.000008", 4), false),
        (GTID, testing::gtid(1, 1 << 50, Some(1 << 49)), false),
        (GTID, gtid(1), false),
        (ANONYMOUS, gtid(0), false),
        (QUERY, query("BEGIN"), false),
        (QUERY, query("DROP TABLE t"), false),
        (QUERY, query("COMMIT"), true),
        (QUERY, query("SAVEPOINT a"), true),
        (18, load, true),
        (TABLE_MAP, map(), true),
        (WRITE, rows(false), true),
        (31, rows(true), true),
        (32, rows(false), true),
        (39, rows(true), true),
        (XID, number(9, 8), true),
        (XA_PREPARE, vec![0; 14], true),
        (PREVIOUS_GTIDS, vec![0; 8], false),
        (HEARTBEAT, b"binlog.000007".to_vec(), false),
        (STOP, vec![], false),
    ]
}

fn ready_for(inside: bool, checksum: bool) -> Followed {
    let mut stream = Followed::new(file_position(4), checksum);
    if inside {
        stream.next(GTID, &gtid(1)).unwrap();
        stream.next(QUERY, &query("BEGIN")).unwrap();
    }
    stream
}

#[test]
fn every_kind_of_event_is_read_whole_and_cut_short_without_a_panic() {
    for (event_type, body, inside) in every_kind() {
        let mut stream = ready_for(inside, true);
        stream.next(event_type, &body).unwrap();
        let whole = ready_for(inside, true).stream.event(event_type, &body);
        for len in 0..whole.len() {
            let error = ready_for(inside, true).raw(&whole[..len]).unwrap_err();
            assert!(
                matches!(error, DecodeErrorKind::Length { .. }),
                "{event_type} {len} {error:?}"
            );
        }
        // Cut short, but with the right length and checksum: whatever is read, nothing panics.
        for checksum in [true, false] {
            for len in 0..body.len() {
                let mut stream = ready_for(inside, checksum);
                let event = stream.stream.event(event_type, &body[..len]);
                let result = stream.decoder.event(&event);
                if let Ok((_, Item::TableMap(map))) = result {
                    map.shape().ok();
                }
            }
        }
    }
}

#[test]
fn the_fixed_part_of_an_event_must_be_there() {
    let cases = [
        (GTID, gtid(1), 25, false),
        (QUERY, query("BEGIN"), 13 + testing::STATUS.len() + 5, false),
        (ROTATE, testing::rotate("", 4), 8, false),
        (TABLE_MAP, map(), 6 + 2 + 6 + 3, true),
        (WRITE, rows(false), 12, true),
        (31, rows(true), 13, true),
        (39, rows(true), 13, true),
    ];
    for (event_type, body, fixed, inside) in cases {
        for len in 0..fixed {
            let mut stream = ready_for(inside, true);
            let error = stream.next(event_type, &body[..len]).unwrap_err();
            assert_eq!(
                error,
                DecodeErrorKind::Truncated,
                "{event_type} cut to {len}"
            );
        }
    }
}

#[test]
fn random_bodies_never_panic() {
    let mut random = Random::new(4);
    for round in 0..40_000 {
        let mut stream = ready_for(round % 2 == 0, round % 3 == 0);
        for _ in 0..3 {
            let event_type = u8::try_from(random.below(45)).unwrap();
            let len = random.below(60);
            let body = random.bytes(len);
            stream.stream.offset = random.next() >> random.below(64);
            let event = stream
                .stream
                .flagged(event_type, u16::from(random.byte()), &body);
            match stream.decoder.event(&event) {
                Ok((_, Item::TableMap(map))) => drop(map.shape()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

#[test]
fn a_rotation_to_an_offset_that_cannot_be_is_no_panic() {
    let mut stream = Followed::new(file_position(4), true);
    let rotate = stream
        .stream
        .artificial(ROTATE, &testing::rotate("binlog.000008", u64::MAX));
    stream.raw(&rotate).ok();
    stream.stream.offset = 4;
    stream.next(PREVIOUS_GTIDS, &[0; 8]).ok();
}

#[test]
fn fault_97_a_stream_that_is_not_of_binlog_version_4_is_refused() {
    let mut description = testing::format_description(0, true);
    description[0] = 3;
    refused(
        &[],
        FORMAT_DESCRIPTION,
        &description,
        DecodeErrorKind::BinlogVersion { version: 3 },
    );
    let mut description = testing::format_description(0, true);
    description[56] = 20;
    refused(
        &[],
        FORMAT_DESCRIPTION,
        &description,
        DecodeErrorKind::BinlogVersion { version: 4 },
    );
    let mut description = testing::format_description(0, true);
    *description.last_mut().unwrap() = 2;
    let algorithm = DecodeErrorKind::ChecksumAlgorithm { number: 2 };
    refused(&[], FORMAT_DESCRIPTION, &description, algorithm);
    refused(
        &[],
        ROTATE,
        b"\x04\0\0\0\0\0\0\0b.\xff",
        DecodeErrorKind::FileName,
    );
}

#[test]
fn an_open_transaction_is_described_from_its_first_event_on() {
    let mut stream = Followed::new(file_position(4), true);
    assert_eq!(stream.decoder.transaction(), &Transaction::default());
    stream.check(GTID, &gtid(7), "begin", false);
    assert_eq!(stream.decoder.transaction().thread_id, None);
    stream.check(QUERY, &query("BEGIN"), "-", false);
    assert_eq!(
        stream.decoder.transaction().first,
        Some(at("binlog.000007", 4))
    );
    stream.check(XID, &number(9, 8), &format!("{:?}", Ending::Commit), true);
}

mod table_map {
    //! The shape of a table.
    use super::*;
    use crate::decode::ColumnMetadata;

    const SIGNEDNESS: u8 = 1;
    const DEFAULT_CHARSET: u8 = 2;
    const COLUMN_CHARSET: u8 = 3;
    const NAMES: u8 = 4;

    /// id BIGINT UNSIGNED, price DECIMAL(10,2), name VARCHAR(400) NULL, year YEAR, kind ENUM, tag CHAR(3) NULL,
    /// note TEXT, age TINYINT UNSIGNED, at DATETIME(3), amount INT
    const TYPES: [u8; 10] = [8, 246, 15, 13, 254, 254, 252, 1, 18, 3];
    const METADATA: &[u8] = &[10, 2, 0x40, 6, 247, 1, 254, 12, 2, 3];
    const NULLABLE: &[u8] = &[0b0010_0100, 0];

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number][..], &lenenc(value.len()), value].concat()
    }

    fn names() -> Vec<u8> {
        let names = [
            "id", "price", "name", "year", "kind", "tag", "note", "age", "at", "é",
        ];
        let value: Vec<u8> = names
            .iter()
            .flat_map(|name| [&lenenc(name.len()), name.as_bytes()].concat())
            .collect();
        field(NAMES, &value)
    }

    fn shape(optional: &[u8]) -> Vec<u8> {
        let head = [&[10][..], &TYPES, &[10], METADATA, NULLABLE].concat();
        [&head, optional].concat()
    }

    fn read(shape: &[u8]) -> Result<(Vec<ColumnMetadata>, Vec<usize>), DecodeErrorKind> {
        let body = testing::table_map(1, "shop", "t", shape);
        TableMapEvent::read(Input::new(&body), Layout::of(b"8.0.31"))
            .unwrap()
            .shape()
    }

    #[test]
    fn types_metadata_and_nulls_are_read_for_each_column() {
        let (columns, key) = read(&shape(&names())).unwrap();
        let types: Vec<_> = columns.iter().map(|column| column.type_number).collect();
        assert_eq!(types, TYPES);
        let metadata: Vec<_> = columns.iter().map(|column| column.metadata).collect();
        assert_eq!(metadata, [0, 0x020a, 0x640, 0, 0x01f7, 0x0cfe, 2, 0, 3, 0]);
        let nullable: Vec<_> = columns.iter().map(|column| column.nullable).collect();
        assert_eq!(
            nullable,
            [
                false, false, true, false, false, true, false, false, false, false
            ]
        );
        let names: Vec<_> = columns
            .iter()
            .map(|column| column.name.clone().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "id", "price", "name", "year", "kind", "tag", "note", "age", "at", "é"
            ]
        );
        assert!(key.is_empty());
    }

    #[test]
    fn signs_are_given_for_numeric_columns_from_the_highest_bit_on() {
        // The numeric ones: id, price, year, age, amount.
        for (bits, expected) in [
            (0b1000_0000, "id"),
            (0b0100_0000, "price"),
            (0b0010_0000, "year"),
            (0b0001_0000, "age"),
            (0b0000_1000, "é"),
            (0b1011_0000, "id year age"),
        ] {
            let (columns, _) =
                read(&shape(&[field(SIGNEDNESS, &[bits]), names()].concat())).unwrap();
            let unsigned: Vec<_> = columns
                .iter()
                .filter(|column| column.unsigned == Some(true))
                .filter_map(|column| column.name.as_deref())
                .collect();
            assert_eq!(unsigned.join(" "), expected);
        }
        // Nine numeric columns need two bytes.
        let many = [
            &[9][..],
            &[3; 9],
            &[0],
            &[0, 0],
            &field(SIGNEDNESS, &[0b0000_0001, 0b1000_0000]),
        ]
        .concat();
        let (columns, _) = read(&many).unwrap();
        let unsigned: Vec<_> = columns
            .iter()
            .map(|column| column.unsigned == Some(true))
            .collect();
        assert_eq!(
            unsigned,
            [false, false, false, false, false, false, false, true, true]
        );
        let short = [&[9][..], &[3; 9], &[0], &[0, 0], &field(SIGNEDNESS, &[1])].concat();
        assert_eq!(read(&short).unwrap_err(), DecodeErrorKind::Truncated);
    }

    #[test]
    fn character_columns_have_the_default_collation_or_their_own() {
        // The character ones: name, tag, note; an ENUM is none of them.
        let collations = |optional: &[u8]| {
            let (columns, _) = read(&shape(optional)).unwrap();
            columns
                .iter()
                .map(|column| column.collation.unwrap_or(0))
                .collect::<Vec<_>>()
        };
        let expected = [0, 0, 45, 0, 0, 45, 45, 0, 0, 0];
        assert_eq!(collations(&field(DEFAULT_CHARSET, &[45])), expected);
        let expected = [0, 0, 45, 0, 0, 63, 255, 0, 0, 0];
        assert_eq!(
            collations(&field(DEFAULT_CHARSET, &[45, 1, 63, 2, 252, 255, 0])),
            expected
        );
        let expected = [0, 0, 8, 0, 0, 33, 300, 0, 0, 0];
        assert_eq!(
            collations(&field(COLUMN_CHARSET, &[8, 33, 252, 44, 1])),
            expected
        );
        let outside = read(&shape(&field(DEFAULT_CHARSET, &[45, 3, 63]))).unwrap_err();
        let what = "a charset of a column that is not there";
        assert_eq!(outside, DecodeErrorKind::TableMap { what });
    }

    #[test]
    fn a_primary_key_has_its_own_order_and_may_have_prefixes() {
        let key = |optional: &[u8]| read(&shape(optional)).map(|(_, key)| key);
        assert_eq!(key(&field(8, &[7, 0])), Ok(vec![7, 0]));
        assert_eq!(key(&field(9, &[2, 10, 0, 0])), Ok(vec![2, 0]));
        let what = "a key column that is not there";
        assert_eq!(
            key(&field(8, &[10])),
            Err(DecodeErrorKind::TableMap { what })
        );
        let what = "a key column that is there twice";
        assert_eq!(
            key(&field(8, &[2, 1, 2])),
            Err(DecodeErrorKind::TableMap { what })
        );
        assert_eq!(key(&field(9, &[2])), Err(DecodeErrorKind::Truncated));
    }

    #[test]
    fn fields_that_are_not_known_are_skipped() {
        let optional = [field(14, &[1, 2, 3]), field(77, &[0; 300]), names()].concat();
        let (columns, _) = read(&shape(&optional)).unwrap();
        assert_eq!(columns[9].name.as_deref(), Some("é"));
    }

    #[test]
    fn members_shapes_dimensions_and_visibility_belong_to_columns_of_their_kind() {
        // INT, ENUM, POINT, SET, ENUM, VECTOR, GEOMETRY, VARCHAR.
        let types = [3, 254, 255, 254, 254, 242, 255, 15];
        let metadata = [247, 1, 4, 248, 1, 247, 2, 4, 4, 80, 0];
        let optional = [
            field(5, &[2, 1, b'x', 0]),
            field(6, &[1, 1, b'a', 2, 1, b'b', 2, 0xc3, 0xa4]),
            field(7, &[1, 0]),
            field(10, &[255 - 210, 1, 8]),
            field(2, &[33]),
            field(12, &[0b0111_1111]),
            field(13, &[252, 0, 8]),
        ]
        .concat();
        let bytes = [&[8][..], &types, &[11], &metadata, &[0], &optional].concat();
        let (columns, _) = read(&bytes).unwrap();
        let names = |column: usize| columns[column].members.clone().unwrap_or_default();
        assert_eq!(names(1), [b"a"]);
        assert_eq!(names(3), [&b"x"[..], b""]);
        assert_eq!(names(4), [&b"b"[..], "ä".as_bytes()]);
        assert!(columns[0].members.is_none() && columns[7].members.is_none());
        let shapes: Vec<_> = columns.iter().map(|column| column.geometry_type).collect();
        assert_eq!(
            shapes,
            [None, None, Some(1), None, None, None, Some(0), None]
        );
        let collations: Vec<_> = columns.iter().map(|column| column.collation).collect();
        let expected = [
            None,
            Some(45),
            None,
            Some(8),
            Some(45),
            None,
            None,
            Some(33),
        ];
        assert_eq!(collations, expected);
        assert_eq!(columns[5].dimensions, Some(2048));
        let hidden: Vec<_> = columns.iter().map(|column| !column.visible).collect();
        assert_eq!(
            hidden,
            [true, false, false, false, false, false, false, false]
        );
        // One charset for each, instead of a default.
        let bytes = [
            &[8][..],
            &types,
            &[11],
            &metadata,
            &[0],
            &field(11, &[8, 13, 28]),
        ]
        .concat();
        let (columns, _) = read(&bytes).unwrap();
        let collations: Vec<_> = columns.iter().map(|column| column.collation).collect();
        assert_eq!(
            collations,
            [None, Some(8), None, Some(13), Some(28), None, None, None]
        );
        for damaged in [
            field(6, &[2, 1]),
            field(5, &[252, 255, 255]),
            field(7, &[]),
            field(12, &[]),
        ] {
            let bytes = [&[8][..], &types, &[11], &metadata, &[0], &damaged].concat();
            assert_eq!(read(&bytes).unwrap_err(), DecodeErrorKind::Truncated);
        }
    }

    #[test]
    fn a_table_map_without_columns_is_damaged() {
        assert!(read(&[0, 0]).is_err());
    }

    #[test]
    fn fault_98_more_columns_than_a_table_can_have_are_refused() {
        let what = "more than 4096 columns";
        let shape = [&[252, 1, 16][..], &[3; 4097], &[0], &[0; 513]].concat();
        assert_eq!(
            read(&shape).unwrap_err(),
            DecodeErrorKind::TableMap { what }
        );
        let shape = [&[252, 0, 16][..], &[3; 4096], &[0], &[0; 512]].concat();
        assert_eq!(read(&shape).unwrap().0.len(), 4096);
    }

    #[test]
    fn fault_98_damage_at_any_byte_is_no_panic_and_a_cut_is_an_error() {
        let fields = [
            field(SIGNEDNESS, &[0xf8]),
            field(DEFAULT_CHARSET, &[45, 1, 63]),
            names(),
            field(9, &[2, 10, 0, 0]),
        ];
        let whole = shape(&fields.concat());
        read(&whole).unwrap();
        let mut ends = vec![shape(&[]).len()];
        for field in &fields {
            ends.push(ends.last().unwrap() + field.len());
        }
        for len in 0..whole.len() {
            // Between two fields nothing tells that more should follow; the checksum does.
            assert_eq!(
                read(&whole[..len]).is_ok(),
                ends.contains(&len),
                "cut to {len}"
            );
        }
        for index in 0..whole.len() {
            for value in 0..=255 {
                let mut damaged = whole.clone();
                damaged[index] = value;
                read(&damaged).ok();
            }
        }
    }

    #[test]
    fn fault_98_names_must_be_utf8() {
        let what = "a name is not UTF-8";
        let body = testing::table_map(1, "shop", "t", &testing::shape_of_one_int());
        let mut damaged = body.clone();
        damaged[9] = 0xff;
        let error = TableMapEvent::read(Input::new(&damaged), Layout::of(b"8.0.31")).unwrap_err();
        assert_eq!(error, DecodeErrorKind::TableMap { what });
        let map = TableMapEvent::read(Input::new(&body), Layout::of(b"8.0.31")).unwrap();
        assert_eq!((map.table_id, map.database, map.table), (1, "shop", "t"));
        assert_eq!(map.body, &body[6..]);
    }
}

#[test]
fn the_columns_of_a_rows_event_are_all_present_or_the_image_is_partial() {
    const UPDATE: RowsFormat = RowsFormat {
        kind: RowsKind::Update,
        has_extra: true,
        is_compressed: false,
        has_changes: false,
    };
    for columns in [1, 7, 8, 9, 16, 17] {
        let bitmap = |missing: Option<usize>| {
            let mut bits = vec![0xff_u8; usize::div_ceil(columns, 8)];
            if let Some(index) = missing {
                bits[index / 8] &= !(1 << (index % 8));
            }
            bits
        };
        let full = |present: Option<usize>, after: Option<usize>| {
            let mut body = [number(1, 6), number(1, 2), number(2, 2), lenenc(columns)].concat();
            body.extend(bitmap(present));
            body.extend(bitmap(after));
            super::RowsEvent::read(Input::new(&body), UPDATE)
                .unwrap()
                .is_full()
        };
        assert!(full(None, None));
        for index in 0..columns {
            assert!(!full(Some(index), None) && !full(None, Some(index)));
        }
    }
}

#[test]
fn unknown_numbers_and_names_agree() {
    let mut stream = Stream::new(false);
    let event = stream.flagged(99, 0x80, b"");
    let header = EventHeader::read(&mut Input::new(&event)).unwrap();
    assert_eq!(header.event_type, EventType::Ignorable(99));
    assert_eq!(
        (header.timestamp, header.server_id),
        (testing::TIME, testing::SERVER)
    );
}

/// What a statement's session is taken to be, as MariaDB 11.8 wrote it.
#[test]
fn the_session_of_a_statement_of_mariadb_is_read() {
    #[rustfmt::skip]
    let status = [
        0, 0, 0, 0, 1,
        1, 0, 0, 0x20, 0x54, 0, 0, 0, 0,
        6, 3, b's', b't', b'd',
        0x83, 2, 0x2d, 0, 0, 9, 0x21, 0, 0, 8,
        4, 0, 9, 1, 9, 0x2d, 0,
        0x81, 0x18, 0, 0, 0, 0, 0, 0, 0,
    ];
    let mut body = vec![0; 8];
    body.push(0);
    body.extend([0, 0]);
    body.extend(u16::try_from(status.len()).unwrap().to_le_bytes());
    body.extend(status);
    body.extend(b"\0CREATE TABLE t (id INT)");
    for (version, is_mariadb) in [("11.8.2-MariaDB-log", true), ("8.0.31", false)] {
        let mut description = testing::format_description(0, false);
        description[2..2 + version.len()].copy_from_slice(version.as_bytes());
        let mut stream = Stream::new(false);
        let mut decoder = Decoder::new(gtid_position("U:1-4", 157));
        decoder
            .event(&stream.artificial(FORMAT_DESCRIPTION, &description))
            .unwrap();
        let event = stream.event(QUERY, &body);
        let Item::Statement(statement) = decoder.event(&event).unwrap().1 else {
            panic!("it is no statement");
        };
        assert_eq!(statement.is_mariadb, is_mariadb);
        let session = statement.session;
        assert_eq!(session.client_collation, Some(2304));
        assert_eq!(session.connection_collation, Some(2305));
        assert_eq!(session.server_collation, Some(45));
        assert_eq!(session.explicit_timestamps, is_mariadb.then_some(true));
        let mut chosen = crate::decode::CharsetCollations::default();
        (chosen[0], chosen[1]) = ((45, 2304), (33, 2048));
        assert_eq!(session.charset_collations, Some(chosen));
        assert_eq!(statement.certain_text(), Some("CREATE TABLE t (id INT)"));
    }
}
