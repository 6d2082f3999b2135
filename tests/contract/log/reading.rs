//! What a reader of committed records sees, and where a topic ends.

use std::time::Duration;

use binlog_bridge::sink::log::Log;

use super::{
    Cluster, commit_elsewhere, ends, log_and_topic, open, open_elsewhere, read, records, settle,
    write,
};

hold_against_both_halves!(
    Cluster: crate::real::KafkaCluster,
    crate::simulated::SimCluster,
    [
        committed_records_are_read_back_and_aborted_ones_are_not,
        reading_goes_on_where_it_ended,
        an_empty_topic_ends_where_it_begins,
        the_last_offset_may_be_that_of_a_marker_which_no_record_reaches,
        a_read_from_behind_the_end_says_where_the_end_is,
        an_open_transaction_of_ours_is_seen_by_the_uncommitted_end_alone,
        another_producers_open_transaction_holds_back_the_committed_end,
        what_lies_above_another_producers_open_transaction_is_read_once_that_ends,
        records_without_a_key_are_passed_over,
        a_read_ends_though_somebody_writes_all_the_time,
    ]
);

async fn committed_records_are_read_back_and_aborted_ones_are_not<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", Some("1")).await;
    open(&mut log, &topic, "b", Some("2")).await;
    log.abort().await.unwrap();
    settle(&mut log).await;
    write(&mut log, &topic, "c", None).await;
    settle(&mut log).await;
    let (found, next) = read(&mut log, &topic, 0).await;
    assert_eq!(found, records(&[("a", Some("1")), ("c", None)]));
    assert_eq!(next, 6, "three records and three markers");
    assert_eq!(ends(&mut log, &topic).await, (6, 6));
}

async fn reading_goes_on_where_it_ended<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", Some("1")).await;
    settle(&mut log).await;
    let (_, next) = read(&mut log, &topic, 0).await;
    assert_eq!(read(&mut log, &topic, next).await, (Vec::new(), next));
    write(&mut log, &topic, "b", Some("")).await;
    settle(&mut log).await;
    let (found, end) = read(&mut log, &topic, next).await;
    assert_eq!((found, end), (records(&[("b", Some(""))]), next + 2));
}

async fn an_empty_topic_ends_where_it_begins<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    assert_eq!(ends(&mut log, &topic).await, (0, 0));
    assert_eq!(read(&mut log, &topic, 0).await, (Vec::new(), 0));
}

async fn the_last_offset_may_be_that_of_a_marker_which_no_record_reaches<C: Cluster>(
    cluster: &mut C,
) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", None).await;
    for _ in 0..2 {
        open(&mut log, &topic, "aborted", None).await;
        log.abort().await.unwrap();
        settle(&mut log).await;
    }
    assert_eq!(ends(&mut log, &topic).await, (6, 6));
    assert_eq!(
        read(&mut log, &topic, 0).await,
        (records(&[("a", None)]), 6)
    );
    for from in 1..=6 {
        assert_eq!(read(&mut log, &topic, from).await, (Vec::new(), 6));
    }
}

/// Whoever has read further than the topic reaches has read another topic.
async fn a_read_from_behind_the_end_says_where_the_end_is<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", None).await;
    settle(&mut log).await;
    assert_eq!(read(&mut log, &topic, 7).await, (Vec::new(), 2));
}

async fn an_open_transaction_of_ours_is_seen_by_the_uncommitted_end_alone<C: Cluster>(
    cluster: &mut C,
) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", None).await;
    settle(&mut log).await;
    open(&mut log, &topic, "b", None).await;
    assert_eq!(ends(&mut log, &topic).await, (2, 3));
    assert_eq!(log.held_back(&topic, 1).await.unwrap(), [(0, 2)]);
    assert_eq!(
        read(&mut log, &topic, 0).await,
        (records(&[("a", None)]), 2)
    );
    log.commit().await.result.unwrap();
    settle(&mut log).await;
    assert_eq!(ends(&mut log, &topic).await, (4, 4));
    assert_eq!(log.held_back(&topic, 1).await.unwrap(), []);
}

async fn another_producers_open_transaction_holds_back_the_committed_end<C: Cluster>(
    cluster: &mut C,
) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "below", None).await;
    settle(&mut log).await;
    let other = open_elsewhere(cluster, &topic).await;
    for count in 1..3 {
        write(&mut log, &topic, "above", None).await;
        settle(&mut log).await;
        assert_eq!(ends(&mut log, &topic).await, (2, 3 + 2 * count));
        assert_eq!(
            read(&mut log, &topic, 0).await,
            (records(&[("below", None)]), 2)
        );
    }
    commit_elsewhere(other).await;
    assert_eq!(ends(&mut log, &topic).await, (8, 8));
}

async fn what_lies_above_another_producers_open_transaction_is_read_once_that_ends<C: Cluster>(
    cluster: &mut C,
) {
    let (mut log, topic) = log_and_topic(cluster).await;
    let other = open_elsewhere(cluster, &topic).await;
    write(&mut log, &topic, "mine", Some("1")).await;
    settle(&mut log).await;
    assert_eq!(read(&mut log, &topic, 0).await, (Vec::new(), 0));
    commit_elsewhere(other).await;
    let expected = (records(&[("elsewhere", Some("x")), ("mine", Some("1"))]), 4);
    assert_eq!(read(&mut log, &topic, 0).await, expected);
}

async fn records_without_a_key_are_passed_over<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    let to = super::partition(&topic, 0);
    let mut batch = super::one(&topic, "a", Some("1"));
    batch.push(&to, None, Some(b"no key")).unwrap();
    batch.push(&to, Some(b""), Some(b"empty key")).unwrap();
    log.begin().await.unwrap();
    log.append(batch).await.unwrap();
    log.commit().await.result.unwrap();
    settle(&mut log).await;
    let expected = records(&[("a", Some("1")), ("", Some("empty key"))]);
    assert_eq!(read(&mut log, &topic, 0).await, (expected, 4));
}

async fn a_read_ends_though_somebody_writes_all_the_time<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    let mut other = cluster.log_elsewhere();
    other.init().await.unwrap();
    let writes = async {
        loop {
            write(&mut other, &topic, "a", Some("1")).await;
        }
    };
    let reads = async {
        for _ in 0..20 {
            let (end, _) = ends(&mut log, &topic).await;
            let (_, next) = read(&mut log, &topic, 0).await;
            assert!(next >= end, "{next} is before {end}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = async {
        tokio::select! {
            () = reads => {}
            () = writes => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .expect("each read ends");
}
