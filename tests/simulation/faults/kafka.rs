//! Faults of Kafka and of the schema registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use binlog_bridge::catalog::CatalogError;
use binlog_bridge::error::Error;
use binlog_bridge::health::Readiness;
use binlog_bridge::registry::RegistryErrorKind;
use binlog_bridge::sink::log::LogErrorKind;
use binlog_bridge::sink::topics::TableTopic;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge::start::StartError;
use binlog_bridge::subjects::SubjectError;
use binlog_bridge_core::selection::TableName;
use binlog_bridge_tests::simulated::broker::TRANSACTIONAL_ID;
use binlog_bridge_tests::simulated::faults::{Fault, Scripted, Step};
use binlog_bridge_tests::simulated::rewriting::Rewriting;
use binlog_bridge_tests::simulated::server::SourceTransaction;
use tokio::time::Instant;

use super::{SOON, WHILE, block_on, both_modes, goes_on, halts, next, next_after, streaming};
use crate::instance::Instance;
use crate::world::{STATE, World};

/// Events that are read at most while nothing can be published: about two batches of them.
const HELD_EVENTS_MAX: u64 = 100;

/// Another program commits a record of the state.
pub(super) fn write_state(world: &World, key: &str, value: &str) {
    let mut broker = world.broker();
    let epoch = broker.init_at_once("another", "another");
    let Ok(Ok(transaction)) = broker.transaction("another", epoch) else {
        panic!("it has just been initialised");
    };
    let record = (
        Some(key.as_bytes().to_vec()),
        Some(value.as_bytes().to_vec()),
    );
    broker.append(transaction, STATE, 0, record).unwrap();
    broker.send_end("another", epoch, true, Duration::ZERO);
    broker.init_at_once("another", "another");
}

/// A source transaction is appended in several batches, and its Kafka transaction is open.
async fn open_transaction(world: &World) {
    let appends = world.broker().steps[&Step::Append];
    world.server().transaction(200, false);
    while world.broker().steps[&Step::Append] < appends + 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn streaming_in_small_batches(gtid_on: bool) -> (World, Instance) {
    let (mut world, instance) = streaming(gtid_on).await;
    world.task.limits.batch_bytes_max = 300;
    instance.kill().await;
    let instance = world.start();
    goes_on(&world).await;
    (world, instance)
}

/// Changes the definition of a table, and executes transactions. The number of those before its first row.
fn alter(world: &World) -> usize {
    let columns = world.server().tables[0].columns.clone();
    while world.server().tables[0].columns == columns {
        world.server().define();
    }
    let begun = world.server().history.len();
    for _ in 0..5 {
        world.server().transaction(5, false);
    }
    let history = &world.server().history;
    let is_of_it =
        |source: &SourceTransaction| source.changes.iter().any(|change| change.table == 0);
    begun + history[begun..].iter().position(is_of_it).unwrap()
}

#[test]
fn fault_62_a_schema_that_the_registry_refuses_halts_before_a_row_of_it() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.registry.refuse(Some(RegistryErrorKind::Incompatible));
        let first = alter(&world);
        let is_refused = |error: &Error| {
            matches!(error, Error::Catalog(CatalogError::Subject(SubjectError::Registry(error)))
                if error.kind == RegistryErrorKind::Incompatible)
        };
        halts(&world, instance, is_refused).await;
        assert!(world.check().unwrap() <= first, "none of its rows");
    });
}

#[test]
fn fault_63_a_registry_that_does_not_answer_holds_the_stream_and_loses_nothing() {
    for kind in [
        RegistryErrorKind::Unreachable,
        RegistryErrorKind::Other,
        RegistryErrorKind::Authentication,
    ] {
        both_modes(|gtid_on| async move {
            let (world, instance) = streaming(gtid_on).await;
            world.registry.refuse(Some(kind));
            // What is known goes on.
            goes_on(&world).await;
            alter(&world);
            tokio::time::sleep(WHILE).await;
            assert!(!instance.has_ended() && !instance.health.is_ready());
            assert!(world.check().unwrap() < world.server().history.len());
            world.registry.refuse(None);
            goes_on(&world).await;
        });
    }
}

