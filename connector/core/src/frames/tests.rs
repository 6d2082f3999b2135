use super::*;

/// An event of `size` bytes, all different from its neighbours.
fn event(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    bytes[9..13].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
    bytes
}

/// The packets that a server sends for payloads, one after another.
fn packets(payloads: &[Vec<u8>], first_sequence: u8) -> Vec<u8> {
    let mut sequence = first_sequence;
    let mut bytes = Vec::new();
    for payload in payloads {
        let mut rest = &payload[..];
        loop {
            let (now, later) = rest.split_at(rest.len().min(PACKET_BYTES_MAX));
            bytes.extend(&u32::try_from(now.len()).unwrap().to_le_bytes()[..3]);
            bytes.push(sequence);
            bytes.extend(now);
            sequence = sequence.wrapping_add(1);
            rest = later;
            if now.len() < PACKET_BYTES_MAX {
                break;
            }
        }
    }
    bytes
}

fn ok(event: &[u8]) -> Vec<u8> {
    [&[OK], event].concat()
}

/// What frames make of bytes that arrive in chunks: the events, each with the number of its parts.
fn read(
    bytes: &[u8],
    chunk: usize,
    part_bytes_max: usize,
) -> Result<Vec<(Vec<u8>, usize)>, FrameError> {
    let mut frames = Frames::new(part_bytes_max, 1);
    let (mut buffer, mut at) = (Vec::new(), 0);
    let mut events: Vec<(Vec<u8>, usize)> = Vec::new();
    let mut is_open = false;
    for chunk in bytes.chunks(chunk) {
        buffer.extend(chunk);
        while let Some(frame) = frames.next(&buffer, &mut at)? {
            let Frame::Piece(part, range) = frame else {
                panic!("{frame:?}");
            };
            assert!(range.len() <= part_bytes_max || part == Part::Whole);
            let begins = matches!(part, Part::Whole | Part::First);
            assert_eq!(begins, !is_open);
            is_open = matches!(part, Part::First | Part::Middle);
            if begins {
                events.push((Vec::new(), 0));
            }
            let (event, parts) = events.last_mut().unwrap();
            event.extend(&buffer[range]);
            *parts += 1;
        }
        // What was taken apart is handed on.
        buffer.drain(..at);
        at = 0;
        assert!(buffer.len() < frames.buffer_bytes_min());
    }
    assert!(!is_open && buffer.is_empty(), "something is left");
    Ok(events)
}

#[test]
fn events_are_found_however_they_arrive() {
    let events: Vec<_> = [19, 20, 99, 100, 101, 250, 1000, 19].map(event).to_vec();
    let bytes = packets(&events.iter().map(|event| ok(event)).collect::<Vec<_>>(), 1);
    for chunk in [1, 3, 50, 997, bytes.len()] {
        let found = read(&bytes, chunk, 100).unwrap();
        let (found, parts): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        assert_eq!(found, events);
        assert_eq!(parts, [1, 1, 1, 1, 2, 3, 10, 1]);
    }
}

/// An event and the byte before it fill whole packets, or just do not: then the last packet is empty, or is not.
#[test]
fn events_of_several_packets_are_joined_at_their_borders() {
    let border = PACKET_BYTES_MAX - 1;
    let sizes = [
        border - 1,
        border,
        border + 1,
        border + PACKET_BYTES_MAX - 1,
        border + PACKET_BYTES_MAX,
        border + PACKET_BYTES_MAX + 7,
    ];
    for size in sizes {
        let events = [event(size), event(50)];
        let bytes = packets(&[ok(&events[0]), ok(&events[1])], 1);
        for part in [1 << 20, 1 << 26] {
            let found = read(&bytes, 100_003, part).unwrap();
            let found: Vec<_> = found.into_iter().map(|(event, _)| event).collect();
            assert!(found == events, "{size} in parts of {part}");
        }
    }
}

#[test]
fn numbers_of_packets_begin_anew_after_the_last() {
    let events: Vec<_> = (0..600).map(|_| ok(&event(30))).collect();
    assert_eq!(read(&packets(&events, 1), 1000, 100).unwrap().len(), 600);
}

fn first(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    Frames::new(100, 1).next(bytes, &mut 0)
}

#[test]
fn errors_and_ends_are_told_from_events() {
    let error = [&[ERROR, 0xd4, 4][..], b"#HY000words"].concat();
    let length = error.len();
    let bytes = packets(&[error], 1);
    assert_eq!(first(&bytes), Ok(Some(Frame::Error(4..4 + length))));
    assert_eq!(first(&bytes[..bytes.len() - 1]), Ok(None));
    let end = packets(&[vec![END, 0, 0, 2, 0]], 1);
    assert_eq!(first(&end), Ok(Some(Frame::End)));
}

#[test]
fn fault_75_fault_96_what_is_no_dump_is_refused() {
    let of = |payload: Vec<u8>| first(&packets(&[payload], 1)).unwrap_err();
    assert_eq!(of(vec![]), FrameError::Short { bytes: 0 });
    assert_eq!(of(vec![OK; 19]), FrameError::Short { bytes: 19 });
    assert_eq!(of(vec![7; 30]), FrameError::Unknown { first: 7 });
    assert_eq!(of(vec![END; 30]), FrameError::Unknown { first: END });
    let long = vec![ERROR; ERROR_BYTES_MAX + 1];
    assert_eq!(
        of(long),
        FrameError::Error {
            bytes: ERROR_BYTES_MAX + 1
        }
    );
    let sequence = first(&packets(&[ok(&event(30))], 2));
    assert_eq!(sequence, Err(FrameError::Sequence { is: 2, should: 1 }));
    // Sizes that are not those of the packet.
    for said in [0, 18, 29, 31, u32::MAX] {
        let mut event = event(30);
        event[9..13].copy_from_slice(&said.to_le_bytes());
        assert_eq!(of(ok(&event)), FrameError::Length { said });
    }
    // Two bytes more, for who acknowledges.
    let semi_sync = [&[SEMI_SYNC, 1][..], &event(30)].concat();
    assert_eq!(of(ok(&semi_sync)), FrameError::SemiSync);
}

/// A server that never ends an event.
#[test]
fn fault_101_packets_that_go_on_behind_the_end_of_an_event_are_refused() {
    let border = PACKET_BYTES_MAX - 1;
    let more = |size: usize, behind: usize| {
        let mut bytes = ok(&event(size));
        bytes.extend(vec![0; behind]);
        read(&packets(&[bytes, ok(&event(30))], 1), 1 << 20, 1 << 20)
    };
    for behind in [1, 100, PACKET_BYTES_MAX] {
        let result = more(border, behind);
        assert!(matches!(result, Err(FrameError::Length { .. })), "{behind}");
    }
    // Or that ends it too early.
    let mut early = event(border + 100);
    let said = u32::try_from(border + 101).unwrap();
    early[9..13].copy_from_slice(&said.to_le_bytes());
    let result = read(&packets(&[ok(&early), ok(&event(30))], 1), 1 << 20, 1 << 20);
    assert_eq!(result, Err(FrameError::Length { said }));
}
