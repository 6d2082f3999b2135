//! Size, speed and time limits of transactions on a real broker.

use std::time::{Duration, Instant};

use binlog_bridge::sink::kafka::{KafkaLog, RECORD_OVERHEAD_BYTES};
use binlog_bridge::sink::log::{Isolation, Log, LogErrorKind};
use binlog_bridge_core::encode::Batch;

use super::cluster::{make_topic, make_topic_with, name, settings};
use crate::log::partition;

#[tokio::test]
async fn two_hundred_thousand_records_keep_their_order_and_come_back_as_a_batch() {
    let (mut log, first) = log_and_topic(2).await;
    let second = make_topic(1).await;
    let to = [
        partition(&first, 0),
        partition(&first, 1),
        partition(&second, 0),
    ];
    let mut batch = Batch::default();
    let mut same = Batch::default();
    for number in 0..200_000_u32 {
        let to = &to[usize::try_from(number % 3).unwrap()];
        for batch in [&mut batch, &mut same] {
            batch
                .push(to, Some(&number.to_be_bytes()), Some(b"a small value"))
                .unwrap();
        }
    }
    log.begin().await.unwrap();
    let back = log.append(batch).await.unwrap();
    assert!(back == same, "the batch was changed");
    log.commit().await.result.unwrap();
    settle(&mut log).await;

    for (topic, index) in [(&first, 0_u32), (&second, 2)] {
        let read = log.read_committed(topic, 0).await.unwrap();
        let numbers = read
            .records
            .iter()
            .map(|(k, _)| u32::from_be_bytes(k[..].try_into().unwrap()));
        let expected: Vec<_> = (0..200_000).filter(|n| n % 3 == index).collect();
        assert!(
            numbers.eq(expected.iter().copied()),
            "order or count of {topic} {index}"
        );
    }
    let sums = log.list_topics(&first).await.unwrap();
    assert_eq!(
        sums.get(&first),
        Some(&(66_667 + 66_667 + 2)),
        "records and two markers"
    );
}

#[tokio::test]
async fn a_record_of_the_largest_size_arrives_where_the_topic_takes_it() {
    let settings = settings(&name());
    let topic_bytes_max = (settings.record_bytes_max + RECORD_OVERHEAD_BYTES).to_string();
    let topic = make_topic_with(1, &[("max.message.bytes", &topic_bytes_max)]).await;
    let value = noise(settings.record_bytes_max - 3);
    let mut log = KafkaLog::new(settings).unwrap();
    log.init().await.unwrap();
    append_one(&mut log, &topic, Some(b"key"), Some(&value)).await;
    log.commit().await.result.unwrap();
    settle(&mut log).await;
    let read = log.read_committed(&topic, 0).await.unwrap();
    assert!(
        read.records == [(b"key".to_vec(), Some(value))],
        "another record came back"
    );
}

#[tokio::test]
async fn a_record_that_only_the_topic_refuses_is_too_large() {
    let topic = make_topic_with(1, &[("max.message.bytes", "1000")]).await;
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    log.init().await.unwrap();
    log.begin().await.unwrap();
    let value = noise(10_000);
    let error = log
        .append(one(&topic, Some(b"k"), Some(&value)))
        .await
        .unwrap_err();
    assert_eq!(error.kind, LogErrorKind::TooLarge);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable_in_bounded_time() {
    let mut settings = settings(&name());
    settings.bootstrap_servers = "127.0.0.1:1".to_owned();
    settings.request_timeout_ms = 1500;
    let mut log = KafkaLog::new(settings).unwrap();
    let started = Instant::now();
    assert_eq!(
        log.init().await.unwrap_err().kind,
        LogErrorKind::Unreachable
    );
    let end = log.end_offset("any", Isolation::ReadCommitted).await;
    assert_eq!(end.unwrap_err().kind, LogErrorKind::Unreachable);
    let described = log.describe_topic("any").await;
    assert_eq!(described.unwrap_err().kind, LogErrorKind::Unreachable);
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    let dropped = Instant::now();
    drop(log);
    assert!(
        dropped.elapsed() < Duration::from_secs(3),
        "{:?}",
        dropped.elapsed()
    );
}

#[tokio::test]
async fn dropping_the_log_amid_a_step_does_not_wait_for_the_cluster() {
    let mut settings = settings(&name());
    settings.bootstrap_servers = "127.0.0.1:1".to_owned();
    let mut log = KafkaLog::new(settings).unwrap();
    tokio::time::timeout(Duration::from_millis(200), log.init())
        .await
        .unwrap_err();
    let dropped = Instant::now();
    drop(log);
    assert!(
        dropped.elapsed() < Duration::from_millis(1500),
        "{:?}",
        dropped.elapsed()
    );
}

#[tokio::test]
async fn a_refused_setting_is_a_matter_of_configuration_and_no_secret_is_shown() {
    let mut settings = settings(&name());
    settings
        .client
        .insert("sasl.mechanism".to_owned(), "hunter2".to_owned());
    settings
        .client
        .insert("sasl.password".to_owned(), "hunter2".to_owned());
    settings
        .client
        .insert("security.protocol".to_owned(), "sasl_plaintext".to_owned());
    assert!(!format!("{settings:?}").contains("hunter2"));
    let mut log = KafkaLog::new(settings).unwrap();
    let error = log.init().await.unwrap_err();
    assert_eq!(error.kind, LogErrorKind::Configuration);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_small_transaction_takes_milliseconds() {
    let (mut log, topic) = log_and_topic(1).await;
    let mut times = Vec::new();
    let mut batch = one(&topic, Some(b"key"), Some(b"value"));
    for _ in 0..200 {
        let started = Instant::now();
        log.begin().await.unwrap();
        batch = log.append(batch).await.unwrap();
        let answer = log.commit().await;
        answer.result.unwrap();
        times.push((started.elapsed(), answer.elapsed));
    }
    times.sort_unstable();
    let (median, slow) = (times[100], times[198]);
    println!(
        "begin, append and commit: p50 {:?}, p99 {:?}",
        median.0, slow.0
    );
    // Generous: shared machines are slow at times, a wait rounded up to 100 ms would show.
    assert!(median.0 < Duration::from_millis(60), "{median:?}");
}

/// Bytes that no compression makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

async fn log_and_topic(partitions: i32) -> (KafkaLog, String) {
    let topic = make_topic(partitions).await;
    let mut log = KafkaLog::new(settings(&name())).unwrap();
    log.init().await.unwrap();
    (log, topic)
}

/// EndTxn is answered once the end is decided; readers see it a moment later, when the markers are written
/// to the partitions. An init returns only after that.
async fn settle(log: &mut KafkaLog) {
    log.init().await.unwrap();
}

async fn append_one(log: &mut KafkaLog, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) {
    log.begin().await.unwrap();
    let batch = one(topic, key, value);
    let back = log.append(batch).await.unwrap();
    assert_eq!(back, one(topic, key, value));
}

fn one(topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Batch {
    let mut batch = Batch::default();
    batch.push(&partition(topic, 0), key, value).unwrap();
    batch
}
