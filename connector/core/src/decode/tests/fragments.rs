//! Rows events that were cut up, by MariaDB's documentation of them.

use super::*;

const PARTIAL_ROWS: u8 = 172;
const LIMIT: usize = 10_000;

/// A rows event as it was before it was cut up: without a place, perhaps with a checksum.
fn whole(number: u8, body: &[u8], has_checksum: bool) -> Vec<u8> {
    let checksum_len = if has_checksum { 4 } else { 0 };
    let size = u32::try_from(19 + body.len() + checksum_len).unwrap();
    let mut event = testing::TIME.to_le_bytes().to_vec();
    event.push(number);
    event.extend(testing::SERVER.to_le_bytes());
    event.extend(size.to_le_bytes());
    event.extend([0; 6]);
    event.extend(body);
    if has_checksum {
        event.extend(crc32fast::hash(&event).to_le_bytes());
    }
    event
}

/// The bodies of its fragments.
fn fragments(event: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let total = event.len().div_ceil(bytes);
    let body = |(index, piece): (usize, &[u8])| {
        let mut body = u32::try_from(total).unwrap().to_le_bytes().to_vec();
        body.extend(u32::try_from(index + 1).unwrap().to_le_bytes());
        body.push(u8::from(index == 0));
        if index == 0 {
            body.extend(u64::try_from(event.len()).unwrap().to_le_bytes());
        }
        body.extend(piece);
        body
    };
    event.chunks(bytes).enumerate().map(body).collect()
}

fn rows_body() -> Vec<u8> {
    [rows(false), vec![5; 300]].concat()
}

/// A transaction in which rows may come.
fn opened() -> Followed {
    let mut stream = Followed::new(gtid_position("U:1-4", 157), true);
    stream.check(GTID, &gtid(5), "begin", false);
    stream.check(QUERY, &query("BEGIN"), "-", false);
    stream.check(TABLE_MAP, &map(), "map 117=shop.t", false);
    stream
}

/// What the fragments give, whose table is wanted or not: images, and whether they are compressed.
fn assemble(
    stream: &mut Followed,
    bodies: &[Vec<u8>],
    is_wanted: bool,
) -> Result<Option<(Vec<u8>, bool)>, DecodeErrorKind> {
    let mut assembler = Assembler::new(LIMIT);
    let mut given = None;
    for body in bodies {
        let event = stream.stream.event(PARTIAL_ROWS, body);
        let item = stream.decoder.event(&event).map_err(|error| error.kind)?;
        let (_, Item::RowsFragment(fragment)) = item else {
            panic!("no fragment");
        };
        assert!(given.is_none(), "given before the last");
        given = assembler
            .take(&fragment, |id| {
                assert_eq!(id, 117);
                is_wanted
            })?
            .map(|assembled| match assembled {
                Assembled::Rows(rows) => (rows.images.to_vec(), false),
                Assembled::Compressed(rows) => (rows.0.images.to_vec(), true),
            });
    }
    Ok(given)
}

#[test]
fn fragments_give_the_rows_that_were_cut_up() {
    let body = rows_body();
    let images = match super::super::RowsEvent::read(
        Input::new(&body),
        RowsFormat {
            kind: RowsKind::Write,
            has_extra: true,
            is_compressed: false,
            has_changes: false,
        },
    ) {
        Ok(rows) => rows.images.to_vec(),
        Err(error) => panic!("{error}"),
    };
    for has_checksum in [false, true] {
        for bytes in [30, 100, 1000] {
            for (number, is_compressed) in [(WRITE, false), (169, true)] {
                let event = whole(number, &body, has_checksum);
                let mut stream = opened();
                let given = assemble(&mut stream, &fragments(&event, bytes), true).unwrap();
                assert_eq!(given, Some((images.clone(), is_compressed)));
                stream.check(XID, &number_of_xid(), "Commit", true);
                let mut unwanted = opened();
                let bodies = fragments(&event, bytes);
                assert_eq!(assemble(&mut unwanted, &bodies, false), Ok(None));
            }
        }
    }
}

/// The body of an XID event.
fn number_of_xid() -> Vec<u8> {
    number(9, 8)
}

#[test]
fn what_is_missing_repeated_or_wrong_is_refused() {
    let event = whole(WRITE, &rows_body(), false);
    let right = fragments(&event, 100);
    let (first, last) = (&right[0], right.len() - 1);
    let mut other_total = right.clone();
    other_total[1][0] += 1;
    let mut none = right.clone();
    none[0][4 + 4 + 1 + 8 + 4] = QUERY;
    let mut sizes = right.clone();
    sizes[0][9] += 1;
    let orders: [Vec<Vec<u8>>; 7] = [
        right[1..].to_vec(),
        [&right[..1], &right[2..]].concat(),
        vec![first.clone(), first.clone()],
        [&right[..2], &right[1..]].concat(),
        other_total,
        none,
        sizes,
    ];
    for (number, order) in orders.iter().enumerate() {
        let result = assemble(&mut opened(), order, true);
        assert_eq!(result, Err(DecodeErrorKind::Fragments), "{number}");
    }
    // Something else comes before the last.
    let mut stream = opened();
    assemble(&mut stream, &right[..last], true).unwrap();
    assert_eq!(
        stream.next(XID, &number_of_xid()),
        Err(DecodeErrorKind::Fragments)
    );
    // A heartbeat may.
    let mut stream = opened();
    assemble(&mut stream, &right[..last], true).unwrap();
    let heartbeat = stream.stream.heartbeat(500, b"binlog.000007");
    assert_eq!(stream.raw(&heartbeat), Ok("-".into()));
    let large = whole(WRITE, &[rows(false), vec![5; LIMIT]].concat(), false);
    let error = assemble(&mut opened(), &fragments(&large, 5000), true).unwrap_err();
    assert!(matches!(error, DecodeErrorKind::TooLarge { .. }), "{error}");
}

/// Of a table that nobody wants, fragments that come in parts are passed over; those that do not, too.
#[test]
fn fragments_that_nobody_wants_are_passed_over_unread() {
    let event = whole(WRITE, &rows_body(), false);
    let bodies = fragments(&event, 150);
    for wanted in [false, true] {
        let mut stream = opened();
        let mut joiner = Joiner::new(LIMIT);
        let mut names = Vec::new();
        for body in &bodies {
            let event = stream.stream.event(PARTIAL_ROWS, body);
            // The last one is small.
            let parts = match event.len() > 120 {
                true => vec![(Part::First, &event[..100]), (Part::Last, &event[100..])],
                false => vec![(Part::Whole, &event[..])],
            };
            for (part, bytes) in parts {
                let mut fed = Fed::new(part, bytes);
                while let Some(joined) = joiner
                    .next(&mut fed, |_, id| {
                        assert_eq!(id, Some(117));
                        wanted
                    })
                    .unwrap()
                {
                    match joined {
                        Joined::Event(event) => {
                            names.push(name(&stream.decoder.event(event).unwrap().1));
                        }
                        Joined::Skipped(header) => stream.decoder.skipped(&header).unwrap(),
                        Joined::Pending | Joined::Payload(_) => {}
                    }
                }
            }
        }
        let all = ["fragment 1 of 3", "fragment 2 of 3", "fragment 3 of 3"];
        let expected = if wanted { &all[..] } else { &["-"][..] };
        assert_eq!(names, expected);
        stream.check(XID, &number_of_xid(), "Commit", true);
    }
}
