//! Who may end a transaction, and what becomes of one that nobody ends.

use binlog_bridge::sink::log::{Log, LogErrorKind};

use super::{Cluster, ends, log_and_topic, one, open, read, records, settle, write};
use crate::wait::Deadline;

hold_against_both_halves!(
    Cluster: crate::real::KafkaCluster,
    crate::simulated::SimCluster,
    [
        an_init_fences_the_commit_of_the_old_producer,
        an_init_fences_the_append_of_the_old_producer,
        an_init_fences_the_abort_of_the_old_producer,
        an_init_aborts_the_transaction_that_was_open,
        what_was_committed_before_an_init_is_read_right_after_it,
        a_producer_that_was_fenced_goes_on_after_an_init_of_its_own,
        a_transaction_that_timed_out_is_not_committed,
        after_a_timeout_an_init_begins_anew,
        without_an_init_nothing_can_be_written,
        an_init_after_a_step_that_was_given_up_leaves_nothing_of_it,
    ]
);

async fn an_init_fences_the_commit_of_the_old_producer<C: Cluster>(cluster: &mut C) {
    let (mut old, topic) = log_and_topic(cluster).await;
    open(&mut old, &topic, "old", None).await;
    let mut new = cluster.log();
    new.init().await.unwrap();
    let answer = old.commit().await;
    assert_eq!(answer.result.unwrap_err().kind, LogErrorKind::Fenced);
    assert!(!answer.transport_error, "it was answered");

    write(&mut new, &topic, "new", Some("1")).await;
    settle(&mut new).await;
    let (found, end) = read(&mut new, &topic, 0).await;
    assert_eq!(found, records(&[("new", Some("1"))]));
    assert_eq!(end, 4, "two records and two markers");
}

async fn an_init_fences_the_append_of_the_old_producer<C: Cluster>(cluster: &mut C) {
    let (mut old, topic) = log_and_topic(cluster).await;
    old.begin().await.unwrap();
    let mut new = cluster.log();
    new.init().await.unwrap();
    let error = old.append(one(&topic, "late", None)).await.unwrap_err();
    assert_eq!(error.kind, LogErrorKind::Fenced);
    assert_eq!(ends(&mut new, &topic).await, (0, 0));
}

async fn an_init_fences_the_abort_of_the_old_producer<C: Cluster>(cluster: &mut C) {
    let (mut old, topic) = log_and_topic(cluster).await;
    open(&mut old, &topic, "old", None).await;
    let mut new = cluster.log();
    new.init().await.unwrap();
    // The new one's transaction is open meanwhile: an abort that is late must not end it.
    open(&mut new, &topic, "new", None).await;
    let error = old.abort().await.unwrap_err();
    assert!(error.kind.is_fenced(), "{error}");
    new.commit().await.result.unwrap();
    settle(&mut new).await;
    assert_eq!(read(&mut new, &topic, 0).await.0, records(&[("new", None)]));
}

async fn an_init_aborts_the_transaction_that_was_open<C: Cluster>(cluster: &mut C) {
    let (mut old, topic) = log_and_topic(cluster).await;
    open(&mut old, &topic, "never", None).await;
    let mut new = cluster.log();
    assert_eq!(ends(&mut new, &topic).await, (0, 1));
    new.init().await.unwrap();
    assert_eq!(ends(&mut new, &topic).await, (2, 2), "its marker is there");
    assert_eq!(read(&mut new, &topic, 0).await, (Vec::new(), 2));
}

/// The state is read by whoever has just fenced its predecessor (I5).
async fn what_was_committed_before_an_init_is_read_right_after_it<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    for count in 1..=8_i64 {
        write(&mut log, &topic, "state", Some(&count.to_string())).await;
        log = cluster.log();
        log.init().await.unwrap();
        let (committed, all) = ends(&mut log, &topic).await;
        assert_eq!((committed, all), (2 * count, 2 * count));
        let (found, next) = read(&mut log, &topic, 2 * (count - 1)).await;
        let newest = records(&[("state", Some(&count.to_string()))]);
        assert_eq!((found, next), (newest, all));
    }
}

async fn a_producer_that_was_fenced_goes_on_after_an_init_of_its_own<C: Cluster>(cluster: &mut C) {
    let (mut first, topic) = log_and_topic(cluster).await;
    let mut second = cluster.log();
    second.init().await.unwrap();
    write(&mut second, &topic, "second", None).await;
    first.init().await.unwrap();
    write(&mut first, &topic, "first", None).await;
    second.begin().await.unwrap();
    let error = second.append(one(&topic, "late", None)).await.unwrap_err();
    assert_eq!(error.kind, LogErrorKind::Fenced);
    settle(&mut first).await;
    let expected = records(&[("second", None), ("first", None)]);
    assert_eq!(read(&mut first, &topic, 0).await.0, expected);
}

async fn a_transaction_that_timed_out_is_not_committed<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = timed_out(cluster).await;
    let answer = log.commit().await;
    let kind = answer.result.unwrap_err().kind;
    assert!(
        matches!(kind, LogErrorKind::Fenced | LogErrorKind::Abortable),
        "{kind:?}"
    );
    assert_eq!(read(&mut log, &topic, 0).await.0, []);
}

async fn after_a_timeout_an_init_begins_anew<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = timed_out(cluster).await;
    log.init().await.unwrap();
    write(&mut log, &topic, "again", None).await;
    settle(&mut log).await;
    let expected = (records(&[("again", None)]), 4);
    assert_eq!(read(&mut log, &topic, 0).await, expected);
}

/// A log whose open transaction the broker has ended by its own timer: the last stable offset reaches the end.
async fn timed_out<C: Cluster>(cluster: &mut C) -> (C::Log, String) {
    let (_, topic) = log_and_topic(cluster).await;
    let mut log = cluster.hasty_log();
    log.init().await.unwrap();
    open(&mut log, &topic, "late", None).await;
    assert_eq!(ends(&mut log, &topic).await, (0, 1));
    let deadline = Deadline::of("the broker ends a transaction that stays open");
    while ends(&mut log, &topic).await != (2, 2) {
        deadline.pause().await;
    }
    (log, topic)
}

async fn without_an_init_nothing_can_be_written<C: Cluster>(cluster: &mut C) {
    let mut log = cluster.log();
    assert_eq!(log.begin().await.unwrap_err().kind, LogErrorKind::Fatal);
    let answer = log.commit().await;
    assert_eq!(answer.result.unwrap_err().kind, LogErrorKind::Fatal);
    assert_eq!(log.abort().await.unwrap_err().kind, LogErrorKind::Fatal);
}

async fn an_init_after_a_step_that_was_given_up_leaves_nothing_of_it<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    for milliseconds in 0..5 {
        log.begin().await.unwrap();
        let within = std::time::Duration::from_millis(milliseconds);
        let append = log.append(one(&topic, "never", None));
        // Whether it was done in time is a matter of luck, and of none here.
        tokio::time::timeout(within, append).await.ok();
        log.init().await.unwrap();
        let (committed, all) = ends(&mut log, &topic).await;
        assert_eq!(committed, all, "a transaction is open");
        assert_eq!(read(&mut log, &topic, 0).await, (Vec::new(), all));
    }
}