#[test]
fn fault_63_a_registry_that_refuses_a_request_as_malformed_halts() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.registry.refuse(Some(RegistryErrorKind::Invalid));
        let first = alter(&world);
        let is_refused = |error: &Error| {
            matches!(error, Error::Catalog(CatalogError::Subject(SubjectError::Registry(error)))
                if error.kind == RegistryErrorKind::Invalid)
        };
        halts(&world, instance, is_refused).await;
        assert!(world.check().unwrap() <= first, "none of its rows");
    });
}

#[test]
fn fault_63_a_registry_whose_answers_are_slow_or_lost_costs_nothing() {
    for fault in [Fault::Lazy, Fault::Held, Fault::After] {
        // Each request that a new definition takes, the last one too.
        for after in 0..6 {
            both_modes(|gtid_on| async move {
                let (world, instance) = streaming(gtid_on).await;
                next_after(&world, Step::Registry, after, fault);
                alter(&world);
                world.caught_up(SOON).await.unwrap();
                goes_on(&world).await;
                assert!(!instance.has_ended());
            });
        }
    }
}

/// What a registry gives back of its schemas at the end, once a table was changed and the task begun again.
async fn schemas_with(gtid_on: bool, rewriting: Option<Rewriting>) -> Vec<String> {
    let (mut world, instance) = streaming(gtid_on).await;
    world.registry.rewrite(rewriting);
    alter(&world);
    goes_on(&world).await;
    instance.kill().await;
    let instance = world.start();
    goes_on(&world).await;
    assert!(!instance.has_ended());
    let versions = u32::try_from(world.registry.versions()).unwrap();
    let schema = |id| world.registry.schema(id).unwrap();
    (1..=versions).map(schema).collect()
}

#[test]
fn fault_63_a_registry_that_writes_schemas_anew_has_no_more_of_them() {
    both_modes(|gtid_on| async move {
        let as_given = schemas_with(gtid_on, None).await;
        for rewriting in Rewriting::ALL {
            let rewritten = schemas_with(gtid_on, Some(rewriting)).await;
            assert_eq!(rewritten.len(), as_given.len(), "{rewriting:?}");
            let is_other = |(one, other): (&String, &String)| one != other;
            let others = rewritten
                .iter()
                .zip(&as_given)
                .filter(|pair| is_other(*pair));
            assert!(others.count() > 1, "{rewriting:?}");
        }
    });
}

#[test]
fn fault_64_two_tables_that_would_share_a_topic_are_refused() {
    block_on(async {
        let mut world = World::calm(true);
        for table in ["t", "u"] {
            let topic = TableTopic {
                name: Some("sim.shop.both".to_owned()),
                ..TableTopic::default()
            };
            world
                .task
                .topics
                .tables
                .insert(TableName::new("shop", table), topic);
        }
        (0..20).for_each(|_| world.server().transaction(5, false));
        let halt = world.start().ended().await.unwrap_err();
        let is_refused = matches!(halt.error, Error::Catalog(CatalogError::SharedTopic { .. }));
        assert!(is_refused, "{}", halt.error);
    });
}

#[test]
fn fault_76_brokers_that_are_away_for_an_hour_are_waited_for() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.broker().away_until = Some(Instant::now() + Duration::from_secs(3600));
        let sent = world.network().sent;
        (0..2_000).for_each(|_| world.server().transaction(5, false));
        tokio::time::sleep(Duration::from_secs(3500)).await;
        assert!(!instance.has_ended() && !instance.health.is_ready());
        let sent = world.network().sent - sent;
        assert!(sent < HELD_EVENTS_MAX, "{sent} events were read");
        tokio::time::sleep(Duration::from_secs(100)).await;
        goes_on(&world).await;
    });
}

