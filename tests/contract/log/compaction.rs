//! A topic of which the broker keeps the newest record of each key: the state topic is one.

use std::collections::BTreeMap;

use binlog_bridge::sink::log::Log;

use super::{
    Cluster, Text, commit_elsewhere, ends, new_topic, newest, open, open_elsewhere, read, records,
    settle, write,
};
use crate::wait::Deadline;

hold_against_both_halves!(
    Cluster: crate::real::KafkaCluster,
    crate::simulated::SimCluster,
    [
        a_compacted_topic_is_read_to_its_end_with_the_newest_value_of_each_key,
        a_topic_is_compacted_below_an_open_transaction_and_read_up_to_it,
    ]
);

/// Segments end quickly, as the one that is written to is never compacted.
const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.001"),
    ("delete.retention.ms", "0"),
    ("min.compaction.lag.ms", "0"),
];

async fn a_compacted_topic_is_read_to_its_end_with_the_newest_value_of_each_key<C: Cluster>(
    cluster: &mut C,
) {
    let (mut log, topic) = compacted(cluster).await;
    for value in ["old", "older than new", "new"] {
        write(&mut log, &topic, "kept", Some(value)).await;
        write(&mut log, &topic, "deleted", Some(value)).await;
    }
    write(&mut log, &topic, "deleted", None).await;
    open(&mut log, &topic, "kept", Some("aborted")).await;
    log.abort().await.unwrap();
    settle(&mut log).await;
    let is_new = |(key, value): &Text| match (key.as_str(), value.as_deref()) {
        ("kept", value) => value == Some("new"),
        ("deleted", value) => value.is_none(),
        _ => true,
    };
    compact(cluster, &mut log, &topic, is_new).await;

    let begin = log.begin_offset(&topic).await.unwrap();
    assert_eq!(begin, 0, "compaction moves no beginning; deletion would");
    let expected = [("filler", "x"), ("kept", "new")];
    let expected: BTreeMap<_, _> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let (_, end) = ends(&mut log, &topic).await;
    // All that was at offsets 0 to 7 is gone: a read that begins there finds what comes next.
    for from in 0..=8 {
        let (found, next) = read(&mut log, &topic, from).await;
        assert_eq!((newest(found), next), (expected.clone(), end));
    }
    write(&mut log, &topic, "kept", Some("newer")).await;
    settle(&mut log).await;
    let expected = (records(&[("kept", Some("newer"))]), end + 2);
    assert_eq!(read(&mut log, &topic, end).await, expected);
}

async fn a_topic_is_compacted_below_an_open_transaction_and_read_up_to_it<C: Cluster>(
    cluster: &mut C,
) {
    let (mut log, topic) = compacted(cluster).await;
    write(&mut log, &topic, "kept", Some("old")).await;
    write(&mut log, &topic, "kept", Some("new")).await;
    settle(&mut log).await;
    let other = open_elsewhere(cluster, &topic).await;
    let is_new = |(key, value): &Text| key != "kept" || value.as_deref() == Some("new");
    compact(cluster, &mut log, &topic, is_new).await;
    let expected = (records(&[("kept", Some("new"))]), 4);
    assert_eq!(read(&mut log, &topic, 0).await, expected);

    write(&mut log, &topic, "above", Some("new")).await;
    settle(&mut log).await;
    commit_elsewhere(other).await;
    let (found, next) = read(&mut log, &topic, 0).await;
    let keys: Vec<_> = newest(found).into_keys().collect();
    assert_eq!(keys, ["above", "elsewhere", "filler", "kept"]);
    assert_eq!((next, next), ends(&mut log, &topic).await);
}

async fn compacted<C: Cluster>(cluster: &mut C) -> (C::Log, String) {
    let mut log = cluster.log();
    log.init().await.unwrap();
    let topic = cluster.topic_name();
    let new = new_topic(&topic, 1, &COMPACTED);
    log.create_topic(&new).await.unwrap();
    (log, topic)
}

/// Writes on until the broker has removed all that is not new.
async fn compact<C: Cluster>(
    cluster: &C,
    log: &mut C::Log,
    topic: &str,
    is_new: impl Fn(&Text) -> bool,
) {
    let deadline = Deadline::of("the broker removes old records");
    loop {
        write(log, topic, "filler", Some("x")).await;
        settle(log).await;
        cluster.compact(topic);
        if read(log, topic, 0).await.0.iter().all(&is_new) {
            return;
        }
        deadline.pause().await;
    }
}
