//! The reader behind `tail`.

use std::collections::BTreeSet;
use std::time::Duration;

use binlog_bridge::sink::kafka::KafkaLog;
use binlog_bridge::sink::log::{Log, LogErrorKind};
use binlog_bridge::sink::reader::{ReadEvent, ReadRecord, Start, TopicReader};
use binlog_bridge_core::encode::Batch;

use super::cluster::{make_topic, name, settings};
use crate::log::partition;

#[tokio::test]
async fn the_reader_yields_all_committed_records_then_waits_for_more() {
    let (first, second) = (make_topic(2).await, make_topic(1).await);
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    log.init().await.unwrap();
    write(&mut log, &[(&first, 0, "a"), (&first, 1, "b")], true).await;
    write(&mut log, &[(&first, 0, "aborted")], false).await;
    let mut reader =
        TopicReader::new(settings(&name()), vec![first.clone()], Start::Beginning).unwrap();
    assert_eq!(values(&until_caught_up(&mut reader).await), ["a", "b"]);

    write(&mut log, &[(&first, 1, "c")], true).await;
    assert_eq!(values(&until_caught_up(&mut reader).await), ["c"]);

    write(&mut log, &[(&second, 0, "d")], true).await;
    reader.add_topics(vec![first.clone(), second.clone()], Start::Beginning);
    let records = until_caught_up(&mut reader).await;
    assert_eq!(values(&records), ["d"]);
    assert_eq!(
        (
            records[0].topic.as_str(),
            records[0].partition,
            records[0].offset
        ),
        (&*second, 0, 0)
    );
    assert!(records[0].timestamp_ms > 0);

    let mut late = TopicReader::new(settings(&name()), vec![first.clone()], Start::End).unwrap();
    assert_eq!(until_caught_up(&mut late).await, []);
    write(&mut log, &[(&first, 0, "e")], true).await;
    assert_eq!(values(&until_caught_up(&mut late).await), ["e"]);
}

#[tokio::test]
async fn the_reader_says_that_a_topic_is_not_there() {
    let mut reader = TopicReader::new(settings(&name()), vec![name()], Start::End).unwrap();
    let error = reader.next().await.unwrap_err();
    assert_eq!(error.kind, LogErrorKind::UnknownTopic);
}

async fn until_caught_up(reader: &mut TopicReader) -> Vec<ReadRecord> {
    let mut records = Vec::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
        match next.expect("nothing came").unwrap() {
            ReadEvent::Record(record) => records.push(record),
            ReadEvent::AllCaughtUp => return records,
        }
    }
}

fn values(records: &[ReadRecord]) -> Vec<&str> {
    let sorted: BTreeSet<_> = records
        .iter()
        .map(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap())
        .collect();
    sorted.into_iter().collect()
}

async fn write(log: &mut KafkaLog, records: &[(&str, i32, &str)], commit: bool) {
    let mut batch = Batch::default();
    for (topic, number, value) in records {
        batch
            .push(
                &partition(topic, *number),
                Some(b"k"),
                Some(value.as_bytes()),
            )
            .unwrap();
    }
    log.begin().await.unwrap();
    log.append(batch).await.unwrap();
    if commit {
        log.commit().await.result.unwrap();
    } else {
        log.abort().await.unwrap();
    }
}