#[test]
fn fault_77_a_coordinator_that_moves_or_is_busy_is_asked_again() {
    for step in [Step::Init, Step::Append, Step::Commit, Step::Abort] {
        both_modes(|gtid_on| async move {
            let (mut world, instance) = streaming_in_small_batches(gtid_on).await;
            next(&world, step, Fault::Moved);
            goes_on(&world).await;
            if step == Step::Abort {
                open_transaction(&world).await;
                world.server().cut();
            }
            goes_on(&world).await;
            instance.kill().await;
            let _instance = world.start();
            goes_on(&world).await;
            assert!(
                world.broker().faults.script.is_empty(),
                "{step:?} was never met"
            );
        });
    }
}

#[test]
fn fault_78_an_end_of_transaction_that_is_lost_late_or_repeated_is_decided_by_reading_back() {
    for fault in [
        Fault::Before,
        Fault::After,
        Fault::LateError,
        Fault::Slow,
        Fault::AnswerLost,
        Fault::Transport,
        Fault::Held,
        Fault::Lazy,
    ] {
        both_modes(|gtid_on| async move {
            let (world, _instance) = streaming(gtid_on).await;
            let inits = world.broker().steps[&Step::Init];
            next(&world, Step::Commit, fault);
            // Small batches: the late one meets the middle of the next transaction.
            for _ in 0..20 {
                world.server().transaction(20, false);
                tokio::time::sleep(Duration::from_millis(400)).await;
                world.check().unwrap();
            }
            world.caught_up(SOON).await.unwrap();
            if fault != Fault::Lazy {
                assert!(
                    world.broker().steps[&Step::Init] > inits,
                    "{fault:?}: another producer"
                );
            }
        });
    }
}

#[test]
fn fault_78_a_late_abort_does_not_end_the_next_transaction() {
    for fault in [Fault::LateError, Fault::Slow, Fault::Transport] {
        both_modes(|gtid_on| async move {
            let (world, _instance) = streaming_in_small_batches(gtid_on).await;
            open_transaction(&world).await;
            next(&world, Step::Abort, fault);
            // In the middle of the transaction the source is lost: what is open has to be aborted.
            world.server().cut();
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(400)).await;
                world.check().unwrap();
            }
            goes_on(&world).await;
            assert!(world.broker().steps[&Step::Abort] > 0);
        });
    }
}

#[test]
fn fault_76_while_kafka_does_not_answer_it_is_not_ready() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        next(&world, Step::Append, Fault::Hang);
        world.server().transaction(3, false);
        let stalls = async {
            while instance.health.check() != Readiness::Stalled {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(8), stalls)
            .await
            .expect("it is not ready");
        goes_on(&world).await;
        instance.ready().await;
    });
}

