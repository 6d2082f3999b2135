//! The supervisor over simulated edges, one situation at a time.

use std::time::Duration;

use binlog_bridge::catalog::CatalogError;
use binlog_bridge::error::Error;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge::start::{Start, StartError};
use binlog_bridge_core::state::{checkpoint_key, owner_key};

use crate::world::{STATE, World};
use binlog_bridge_tests::simulated::events::Metadata;
use binlog_bridge_tests::simulated::faults::{Fault, Scripted, Step};
use binlog_bridge_tests::simulated::partitions::{Partition, Topic};
use binlog_bridge_tests::simulated::random::Random;
use binlog_bridge_tests::simulated::table::Column;

const SOON: Duration = Duration::from_secs(30);

fn block_on(test: impl Future<Output = ()>) {
    crate::runtime().block_on(test);
}

async fn milliseconds(count: u64) {
    tokio::time::sleep(Duration::from_millis(count)).await;
}

#[test]
fn the_first_transaction_holds_owner_and_checkpoint_before_the_task_is_ready() {
    block_on(async {
        let mut world = World::calm(true);
        let instance = world.start();
        instance.ready().await;
        // Until readers see it.
        milliseconds(1000).await;
        let broker = world.broker();
        let first: Vec<String> = broker
            .records(STATE, 0, 0)
            .filter(|(transaction, _, _)| *transaction == broker.committed[0])
            .map(|(_, key, _)| String::from_utf8(key.unwrap().to_vec()).unwrap())
            .collect();
        assert!(
            first.contains(&owner_key()) && first.contains(&checkpoint_key()),
            "{first:?}"
        );
    });
}

#[test]
fn a_start_at_latest_that_is_killed_before_its_first_row_resumes_where_it_began() {
    for gtid_on in [true, false] {
        block_on(async move {
            let mut world = World::calm(gtid_on);
            world.task.start = Start::Latest;
            world.server().grow();
            let instance = world.start();
            instance.ready().await;
            instance.kill().await;
            (0..5).for_each(|_| world.server().grow());
            let _instance = world.start();
            world.caught_up(SOON).await.unwrap();
        });
    }
}

#[test]
fn a_definition_that_has_ended_is_not_brought_back_by_a_truncate() {
    block_on(async {
        let mut world = World::calm(true);
        {
            let mut server = world.server();
            server.metadata = Metadata::Minimal;
            let mut columns = server.tables[0].columns.to_vec();
            columns.push(Column {
                name: "w".to_owned(),
                nullable: false,
            });
            server.tables[0].columns = columns.into();
            server.insert(0);
        }
        let instance = world.start();
        world.caught_up(SOON).await.unwrap();
        instance.kill().await;
        {
            let mut server = world.server();
            server.swap_names(0);
            server.truncate(0);
            server.insert(0);
        }
        let _instance = world.start();
        world.caught_up(SOON).await.unwrap();
    });
}

#[test]
fn of_another_server_nothing_is_believed_until_the_run_begins_again_with_it() {
    block_on(async {
        let mut world = World::calm(true);
        world.server().metadata = Metadata::Minimal;
        let instance = world.start();
        instance.ready().await;
        // The dump stays open, and the name of the server leads to another one.
        let asked = {
            let mut server = world.server();
            server.uuid = "22222222-2222-2222-2222-222222222222".to_owned();
            server.insert(0);
            server.surveys
        };
        world.caught_up(SOON).await.unwrap();
        assert!(
            world.server().surveys > asked,
            "the run has not begun again"
        );
    });
}

#[test]
fn an_instance_that_another_one_fenced_ends_and_names_it() {
    block_on(async {
        let mut world = World::calm(true);
        let old = world.start();
        old.ready().await;
        let new = world.start();
        new.ready().await;
        world.server().transaction(3, false);
        let halt = old.ended().await.unwrap_err();
        let is_named = matches!(&halt.error, Error::Sink(SinkError::TakenOver { instance, .. })
            if *instance == new.name);
        assert!(is_named, "{}", halt.error);
        world.caught_up(SOON).await.unwrap();
        assert!(!new.has_ended());
    });
}

