//! How events come.

use std::time::Duration;

use binlog_bridge::source::Dump;
use binlog_bridge_core::position::Position;
use tokio::time::timeout;

use super::wire::{EVENT_FORMAT_DESCRIPTION, EVENT_HEARTBEAT, EVENT_ROTATE, Reader};
use super::{Mark, Source, events, groups, groups_between, mark, marks};
use crate::wait::PATIENCE;

hold_against_both_halves!(
    Source: crate::real::MysqlSource,
    crate::simulated::SimSource,
    [
        a_rotation_names_the_next_file_and_the_stream_goes_on_there,
        a_silent_server_sends_heartbeats_that_name_the_end,
        a_dropped_next_has_taken_nothing,
        events_in_parts_join_to_whole_ones,
    ]
);

async fn a_rotation_names_the_next_file_and_the_stream_goes_on_there<S: Source>(source: &mut S) {
    let before = marks(source, 1).await;
    source.rotate().await;
    let after = marks(source, 1).await;
    let from = before[0].by_file();
    let events = events(&mut source.dump(), &from, &after[1]).await;
    let rotation = events
        .iter()
        .position(|event| event.number == EVENT_ROTATE && !event.is_artificial)
        .unwrap();
    let next = events[rotation].names();
    assert_eq!((&next.file, next.offset), (&after[0].at.file, 4));
    assert_ne!(next.file, before[0].at.file);
    // Each file is announced once more, as the first one was.
    assert!(events[rotation + 1].is_artificial);
    assert_eq!(events[rotation + 1].names(), next);
    assert_eq!(events[rotation + 2].number, EVENT_FORMAT_DESCRIPTION);
    let marks: Vec<Mark> = before.into_iter().chain(after).collect();
    let expected = (groups_between(&marks), marks[3].at.clone());
    assert_eq!(groups(&events, &from), expected);
}

async fn a_silent_server_sends_heartbeats_that_name_the_end<S: Source>(source: &mut S) {
    let end = marks(source, 1).await[1].clone();
    let mut dump = source.dump();
    dump.open(&end.by_gtid()).await.unwrap();
    let mut reader = Reader::default();
    let count = |reader: &Reader| {
        let is_heartbeat = |number| number == EVENT_HEARTBEAT;
        reader
            .events
            .iter()
            .filter(|event| is_heartbeat(event.number))
            .count()
    };
    let reading = async {
        while count(&reader) < 3 {
            reader.take(&mut dump).await.unwrap();
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    assert_eq!(reader.at(), end.at);
    let last = &reader.events[reader.events.len() - 1];
    assert_eq!(last.number, EVENT_HEARTBEAT);
    // It changes nothing of where the stream goes on.
    let (found, at) = groups(&reader.events, &end.by_gtid());
    assert_eq!((found.len(), at), (0, end.at.clone()));
}

async fn a_dropped_next_has_taken_nothing<S: Source>(source: &mut S) {
    let mut dump = source.dump_in_parts();
    let from = mark(&mut dump).await;
    dump.open(&from.by_gtid()).await.unwrap();
    let mut reader = Reader::default();
    let mut all = vec![from.clone()];
    let mut dropped = 0;
    for milliseconds in 0..20 {
        {
            let executing = source.execute();
            tokio::pin!(executing);
            loop {
                tokio::select! {
                    biased;
                    taken = reader.take(&mut dump) => taken.unwrap(),
                    () = &mut executing => break,
                }
            }
        }
        dropped += 1;
        all.push(mark(&mut source.dump()).await);
        let within = Duration::from_millis(milliseconds % 5);
        match timeout(within, reader.take(&mut dump)).await {
            Ok(taken) => taken.unwrap(),
            Err(_) => dropped += 1,
        }
    }
    assert!(dropped > 0, "no future was dropped");
    let end = &all[all.len() - 1];
    while reader.at() < end.at {
        timeout(PATIENCE, reader.take(&mut dump))
            .await
            .unwrap()
            .unwrap();
    }
    let (found, _) = groups(&reader.events, &from.by_gtid());
    assert_eq!(found, groups_between(&all));
}

async fn events_in_parts_join_to_whole_ones<S: Source>(source: &mut S) {
    let marks = marks(source, 40).await;
    let (from, to): (Position, _) = (marks[0].by_gtid(), &marks[40]);
    let mut dump = source.dump_in_parts();
    dump.open(&from).await.unwrap();
    let mut reader = Reader::default();
    while reader.at() < to.at {
        timeout(PATIENCE, reader.take(&mut dump))
            .await
            .unwrap()
            .unwrap();
    }
    assert!(reader.in_parts > 0, "no event came in parts");
    let parted = groups(&reader.events, &from);
    assert_eq!(parted.0, groups_between(&marks));
    let whole = events(&mut source.dump(), &from, to).await;
    let is_same = whole.iter().map(|event| &event.bytes).eq(reader
        .events
        .iter()
        .filter(|event| event.number != EVENT_HEARTBEAT)
        .map(|event| &event.bytes));
    assert!(is_same, "other bytes came in parts than whole");
}
