//! Events that come in parts.
use super::*;

const LIMIT: usize = 1000;

fn event(event_type: u8, len: usize) -> Vec<u8> {
    let body = [&number(117, 6)[..], &vec![7; len]].concat();
    Stream::new(true).event(event_type, &body)
}

/// What a piece completes.
fn piece<'a>(
    joiner: &'a mut Joiner,
    part: Part,
    bytes: &'a [u8],
    wanted: impl FnOnce(&EventHeader, Option<u64>) -> bool,
) -> Result<Joined<'a>, DecodeErrorKind> {
    let joined = joiner.next(&mut Fed::new(part, bytes), wanted)?;
    Ok(joined.expect("a piece is at least pending"))
}

/// Gives an event in parts of `size` bytes.
fn join(
    joiner: &mut Joiner,
    event: &[u8],
    size: usize,
    wanted: bool,
) -> Result<String, DecodeErrorKind> {
    let parts: Vec<_> = event.chunks(size).collect();
    let mut result = String::new();
    for (index, part) in parts.iter().enumerate() {
        let kind = match index {
            0 => Part::First,
            _ if index + 1 == parts.len() => Part::Last,
            _ => Part::Middle,
        };
        result = match piece(joiner, kind, part, |_, _| wanted)? {
            Joined::Event(joined) => {
                assert_eq!(joined, event);
                "event".into()
            }
            Joined::Pending => "pending".into(),
            Joined::Payload(_) => panic!("nothing is compressed"),
            Joined::Skipped(header) => {
                let event_type = format!("{:?}", header.event_type);
                format!("skipped {}", event_type.split('(').next().unwrap())
            }
        };
    }
    Ok(result)
}

#[test]
fn parts_are_joined_to_the_event_that_they_were() {
    let mut joiner = Joiner::new(LIMIT);
    for event_type in [WRITE, 31, 32, 39, QUERY, TABLE_MAP, 99] {
        for size in [25, 100, 400] {
            let event = event(event_type, 600);
            assert_eq!(join(&mut joiner, &event, size, true), Ok("event".into()));
            let skipped = join(&mut joiner, &event, size, false).unwrap();
            assert!(skipped.starts_with("skipped"), "{skipped}");
        }
    }
    assert!(matches!(
        piece(&mut joiner, Part::Whole, b"x", |_, _| false),
        Ok(Joined::Event(b"x"))
    ));
}

#[test]
fn a_wanted_event_over_the_limit_is_refused_and_an_unwanted_one_is_not() {
    let mut joiner = Joiner::new(LIMIT);
    let large = event(WRITE, LIMIT);
    let size = u32::try_from(large.len()).unwrap();
    let expected = DecodeErrorKind::TooLarge { size, limit: LIMIT };
    assert_eq!(join(&mut joiner, &large, 100, true), Err(expected));
    let skipped = Ok("skipped Rows".into());
    assert_eq!(join(&mut Joiner::new(LIMIT), &large, 100, false), skipped);
    // The text of a statement is never needed: it is not even asked about.
    let skipped = Ok("skipped RowsQuery".into());
    assert_eq!(
        join(&mut Joiner::new(LIMIT), &event(29, LIMIT), 100, true),
        skipped
    );
}

#[test]
fn the_table_is_named_for_events_with_rows_only() {
    for (event_type, expected) in [
        (WRITE, Some(117)),
        (31, Some(117)),
        (32, Some(117)),
        (39, Some(117)),
        (TABLE_MAP, None),
    ] {
        let event = event(event_type, 100);
        let asked = &mut None;
        let wanted = |header: &EventHeader, table_id| {
            *asked = Some((header.event_type, table_id));
            true
        };
        piece(&mut Joiner::new(LIMIT), Part::First, &event[..50], wanted).unwrap();
        let (_, table_id) = asked.unwrap();
        assert_eq!(table_id, expected);
    }
}

#[test]
fn parts_out_of_order_are_refused() {
    let event = event(WRITE, 100);
    let (first, rest) = event.split_at(50);
    let orders: [&[Part]; 7] = [
        &[Part::Middle],
        &[Part::Last],
        &[Part::First, Part::First],
        &[Part::First, Part::Whole],
        &[Part::First, Part::Middle, Part::First],
        &[Part::First, Part::Last, Part::Last],
        &[Part::First, Part::Last, Part::Middle],
    ];
    for order in orders {
        for wanted in [true, false] {
            let mut joiner = Joiner::new(LIMIT);
            let (last, before) = order.split_last().unwrap();
            for part in before {
                let bytes = if *part == Part::First {
                    first
                } else {
                    &rest[..rest.len() / 2]
                };
                piece(&mut joiner, *part, bytes, |_, _| wanted).unwrap();
            }
            let bytes = if *last == Part::First { first } else { rest };
            let error = piece(&mut joiner, *last, bytes, |_, _| wanted).unwrap_err();
            assert_eq!(error, DecodeErrorKind::Pieces, "{order:?}");
        }
    }
}

#[test]
fn parts_that_are_more_than_the_header_says_are_refused() {
    let event = event(WRITE, 600);
    let mut joiner = Joiner::new(LIMIT);
    piece(&mut joiner, Part::First, &event, |_, _| true).unwrap();
    let mut error = None;
    // A reused buffer may be somewhat larger than the event, but bounded.
    for _ in 0..200 {
        if let Err(kind) = piece(&mut joiner, Part::Middle, &event, |_, _| true) {
            error = Some(kind);
            break;
        }
    }
    assert_eq!(error, Some(DecodeErrorKind::Pieces));
}

#[test]
fn a_first_part_without_a_whole_header_is_refused() {
    let event = event(WRITE, 600);
    for len in 0..25 {
        let mut joiner = Joiner::new(LIMIT);
        let result = piece(&mut joiner, Part::First, &event[..len], |_, _| true);
        assert_eq!(result.unwrap_err(), DecodeErrorKind::Truncated);
    }
}