#[test]
fn of_two_instances_that_fence_each_other_the_newer_goes_on() {
    block_on(async {
        let mut world = World::calm(true);
        let old = world.start();
        old.ready().await;
        let new = world.start();
        // Each start reads the state in two steps.
        while world.broker().steps[&Step::Read] < 4 {
            milliseconds(1).await;
        }
        milliseconds(11).await;
        // Fenced by an instance that has not said so yet, the old one begins again, and goes on until the new one does.
        world.freeze(&new, Duration::from_secs(20));
        world.server().transaction(3, false);
        world.caught_up(Duration::from_secs(10)).await.unwrap();
        let halt = old.ended().await.unwrap_err();
        assert!(
            matches!(&halt.error, Error::Sink(SinkError::TakenOver { instance, .. }) if *instance == new.name),
            "{}",
            halt.error
        );
        world.server().transaction(3, false);
        world.caught_up(SOON).await.unwrap();
        assert!(!new.has_ended());
    });
}

#[test]
fn what_the_old_instance_published_after_the_new_one_asked_the_server_is_not_lost() {
    block_on(async {
        let mut world = World::calm(true);
        let old = world.start();
        old.ready().await;
        let asked = world.server().surveys;
        let new = world.start();
        while world.server().surveys == asked {
            milliseconds(1).await;
        }
        world.freeze(&new, Duration::from_secs(5));
        world.server().transaction(3, false);
        world.caught_up(Duration::from_secs(4)).await.unwrap();
        new.ready().await;
        world.server().transaction(3, false);
        world.caught_up(SOON).await.unwrap();
        assert!(!new.has_ended());
    });
}

#[test]
fn an_instance_fenced_three_times_by_nobody_ends() {
    block_on(async {
        let mut world = World::calm(true);
        for _ in 0..3 {
            let fault = Fault::TimedOut;
            // The first append of each start is that of the owner.
            world.broker().faults.script.push(Scripted {
                step: Step::Append,
                after: 1,
                fault,
            });
        }
        world.server().transaction(3, false);
        let halt = world.start().ended().await.unwrap_err();
        assert!(
            matches!(halt.error, Error::FencedByNobody),
            "{}",
            halt.error
        );
    });
}

#[test]
fn a_state_topic_held_back_by_an_open_transaction_is_waited_for() {
    block_on(async {
        let mut world = World::calm(true);
        world.broker().create(STATE, 1);
        let foreign = world.broker().begin_foreign(STATE);
        let instance = world.start();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!instance.health.is_ready() && !instance.has_ended());
        world.broker().end_foreign(foreign, false);
        instance.ready().await;
    });
}

#[test]
fn data_without_a_checkpoint_is_refused() {
    block_on(async {
        let mut world = World::calm(true);
        world.broker().create("sim.shop.t", 1);
        world.broker().begin_foreign("sim.shop.t");
        let halt = world.start().ended().await.unwrap_err();
        let is_refused = matches!(halt.error, Error::Start(StartError::NoCheckpoint { .. }));
        assert!(is_refused, "{}", halt.error);
    });
}

/// Publishes something, stops, changes the topics, and starts again.
async fn restart_with(change: impl Fn(&mut Topic)) -> (World, crate::instance::Instance) {
    let mut world = World::calm(true);
    let instance = world.start();
    world.server().transaction(40, false);
    world.caught_up(SOON).await.unwrap();
    instance.kill().await;
    for topic in ["sim.shop.t", "sim.shop.u"] {
        change(world.broker().topics.get_mut(topic).unwrap());
    }
    world.server().transaction(40, false);
    let instance = world.start();
    (world, instance)
}

#[test]
fn a_topic_with_another_id_is_refused() {
    block_on(async {
        let (_world, instance) = restart_with(|topic| topic.id = "another".to_owned()).await;
        let error = instance.ended().await.unwrap_err().error;
        let is_refused = matches!(error, Error::Catalog(CatalogError::OtherTopic { .. }));
        assert!(is_refused, "{error}");
    });
}

#[test]
fn a_topic_with_fewer_partitions_is_refused() {
    block_on(async {
        let (_world, instance) = restart_with(|topic| topic.partitions.truncate(2)).await;
        let error = instance.ended().await.unwrap_err().error;
        let is_refused = matches!(error, Error::Catalog(CatalogError::FewerPartitions { .. }));
        assert!(is_refused, "{error}");
    });
}

#[test]
fn a_topic_with_more_partitions_keeps_to_those_in_use() {
    block_on(async {
        let (world, _instance) =
            restart_with(|topic| topic.partitions.push(Partition::default())).await;
        world.caught_up(SOON).await.unwrap();
        assert_eq!(world.broker().high_watermark("sim.shop.t", 3), 0);
    });
}

