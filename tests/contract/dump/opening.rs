//! Where a dump begins, and where it cannot.

use binlog_bridge::error::{Error, Verdict};
use binlog_bridge::source::{Dump, SourceError};
use binlog_bridge_core::position::{FileOffset, GtidSet, Position};

use super::wire::{EVENT_FORMAT_DESCRIPTION, EVENT_ROTATE, WireEvent};
use super::{Mark, Source, events, events_up_to, groups, groups_between, mark, marks, refusal};

hold_against_both_halves!(
    Source: crate::real::MysqlSource,
    crate::simulated::SimSource,
    [
        a_dump_from_a_gtid_set_gives_exactly_what_is_not_in_the_set,
        a_dump_from_a_file_and_offset_gives_exactly_what_lies_behind,
        a_dump_begins_in_an_older_file_too,
        a_set_with_a_hole_gives_what_is_missing_first,
        first_comes_where_the_dump_begins_then_a_format_description,
        opening_again_drops_the_dump_that_was_open,
        what_is_executed_after_the_opening_comes_too,
        a_purged_position_is_refused_as_purged,
        a_position_behind_the_end_of_its_file_is_refused,
        a_file_that_never_was_is_refused,
        a_dump_that_is_not_open_gives_nothing,
    ]
);

async fn a_dump_from_a_gtid_set_gives_exactly_what_is_not_in_the_set<S: Source>(source: &mut S) {
    let marks = marks(source, 5).await;
    for first in 0..5 {
        check(&mut source.dump(), &marks[first..], Mark::by_gtid).await;
    }
}

async fn a_dump_from_a_file_and_offset_gives_exactly_what_lies_behind<S: Source>(source: &mut S) {
    let marks = marks(source, 5).await;
    for first in 0..5 {
        check(&mut source.dump(), &marks[first..], Mark::by_file).await;
    }
}

async fn a_dump_begins_in_an_older_file_too<S: Source>(source: &mut S) {
    let mut all = marks(source, 2).await;
    for _ in 0..2 {
        source.rotate().await;
        all.extend(marks(source, 2).await);
    }
    for first in 0..all.len() - 1 {
        check(&mut source.dump(), &all[first..], Mark::by_gtid).await;
        check(&mut source.dump(), &all[first..], Mark::by_file).await;
    }
}

/// Opens at the first mark: what lies between the others comes, and nothing else.
async fn check(dump: &mut impl Dump, marks: &[Mark], form: impl Fn(&Mark) -> Position) {
    let last = &marks[marks.len() - 1];
    let from = form(&marks[0]);
    let events = events(dump, &from, last).await;
    let expected = (groups_between(marks), last.at.clone());
    assert_eq!(groups(&events, &from), expected, "from {from}");
}

async fn a_set_with_a_hole_gives_what_is_missing_first<S: Source>(source: &mut S) {
    let marks = marks(source, 4).await;
    let (one, last) = (marks[1].set.subtract(&marks[0].set), &marks[4]);
    let gtid_set: GtidSet = marks[3].set.subtract(&one);
    let at = marks[0].at.clone();
    let from = Position::Gtid { gtid_set, at };
    let events = events(&mut source.dump(), &from, last).await;
    let mut expected = groups_between(&marks[..2]);
    expected.extend(groups_between(&marks[3..]));
    assert_eq!(groups(&events, &from).0, expected);
}

async fn first_comes_where_the_dump_begins_then_a_format_description<S: Source>(source: &mut S) {
    let first = marks(source, 1).await;
    source.rotate().await;
    let second = marks(source, 2).await;
    let mut dump = source.dump();
    for from in [&first[0], &second[1]] {
        let by_file = events(&mut dump, &from.by_file(), &second[2]).await;
        check_beginning(&by_file, &from.at);
        assert_eq!(by_file[1].end, 0, "the description is not at this place");
        let by_gtid = events(&mut dump, &from.by_gtid(), &second[2]).await;
        let offset = 4; // A set says nothing of offsets: the file is sent from its beginning.
        let file = from.at.file.clone();
        check_beginning(&by_gtid, &FileOffset { file, offset });
        assert_ne!(by_gtid[1].end, 0, "the description is that of the file");
    }
}

fn check_beginning(events: &[WireEvent], at: &FileOffset) {
    let numbers: Vec<_> = events.iter().take(2).map(|event| event.number).collect();
    assert_eq!(numbers, [EVENT_ROTATE, EVENT_FORMAT_DESCRIPTION]);
    assert!(events[0].is_artificial);
    assert_eq!((events[0].end, &events[0].names()), (0, at));
}

async fn opening_again_drops_the_dump_that_was_open<S: Source>(source: &mut S) {
    let marks = marks(source, 4).await;
    let mut dump = source.dump();
    for first in [0, 3, 1, 2, 2] {
        // Some of what the earlier one has sent is not read.
        dump.open(&marks[first].by_gtid()).await.unwrap();
        events_up_to(&mut dump, &marks[first + 1]).await;
        check(&mut dump, &marks[first..], Mark::by_file).await;
    }
}

async fn what_is_executed_after_the_opening_comes_too<S: Source>(source: &mut S) {
    let mut dump = source.dump();
    let before = mark(&mut dump).await;
    dump.open(&before.by_gtid()).await.unwrap();
    let marks = marks(source, 3).await;
    // A survey does not mind the open dump.
    assert_eq!(mark(&mut dump).await, marks[3]);
    let events = events_up_to(&mut dump, &marks[3]).await;
    assert_eq!(groups(&events, &before.by_gtid()).0, groups_between(&marks));
}

async fn a_purged_position_is_refused_as_purged<S: Source>(source: &mut S) {
    let marks = marks(source, 2).await;
    source.rotate().await;
    source.execute().await;
    source.purge().await;
    for from in [marks[1].by_gtid(), marks[1].by_file()] {
        let error = refusal(&mut source.dump(), &from).await;
        check_halt(error, "Restore the missing binlog files");
    }
    // All that is gone is in this set.
    let rest = mark(&mut source.dump()).await;
    let from = marks[2].by_gtid();
    let events = events(&mut source.dump(), &from, &rest).await;
    assert_eq!(groups(&events, &from).0.len(), 1);
}

async fn a_position_behind_the_end_of_its_file_is_refused<S: Source>(source: &mut S) {
    let marks = marks(source, 1).await;
    let mut at = marks[1].at.clone();
    at.offset += 1000;
    let error = refusal(&mut source.dump(), &Position::File { at }).await;
    check_halt(error, "shorter than the position");
}

async fn a_file_that_never_was_is_refused<S: Source>(source: &mut S) {
    let mut at = mark(&mut source.dump()).await.at;
    at.file = "binlog.900000".to_owned();
    let error = refusal(&mut source.dump(), &Position::File { at }).await;
    check_halt(error, "Restore the missing binlog files");
}

/// What the server says must be understood, as no restart helps.
fn check_halt(error: SourceError, words: &str) {
    assert!(
        matches!(error, SourceError::Server { code: 1236, .. }),
        "{error}"
    );
    let text = error.to_string();
    match Error::Source(error).verdict() {
        Verdict::Halt(remedy) => assert!(remedy.contains(words), "{text}: {remedy}"),
        verdict => panic!("{text}: {verdict:?}"),
    }
}

async fn a_dump_that_is_not_open_gives_nothing<S: Source>(source: &mut S) {
    let mut block = binlog_bridge_core::event::EventBlock::default();
    let error = source.dump().next(&mut block).await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(block.is_empty());
}
