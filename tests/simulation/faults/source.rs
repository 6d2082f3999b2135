//! Faults of the source server, of its binlog and of the way to it.

use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::offsets::Target;
use binlog_bridge::start::StartError;
use binlog_bridge_tests::simulated::faults::{Fault, Step};
use binlog_bridge_tests::simulated::server::Shutdown;

use crate::offsets::command;

use super::{SOON, WHILE, block_on, both_modes, goes_on, halts, next, streaming};

#[test]
fn fault_3_a_purged_position_halts_and_names_what_is_gone() {
    both_modes(|gtid_on| async move {
        let (mut world, instance) = streaming(gtid_on).await;
        instance.kill().await;
        (0..3).for_each(|_| world.server().transaction(3, false));
        world.server().rotate();
        world.server().purge(1);
        let instance = world.start();
        let is_purged = |error: &Error| matches!(error, Error::Start(StartError::Purged { .. }));
        halts(&world, instance, is_purged).await;
    });
}

#[test]
fn fault_4_a_binlog_begun_anew_halts_though_it_has_outgrown_the_position() {
    both_modes(|gtid_on| async move {
        let (mut world, instance) = streaming(gtid_on).await;
        instance.kill().await;
        world.server().reset();
        (0..50).for_each(|_| world.server().transaction(5, false));
        let instance = world.start();
        let is_other =
            |error: &Error| matches!(error, Error::Start(StartError::OtherHistory { .. }));
        halts(&world, instance, is_other).await;
    });
}

#[test]
fn fault_4_a_binlog_begun_anew_under_a_running_stream_halts() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.server().reset();
        (0..50).for_each(|_| world.server().transaction(5, false));
        let is_other =
            |error: &Error| matches!(error, Error::Start(StartError::OtherHistory { .. }));
        halts(&world, instance, is_other).await;
    });
}

#[test]
fn fault_5_and_6_a_server_that_begins_again_is_followed_on() {
    for how in [Shutdown::Clean, Shutdown::Crash, Shutdown::CrashInGroup] {
        both_modes(|gtid_on| async move {
            let (world, _instance) = streaming(gtid_on).await;
            world.server().restart(how);
            goes_on(&world).await;
        });
    }
}

#[test]
fn fault_7_a_server_that_lost_published_transactions_halts() {
    block_on(async {
        let (world, instance) = streaming(true).await;
        world.server().reset();
        let is_lost =
            |error: &Error| matches!(error, Error::Start(StartError::LostTransactions { .. }));
        halts(&world, instance, is_lost).await;
    });
}

#[test]
fn fault_8_a_position_behind_the_end_of_the_binlog_halts() {
    block_on(async {
        let (world, instance) = streaming(false).await;
        world.server().reset();
        let is_behind =
            |error: &Error| matches!(error, Error::Start(StartError::AfterTheEnd { .. }));
        halts(&world, instance, is_behind).await;
    });
}

#[test]
fn fault_13_another_server_without_numbers_is_refused() {
    block_on(async {
        let (world, instance) = streaming(false).await;
        world.server().uuid = "4e11fa47-71ca-11e1-9e33-c80aa9429562".to_owned();
        world.server().restart(Shutdown::Clean);
        let is_other =
            |error: &Error| matches!(error, Error::Start(StartError::OtherServer { .. }));
        halts(&world, instance, is_other).await;
    });
}

#[test]
fn fault_18_a_server_id_that_another_replica_has_is_no_reason_to_halt() {
    both_modes(|gtid_on| async move {
        let (world, _instance) = streaming(gtid_on).await;
        {
            let mut server = world.server();
            let words = "A replica with the same server_uuid/server_id as this replica has connected to the source";
            server.refusals = vec![words.to_owned(); 5];
            server.cut();
        }
        goes_on(&world).await;
        assert!(world.server().refusals.is_empty());
    });
}

#[test]
fn fault_24_rows_of_a_transaction_that_was_rolled_back_are_left_out() {
    both_modes(|gtid_on| async move {
        let (world, _instance) = streaming(gtid_on).await;
        for _ in 0..3 {
            world.server().rolled_back(3);
            goes_on(&world).await;
        }
    });
}

#[test]
fn fault_32_a_change_in_statement_format_halts_before_it() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.server().statement_format();
        world.server().transaction(3, false);
        let is_statement = |error: &Error| matches!(error, Error::StatementFormat { .. });
        halts(&world, instance, is_statement).await;
        assert_eq!(world.check(), Ok(3), "nothing from the statement on");
    });
}

