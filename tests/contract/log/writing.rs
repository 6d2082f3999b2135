//! How records get from a batch into a transaction.

use binlog_bridge::sink::log::{Log, LogErrorKind};
use binlog_bridge_core::encode::Batch;

use super::{
    Cluster, Pair, ends, log_and_topic, make_topic, one, partition, read, records, settle, write,
};

hold_against_both_halves!(
    Cluster: crate::real::KafkaCluster,
    crate::simulated::SimCluster,
    [
        records_keep_their_order_over_batches_and_partitions,
        batches_of_one_transaction_are_seen_together,
        an_empty_transaction_leaves_nothing,
        an_abort_is_answered_well,
        null_and_empty_keys_and_values_stay_apart,
        a_record_over_the_limit_is_too_large_and_its_transaction_cannot_be_committed,
        records_for_a_topic_that_is_not_there_name_the_cause,
        records_for_a_partition_that_is_not_there_name_the_cause,
    ]
);

async fn records_keep_their_order_over_batches_and_partitions<C: Cluster>(cluster: &mut C) {
    let (mut log, single) = log_and_topic(cluster).await;
    let double = make_topic(cluster, &mut log, 2).await;
    let targets = [(&single, 0), (&double, 0), (&double, 1)];
    let mut numbers = 0..600_u32;
    for is_committed in [true, false, true] {
        log.begin().await.unwrap();
        for _ in 0..4 {
            let mut batch = Batch::default();
            for number in numbers.by_ref().take(50) {
                let (topic, index) = targets[usize::try_from(number % 3).unwrap()];
                let value = number.to_string();
                let to = partition(topic, index);
                batch
                    .push(&to, Some(b"key"), Some(value.as_bytes()))
                    .unwrap();
            }
            log.append(batch).await.unwrap();
        }
        if is_committed {
            log.commit().await.result.unwrap();
        } else {
            log.abort().await.unwrap();
        }
        settle(&mut log).await;
    }
    for (rest, (topic, index)) in (0..3).zip(targets) {
        let found = cluster.read_partition(topic, index).await;
        let committed = (0..200_u32).chain(400..600).filter(|n| n % 3 == rest);
        let expected: Vec<Pair> = committed
            .map(|number| (Some(b"key".to_vec()), Some(number.to_string().into_bytes())))
            .collect();
        assert!(found == expected, "order or count of {topic} {index}");
    }
    let sums = log.list_topics(&double).await.unwrap();
    let expected = 400 + 6;
    assert_eq!(
        sums.get(&double),
        Some(&expected),
        "records and six markers"
    );
}

async fn batches_of_one_transaction_are_seen_together<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    log.begin().await.unwrap();
    for count in 1..=5 {
        log.append(one(&topic, "part", Some("x"))).await.unwrap();
        assert_eq!(ends(&mut log, &topic).await, (0, count));
        assert_eq!(read(&mut log, &topic, 0).await, (Vec::new(), 0));
    }
    log.commit().await.result.unwrap();
    settle(&mut log).await;
    let expected = records(&[("part", Some("x")); 5]);
    assert_eq!(read(&mut log, &topic, 0).await, (expected, 6));
}

async fn an_empty_transaction_leaves_nothing<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    log.begin().await.unwrap();
    let answer = log.commit().await;
    answer.result.unwrap();
    assert!(!answer.transport_error);
    log.begin().await.unwrap();
    let back = log.append(Batch::default()).await.unwrap();
    assert!(back.is_empty());
    log.commit().await.result.unwrap();
    write(&mut log, &topic, "a", None).await;
    settle(&mut log).await;
    assert_eq!(ends(&mut log, &topic).await, (2, 2));
}

async fn an_abort_is_answered_well<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    log.begin().await.unwrap();
    log.abort().await.unwrap();
    log.init().await.unwrap();
    log.begin().await.unwrap();
    log.append(one(&topic, "a", None)).await.unwrap();
    log.append(one(&topic, "b", None)).await.unwrap();
    log.abort().await.unwrap();
    settle(&mut log).await;
    assert_eq!(read(&mut log, &topic, 0).await, (Vec::new(), 3));
}

async fn null_and_empty_keys_and_values_stay_apart<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let pairs: [Pair; 4] = [
        (None, None),
        (some(""), some("")),
        (None, some("value")),
        (some("key"), None),
    ];
    let mut batch = Batch::default();
    for (key, value) in &pairs {
        let to = partition(&topic, 0);
        batch.push(&to, key.as_deref(), value.as_deref()).unwrap();
    }
    log.begin().await.unwrap();
    log.append(batch).await.unwrap();
    log.commit().await.result.unwrap();
    settle(&mut log).await;
    assert_eq!(cluster.read_partition(&topic, 0).await, pairs);
}

async fn a_record_over_the_limit_is_too_large_and_its_transaction_cannot_be_committed<
    C: Cluster,
>(
    cluster: &mut C,
) {
    let (mut log, topic) = log_and_topic(cluster).await;
    let large = "x".repeat(3 << 20);
    let mut batch = one(&topic, "small", None);
    let to = partition(&topic, 0);
    batch
        .push(&to, Some(b"large"), Some(large.as_bytes()))
        .unwrap();
    batch.push(&to, Some(b"small"), None).unwrap();
    log.begin().await.unwrap();
    let error = log.append(batch).await.err().unwrap();
    assert_eq!(error.kind, LogErrorKind::TooLarge);
    let answer = log.commit().await;
    assert_eq!(answer.result.unwrap_err().kind, LogErrorKind::Abortable);
    log.abort().await.unwrap();
    settle(&mut log).await;
    assert_eq!(read(&mut log, &topic, 0).await.0, []);
}

async fn records_for_a_topic_that_is_not_there_name_the_cause<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    log.begin().await.unwrap();
    let missing = cluster.topic_name();
    log.append(one(&topic, "a", None)).await.unwrap();
    let error = log.append(one(&missing, "b", None)).await.err().unwrap();
    assert_eq!(error.kind, LogErrorKind::UnknownTopic);
    log.commit().await.result.unwrap_err();
    settle(&mut log).await;
    assert_eq!(read(&mut log, &topic, 0).await.0, []);
}

async fn records_for_a_partition_that_is_not_there_name_the_cause<C: Cluster>(cluster: &mut C) {
    let (mut log, topic) = log_and_topic(cluster).await;
    log.begin().await.unwrap();
    let mut batch = Batch::default();
    batch
        .push(&partition(&topic, 7), Some(b"key"), None)
        .unwrap();
    let error = log.append(batch).await.err().unwrap();
    assert_eq!(error.kind, LogErrorKind::UnknownTopic);
}
