//! Topics: made, described, listed.

use std::collections::BTreeMap;

use binlog_bridge::sink::log::{Isolation, Log, LogErrorKind};

use super::{Cluster, log_and_topic, make_topic, new_topic, settle, write};
use crate::wait::Deadline;

hold_against_both_halves!(
    Cluster: crate::real::KafkaCluster,
    crate::simulated::SimCluster,
    [
        a_topic_keeps_its_id_and_its_partitions,
        a_topic_made_again_has_another_id_and_is_empty,
        a_topic_that_is_there_already_is_no_error_and_stays_as_it_is,
        topics_are_listed_by_prefix_with_the_sum_of_their_ends,
        asking_for_a_topic_does_not_make_it,
        topics_can_be_asked_for_without_an_init,
        several_topics_are_described_in_the_order_asked_for,
    ]
);

async fn a_topic_keeps_its_id_and_its_partitions<C: Cluster>(cluster: &mut C) {
    let mut log = cluster.log();
    let topic = make_topic(cluster, &mut log, 3).await;
    let before = log.describe_topic(&topic).await.unwrap().unwrap();
    assert_eq!(before.partitions, 3);
    log.init().await.unwrap();
    write(&mut log, &topic, "a", None).await;
    let other = make_topic(cluster, &mut log, 3).await;
    let after = log.describe_topic(&topic).await.unwrap().unwrap();
    assert_eq!(after, before);
    let other = log.describe_topic(&other).await.unwrap().unwrap();
    assert_ne!(other.id, before.id);
}

async fn a_topic_made_again_has_another_id_and_is_empty<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", None).await;
    settle(&mut log).await;
    let before = log.describe_topic(&topic).await.unwrap().unwrap();
    cluster.delete_topic(&topic).await;
    let deadline = Deadline::of("a deleted topic is gone");
    while log.describe_topic(&topic).await.unwrap().is_some() {
        deadline.pause().await;
    }
    log.create_topic(&new_topic(&topic, 1, &[])).await.unwrap();
    let after = log.describe_topic(&topic).await.unwrap().unwrap();
    assert_ne!(before.id, after.id);
    let deadline = Deadline::of("a topic that was made again has a leader");
    let end = loop {
        match log.end_offset(&topic, Isolation::ReadUncommitted).await {
            // Until the broker has heard that it leads it.
            Err(error) if error.kind == LogErrorKind::Unreachable => deadline.pause().await,
            end => break end.unwrap(),
        }
    };
    assert_eq!(end, 0);
}

async fn a_topic_that_is_there_already_is_no_error_and_stays_as_it_is<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    write(&mut log, &topic, "a", None).await;
    settle(&mut log).await;
    let before = log.describe_topic(&topic).await.unwrap();
    log.create_topic(&new_topic(&topic, 5, &[])).await.unwrap();
    assert_eq!(log.describe_topic(&topic).await.unwrap(), before);
    let end = log.end_offset(&topic, Isolation::ReadUncommitted).await;
    assert_eq!(end.unwrap(), 2);
}

async fn topics_are_listed_by_prefix_with_the_sum_of_their_ends<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    let longer = format!("{topic}.more");
    log.create_topic(&new_topic(&longer, 2, &[])).await.unwrap();
    write(&mut log, &longer, "a", None).await;
    settle(&mut log).await;
    let expected = BTreeMap::from([(topic.clone(), 0), (longer.clone(), 2)]);
    assert_eq!(log.list_topics(&topic).await.unwrap(), expected);
    let expected = BTreeMap::from([(longer.clone(), 2)]);
    assert_eq!(log.list_topics(&longer).await.unwrap(), expected);
    let none = log.list_topics(&cluster.topic_name()).await.unwrap();
    assert_eq!(none, BTreeMap::new());
}

async fn asking_for_a_topic_does_not_make_it<C: Cluster>(cluster: &mut C) {
    let mut log = cluster.log();
    let missing = cluster.topic_name();
    assert_eq!(log.describe_topic(&missing).await.unwrap(), None);
    for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
        let end = log.end_offset(&missing, isolation).await;
        assert_eq!(end.unwrap_err().kind, LogErrorKind::UnknownTopic);
    }
    let read = log.read_committed(&missing, 0).await;
    assert_eq!(read.unwrap_err().kind, LogErrorKind::UnknownTopic);
    assert_eq!(log.describe_topic(&missing).await.unwrap(), None);
}

async fn topics_can_be_asked_for_without_an_init<C: Cluster>(cluster: &mut C) {
    let mut log = cluster.log();
    assert!(log.broker_count().await.unwrap() >= 1);
    let topic = make_topic(cluster, &mut log, 1).await;
    let read = log.read_committed(&topic, 0).await.unwrap();
    assert_eq!((read.records, read.next_offset), (Vec::new(), 0));
}

async fn several_topics_are_described_in_the_order_asked_for<C: Cluster>(cluster: &mut C) {
    let (mut log, one) = log_and_topic(cluster).await;
    let three = make_topic(cluster, &mut log, 3).await;
    let names = [three, cluster.topic_name(), one];
    let described = log.describe_topics(&names).await.unwrap();
    let partitions: Vec<_> = described
        .iter()
        .map(|found| found.as_ref().map(|found| found.partitions))
        .collect();
    assert_eq!(partitions, [Some(3), None, Some(1)]);
    for (name, found) in names.iter().zip(described) {
        assert_eq!(log.describe_topic(name).await.unwrap(), found);
    }
    assert_eq!(log.describe_topics(&[]).await.unwrap(), []);
}