#[test]
fn transactions_that_are_not_selected_move_the_checkpoint_in_its_time() {
    for gtid_on in [true, false] {
        block_on(async move {
            let mut world = World::calm(gtid_on);
            let instance = world.start();
            instance.ready().await;
            world.server().transaction(1, true);
            milliseconds(600).await;
            assert_eq!(world.check(), Ok(0), "not before its time");
            world.caught_up(Duration::from_millis(1000)).await.unwrap();
        });
    }
}

#[test]
fn a_shutdown_commits_what_is_whole() {
    block_on(async {
        let mut world = World::calm(true);
        world.task.limits.commit_interval_min = SOON;
        world.task.limits.batch_bytes_max = 1 << 20;
        let instance = world.start();
        instance.ready().await;
        (0..5).for_each(|_| world.server().transaction(3, false));
        milliseconds(500).await;
        assert_eq!(world.check(), Ok(0));
        instance.trigger.ask();
        instance.ended().await.unwrap();
        assert_eq!(world.check(), Ok(5));
    });
}

#[test]
fn a_shutdown_aborts_what_is_not_whole() {
    block_on(async {
        let mut world = World::calm(true);
        world.task.limits.batch_bytes_max = 300;
        let instance = world.start();
        instance.ready().await;
        let appends = world.broker().steps[&Step::Append];
        world.server().transaction(200, false);
        while world.broker().steps[&Step::Append] < appends + 3 {
            milliseconds(1).await;
        }
        instance.trigger.ask();
        instance.ended().await.unwrap();
        assert_eq!(world.broker().steps.get(&Step::Abort), Some(&1));
        assert_eq!(world.check(), Ok(0));
    });
}

#[test]
fn a_source_transaction_of_many_batches_is_one_kafka_transaction_or_nothing() {
    block_on(async {
        let mut world = World::calm(true);
        world.task.limits.batch_bytes_max = 300;
        let instance = world.start();
        instance.ready().await;
        let committed = world.broker().committed.len();
        let appends = world.broker().steps[&Step::Append];
        world.server().transaction(200, false);
        while world.broker().steps[&Step::Append] < appends + 5 {
            milliseconds(1).await;
        }
        instance.kill().await;
        let appended = |partition| world.broker().high_watermark("sim.shop.t", partition);
        assert!((0..3).map(appended).sum::<i64>() > 0);
        let committed_rows = |partition| world.broker().records("sim.shop.t", partition, 0).count();
        assert_eq!((0..3).map(committed_rows).sum::<usize>(), 0);
        let _instance = world.start();
        world.caught_up(SOON).await.unwrap();
        assert_eq!(
            world.broker().committed.len(),
            committed + 2,
            "the owner, then the rows"
        );
    });
}

#[test]
fn a_kafka_transaction_ends_with_the_source_transaction_that_did_not_fit_into_a_batch() {
    block_on(async {
        let mut world = World::calm(true);
        world.task.limits.batch_bytes_max = 300;
        (0..40).for_each(|_| world.server().transaction(20, false));
        let _instance = world.start();
        world.caught_up(SOON).await.unwrap();
        let commits = world.broker().committed.len();
        assert!(
            commits >= 40,
            "{commits} commits for 40 source transactions"
        );
    });
}

/// Whenever the new one comes, and however long it takes to say who it is: the old one ends at the first fencing, and
/// does not fence the new one.
#[test]
fn an_instance_that_is_fenced_waits_until_the_newer_one_says_who_it_is() {
    for milliseconds_later in 0..60 {
        block_on(async move {
            let mut world = World::new(Random::new(milliseconds_later), true, 0);
            let old = world.start();
            old.ready().await;
            milliseconds(milliseconds_later).await;
            let new = world.start();
            while !new.health.is_ready() {
                world.server().transaction(2, false);
                milliseconds(3).await;
            }
            let inits = world.broker().steps[&Step::Init];
            for _ in 0..2_000 {
                world.server().transaction(2, false);
                milliseconds(3).await;
                if old.has_ended() {
                    break;
                }
            }
            assert!(old.has_ended());
            let error = old.ended().await.unwrap_err().error;
            assert!(
                matches!(&error, Error::Sink(SinkError::TakenOver { instance, .. }) if *instance == new.name),
                "{error}"
            );
            let again = world.broker().steps[&Step::Init] - inits;
            assert_eq!(again, 0, "inits once the new one was ready");
            world.caught_up(10 * SOON).await.unwrap();
            assert!(new.health.is_ready());
        });
    }
}