#[test]
fn fault_79_of_two_instances_only_the_newer_publishes() {
    both_modes(|gtid_on| async move {
        let (mut world, old) = streaming(gtid_on).await;
        let new = world.start();
        for _ in 0..50 {
            world.server().transaction(3, false);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.caught_up(SOON).await.unwrap();
        goes_on(&world).await;
        halts(&world, old, is_taken_over).await;
        goes_on(&world).await;
        assert!(!new.has_ended());
    });
}

fn is_taken_over(error: &Error) -> bool {
    matches!(error, Error::Sink(SinkError::TakenOver { .. }))
}

/// Whenever in the start of the newer one the older one has no answer to a commit, and makes a new producer.
#[test]
fn fault_79_the_newer_of_two_instances_stays_though_the_older_one_fences_it_in_turn() {
    let mut points = 0;
    for fault in [Fault::Before, Fault::After] {
        for point in 0.. {
            let is_over = Arc::new(AtomicBool::new(true));
            let was_met = Arc::clone(&is_over);
            block_on(async move {
                let (mut world, old) = streaming(true).await;
                let new = world.start();
                let broker = Arc::clone(&world.broker);
                new.process.meet_after(point, move || {
                    let step = Step::Commit;
                    let mut broker = broker.lock().unwrap();
                    broker.faults.script.push(Scripted {
                        step,
                        after: 0,
                        fault,
                    });
                    was_met.store(false, Ordering::Relaxed);
                });
                while !new.health.is_ready() && !new.has_ended() {
                    world.server().transaction(3, false);
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                goes_on(&world).await;
                assert!(!new.has_ended(), "{fault:?} at point {point}");
                halts(&world, old, is_taken_over).await;
                goes_on(&world).await;
                assert!(!new.has_ended(), "{fault:?} at point {point}");
            });
            // The start has no more points than that.
            if is_over.load(Ordering::Relaxed) || point > 60 {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 20, "{points}");
}

#[test]
fn fault_80_a_producer_that_the_cluster_forgot_is_made_anew() {
    both_modes(|gtid_on| async move {
        let (world, _instance) = streaming(gtid_on).await;
        let inits = world.broker().steps[&Step::Init];
        world.broker().expire(TRANSACTIONAL_ID);
        goes_on(&world).await;
        assert!(world.broker().steps[&Step::Init] > inits);
    });
}

#[test]
fn fault_81_a_topic_that_is_deleted_while_it_is_written_halts() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        for table in ["t", "u"] {
            world.broker().topics.remove(&format!("sim.shop.{table}"));
        }
        (0..5).for_each(|_| world.server().transaction(5, false));
        let is_other =
            |error: &Error| matches!(error, Error::Catalog(CatalogError::OtherTopic { .. }));
        let halt = instance.ended().await.unwrap_err();
        assert!(is_other(&halt.error), "{}", halt.error);
    });
}

#[test]
fn fault_81_a_topic_that_is_made_again_while_it_is_written_halts_the_next_start() {
    both_modes(|gtid_on| async move {
        let (mut world, instance) = streaming(gtid_on).await;
        for table in ["t", "u"] {
            let topic = format!("sim.shop.{table}");
            let mut broker = world.broker();
            broker.topics.remove(&topic);
            broker.create(&topic, 3);
        }
        instance.kill().await;
        (0..5).for_each(|_| world.server().transaction(5, false));
        let commits = world.broker().committed.len();
        let instance = world.start();
        let halt = instance.ended().await.unwrap_err();
        let is_other =
            |error: &Error| matches!(error, Error::Catalog(CatalogError::OtherTopic { .. }));
        assert!(is_other(&halt.error), "{}", halt.error);
        let broker = world.broker();
        let later = &broker.committed[commits..];
        let mut records = later
            .iter()
            .flat_map(|index| &broker.transactions[*index].records);
        assert!(records.all(|record| record.topic == STATE), "no row of it");
    });
}

#[test]
fn fault_81_a_topic_that_is_made_again_under_a_running_stream_halts_before_a_row_of_it() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let commits = world.broker().committed.len();
        for table in ["t", "u"] {
            let topic = format!("sim.shop.{table}");
            let mut broker = world.broker();
            broker.topics.remove(&topic);
            broker.create(&topic, 3);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        (0..5).for_each(|_| world.server().transaction(5, false));
        let halt = instance.ended().await.unwrap_err();
        let is_replaced =
            |error: &Error| matches!(error, Error::Sink(SinkError::TopicReplaced { .. }));
        assert!(is_replaced(&halt.error), "{}", halt.error);
        let broker = world.broker();
        let mut records = broker.committed[commits..]
            .iter()
            .flat_map(|index| &broker.transactions[*index].records);
        assert!(records.all(|record| record.topic == STATE), "no row of it");
    });
}