#[test]
fn fault_50_only_unselected_and_empty_transactions_still_move_the_checkpoint() {
    both_modes(|gtid_on| async move {
        let (world, _instance) = streaming(gtid_on).await;
        for _ in 0..20 {
            world.server().transaction(1, true);
            world.server().transaction(0, false);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            let all = world.server().history.len();
            assert_eq!(world.check(), Ok(all));
        }
    });
}

#[test]
fn fault_67_a_connection_that_has_fallen_silent_is_found_and_opened_again() {
    both_modes(|gtid_on| async move {
        let (world, _instance) = streaming(gtid_on).await;
        next(&world, Step::Next, Fault::Hang);
        world.server().transaction(3, false);
        world.caught_up(SOON).await.unwrap();
        goes_on(&world).await;
    });
}

#[test]
fn fault_70_a_trickle_is_progress() {
    both_modes(|gtid_on| async move {
        let (world, _instance) = streaming(gtid_on).await;
        world.network().block_events_max = 1;
        let surveys = world.server().surveys;
        (0..20).for_each(|_| world.server().transaction(10, false));
        world.caught_up(SOON).await.unwrap();
        assert_eq!(world.server().surveys, surveys, "no time-out, no new start");
    });
}

#[test]
fn fault_75_what_waits_for_the_acknowledgement_of_a_replica_is_not_taken_for_lost() {
    both_modes(|gtid_on| async move {
        let (world, instance) = streaming(gtid_on).await;
        world.server().acknowledge(false);
        for _ in 0..5 {
            goes_on(&world).await;
            let surveys = world.server().surveys;
            tokio::time::sleep(WHILE).await;
            assert!(world.server().surveys > surveys, "it has not looked");
            assert!(instance.health.is_ready());
        }
        world.server().acknowledge(true);
        goes_on(&world).await;
        assert!(instance.health.is_ready());
    });
}

#[test]
fn fault_75_a_binlog_begun_anew_is_noticed_though_its_transactions_wait_for_a_replica() {
    block_on(async {
        let (world, instance) = streaming(true).await;
        world.server().acknowledge(false);
        goes_on(&world).await;
        world.server().reset();
        world.server().acknowledge(false);
        world.server().transaction(3, false);
        let is_lost =
            |error: &Error| matches!(error, Error::Start(StartError::LostTransactions { .. }));
        halts(&world, instance, is_lost).await;
    });
}

#[test]
fn fault_75_a_task_that_begins_before_a_replica_has_acknowledged_goes_on() {
    for is_killed in [true, false] {
        block_on(async move {
            let (mut world, mut instance) = streaming(true).await;
            world.server().acknowledge(false);
            goes_on(&world).await;
            match is_killed {
                true => {
                    instance.kill().await;
                    instance = world.start();
                }
                false => world.server().cut(),
            }
            goes_on(&world).await;
            assert!(!instance.has_ended());
            world.server().acknowledge(true);
            goes_on(&world).await;
            assert!(!instance.has_ended());
        });
    }
}

#[test]
fn fault_75_nothing_is_published_twice_by_a_move_before_a_replica_has_acknowledged() {
    block_on(async {
        let (mut world, instance) = streaming(true).await;
        world.server().acknowledge(false);
        goes_on(&world).await;
        let moved = command(&mut world, Target::Oldest, None).await.0.unwrap();
        let is_refused = |error: &Error| matches!(error, Error::Start(StartError::NothingMissing));
        assert!(moved.as_ref().is_err_and(is_refused), "{moved:?}");
        let moved = command(&mut world, Target::Newest, None).await.0.unwrap();
        assert!(!moved.unwrap().gap.may_repeat);
        goes_on(&world).await;
        world.server().acknowledge(true);
        goes_on(&world).await;
        assert!(!instance.has_ended());
    });
}

#[test]
fn fault_75_transactions_of_another_binlog_that_are_owned_are_not_those_that_were_published() {
    for more in [0, 3] {
        block_on(async move {
            let (mut world, instance) = streaming(true).await;
            goes_on(&world).await;
            instance.kill().await;
            let count = world.server().history.len() - 1;
            world.server().reset();
            // As many as before or more, but not the same.
            (0..=count + more).for_each(|_| world.server().transaction(10, false));
            world.server().acknowledge_only(count);
            let instance = world.start();
            let is_found = |error: &Error| {
                matches!(
                    error,
                    Error::Start(
                        StartError::LostTransactions { .. } | StartError::OtherHistory { .. }
                    )
                )
            };
            halts(&world, instance, is_found).await;
        });
    }
}