#[test]
fn fault_81_partitions_that_are_added_while_rows_flow_leave_each_key_in_its_place() {
    both_modes(|gtid_on| async move {
        let (mut world, instance) = streaming(gtid_on).await;
        for table in ["t", "u"] {
            let mut broker = world.broker();
            let topic = broker.topics.get_mut(&format!("sim.shop.{table}")).unwrap();
            topic.partitions.resize_with(
                7,
                binlog_bridge_tests::simulated::partitions::Partition::default,
            );
        }
        // The place of each key is compared with its first one by the checker.
        (0..30).for_each(|_| world.server().transaction(10, false));
        world.caught_up(SOON).await.unwrap();
        alter(&world);
        goes_on(&world).await;
        instance.kill().await;
        let _instance = world.start();
        (0..30).for_each(|_| world.server().transaction(10, false));
        goes_on(&world).await;
        for table in ["t", "u"] {
            for added in 3..7 {
                let end = world
                    .broker()
                    .high_watermark(&format!("sim.shop.{table}"), added);
                assert_eq!(end, 0, "partition {added} of {table}");
            }
        }
    });
}

#[test]
fn fault_82_a_state_written_by_another_program_or_emptied_is_not_guessed_at() {
    block_on(async {
        let (mut world, instance) = streaming(true).await;
        instance.kill().await;
        write_state(&world, r#"["something else"]"#, "1");
        let instance = world.start();
        let is_foreign = |error: &Error| matches!(error, Error::Sink(SinkError::State(_)));
        halts(&world, instance, is_foreign).await;
        world.broker().topics.remove(STATE);
        let instance = world.start();
        let is_empty =
            |error: &Error| matches!(error, Error::Start(StartError::NoCheckpoint { .. }));
        halts(&world, instance, is_empty).await;
    });
}

#[test]
fn fault_83_a_right_that_is_taken_away_is_waited_for() {
    for kind in [LogErrorKind::Authorization, LogErrorKind::Authentication] {
        both_modes(|gtid_on| async move {
            let (world, instance) = streaming(gtid_on).await;
            let until = Instant::now() + Duration::from_secs(300);
            world.broker().refused = Some((kind, until));
            world.server().transaction(3, false);
            tokio::time::sleep(Duration::from_secs(200)).await;
            assert!(!instance.has_ended() && !instance.health.is_ready());
            tokio::time::sleep_until(until).await;
            goes_on(&world).await;
        });
    }
}

#[test]
fn fault_84_a_broker_that_cannot_write_is_waited_for() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        for _ in 0..3 {
            next(&world, Step::Append, Fault::Hang);
        }
        let tries = world.broker().steps[&Step::Append];
        let sent = world.network().sent;
        (0..2_000).for_each(|_| world.server().transaction(3, false));
        while !world.broker().faults.script.is_empty() {
            world.check().unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // The third try hangs as well; each began where the last checkpoint is.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let tries = u64::from(world.broker().steps[&Step::Append] - tries);
        let sent = world.network().sent - sent;
        assert!(sent < tries * HELD_EVENTS_MAX, "{sent} events were read");
        assert!(!instance.has_ended() && !instance.health.is_ready());
        world.caught_up(Duration::from_secs(600)).await.unwrap();
        goes_on(&world).await;
    });
}

#[test]
fn fault_85_a_record_that_the_topic_refuses_halts_instead_of_being_tried_for_ever() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.broker().record_bytes_max = 100;
        let appends = world.broker().steps[&Step::Append];
        world.server().transaction(3, false);
        let is_large = |error: &Error| matches!(error, Error::Sink(SinkError::Log(error)) if error.kind == LogErrorKind::TooLarge);
        halts(&world, instance, is_large).await;
        assert!(world.broker().steps[&Step::Append] <= appends + 2);
        assert_eq!(world.check(), Ok(3));
    });
}

#[test]
fn fault_86_readers_are_not_held_back_by_the_transaction_of_a_process_that_died() {
    both_modes(|gtid_on| async move {
        let (mut world, instance) = streaming_in_small_batches(gtid_on).await;
        open_transaction(&world).await;
        instance.kill().await;
        let is_held_back = |world: &World| {
            let broker = world.broker();
            (0..3).any(|n| {
                broker.last_stable_offset("sim.shop.t", n) < broker.high_watermark("sim.shop.t", n)
            })
        };
        assert!(is_held_back(&world));
        let began = Instant::now();
        let instance = world.start();
        instance.ready().await;
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        world.caught_up(SOON).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!is_held_back(&world));
    });
}
