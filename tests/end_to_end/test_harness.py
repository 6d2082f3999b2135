"""The tests' own tools: the checkers find planted defects in recorded events and in a stand-in's stream."""

import dataclasses

import pymysql
import pytest

from harness.bank import CONSTANT, Workload, create_tables, open_accounts, read_accounts
from harness.connector import error_and_remedy, to_yaml
from harness.ledger import Change, Ledger, check_history
from harness.partitioner import murmur2, partition_of
from harness.proxy import Proxy
from harness.stand_in import PARTITIONS, StandIn, Transaction, checkpoint, transactions
from harness.wait import wait_until
from harness.watcher import Watcher

TRANSFERS = 30


def recorded(count: int = TRANSFERS) -> list[Change]:
    """The changes of a correct run, in the order of the binlog."""
    changes = []
    for transaction in transactions(seed=7, count=count):
        for key, envelope in transaction:
            source, before, after = envelope["source"], envelope["before"], envelope["after"]
            partition = (source["table"], key["id"] % PARTITIONS)
            changes.append(Change(
                partition, len(changes), (source["table"], key["id"]),
                before and (before["balance"], before["version"]), (after["balance"], after["version"]),
                envelope["transaction"]["id"], (1, source["pos"]), source["row"],
            ))
    return changes


def final(changes: list[Change]) -> dict:
    return {change.account: change.after for change in changes}


def updates_of_one_account(changes: list[Change]) -> list[int]:
    """Where the changes of the account that has most of them are."""
    places: dict = {}
    for at, change in enumerate(changes):
        places.setdefault(change.account, []).append(at)
    return max(places.values(), key=len)


def problems_at_checkpoint(changes: list[Change], offset: int) -> list[str]:
    ledger = Ledger(CONSTANT)
    for change in changes:
        ledger.add(change)
    return ledger.compare(checkpoint(offset))


def test_a_correct_history_has_no_problems():
    changes = recorded()
    assert check_history(changes, final(changes)) == []


def test_a_dropped_event_is_found():
    changes = recorded()
    del changes[updates_of_one_account(changes)[1]]
    assert check_history(changes, final(recorded())) != []


def test_a_dropped_last_event_of_an_account_is_found():
    changes = recorded()
    del changes[updates_of_one_account(changes)[-1]]
    assert check_history(changes, final(recorded())) != []


def test_a_doubled_event_is_found():
    changes = recorded()
    changes.append(changes[updates_of_one_account(changes)[-1]])
    assert any("twice" in problem for problem in check_history(changes, final(recorded())))


def test_swapped_events_of_one_account_are_found():
    changes = recorded()
    first, second = updates_of_one_account(changes)[1:3]
    changes[first], changes[second] = changes[second], changes[first]
    assert any("out of order" in problem for problem in check_history(changes, final(recorded())))


def test_half_a_transaction_is_found():
    changes = recorded()[:-1]
    assert any("not a whole transfer" in problem for problem in check_history(changes, final(changes)))


def test_each_checkpoint_of_a_correct_stream_passes():
    changes, ledger = recorded(), Ledger(CONSTANT)
    for at in range(0, len(changes), 2):
        for change in changes[at : at + 2]:
            ledger.add(change)
        assert at < len(final(changes)) - 2 or ledger.compare(checkpoint(changes[at + 1].position[1] + 50)) == []


def test_rows_after_the_checkpoint_do_not_count():
    assert problems_at_checkpoint(recorded()[:-1], recorded()[-4].position[1] + 150) == []


def test_half_a_transaction_before_a_checkpoint_is_found():
    changes = recorded()
    problems = problems_at_checkpoint(changes[:-1], changes[-1].position[1] + 50)
    assert any("the sum is" in problem for problem in problems) or changes[-1].after[0] == changes[-1].before[0]
    assert any("rows of" in problem for problem in problems)


def test_a_checkpoint_between_the_halves_of_a_transaction_is_found():
    changes = recorded()
    assert problems_at_checkpoint(changes, changes[-1].position[1]) != []


def test_a_checkpoint_that_skips_rows_of_a_transaction_is_found():
    ledger = Ledger(CONSTANT)
    assert any("inside a transaction" in problem for problem in ledger.compare(checkpoint(200, skip_rows=1)))


def test_a_checkpoint_that_goes_back_is_found():
    ledger = Ledger(CONSTANT)
    assert ledger.compare(checkpoint(500)) == []
    assert any("went back" in problem for problem in ledger.compare(checkpoint(400)))


def test_an_event_doubled_behind_a_checkpoint_is_found():
    changes = recorded()
    changes.append(dataclasses.replace(changes[-1], offset=len(changes)))
    assert problems_at_checkpoint(changes, changes[-1].position[1] + 50) != []


@pytest.mark.parametrize("data, expected", [
    (b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829), (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
])
def test_our_murmur2_gives_what_kafkas_own_tests_expect(data: bytes, expected: int):
    assert murmur2(data) == expected & 0xFFFFFFFF


def test_the_schema_id_is_not_part_of_what_is_hashed():
    assert partition_of(b"\0\0\0\0\1abc", 1000) == partition_of(b"\0\0\0\0\2abc", 1000) == (479470107 & 0x7FFFFFFF) % 1000


def publish_and_wait_for_the_check(stand_in: StandIn, watcher: Watcher, transaction: Transaction) -> None:
    before = watcher.checks
    stand_in.publish(transaction)
    wait_until(lambda: watcher.checks > before or watcher.failure, "a check at the checkpoint")


def test_the_watcher_passes_a_correct_stream(stack):
    stand_in = StandIn(stack, "stand-in-right", "bank")
    with Watcher(stack, "stand-in-right", stand_in.topics, CONSTANT) as watcher:
        for transaction in transactions(seed=1, count=20):
            publish_and_wait_for_the_check(stand_in, watcher, transaction)
    watcher.check()


def test_the_watcher_finds_a_half_transaction_that_was_committed(stack):
    stand_in = StandIn(stack, "stand-in-half", "bank")
    with Watcher(stack, "stand-in-half", stand_in.topics, CONSTANT) as watcher:
        *whole, last = transactions(seed=1, count=3)
        for transaction in whole:
            publish_and_wait_for_the_check(stand_in, watcher, transaction)
        watcher.check()
        stand_in.publish_first_half(last)
        wait_until(lambda: watcher.problems or watcher.failure, "a problem is found")
    with pytest.raises(AssertionError, match="the sum is"):
        watcher.check()


def test_the_watcher_finds_rows_that_were_committed_without_their_checkpoint(stack):
    stand_in = StandIn(stack, "stand-in-bare", "bank")
    with Watcher(stack, "stand-in-bare", stand_in.topics, CONSTANT) as watcher:
        stream = list(transactions(seed=1, count=2))
        stand_in.publish(stream[0])
        stand_in.commit(stream[1], None)
        stand_in.commit([], checkpoint(stream[0][-1][1]["source"]["pos"] + 50))
        wait_until(lambda: watcher.problems or watcher.failure, "a problem is found")
    with pytest.raises(AssertionError, match="changes visible, but"):
        watcher.check()


def test_the_workload_keeps_the_sum_and_goes_on_though_its_server_is_killed(rough_stack):
    rough_stack.sql("CREATE DATABASE workload")
    create_tables(rough_stack, "workload")
    open_accounts(rough_stack, "workload")
    with Workload(rough_stack, "workload", seed=3) as workload:
        wait_until(lambda: sum(workload.answered) > 50, "fifty transfers")
        rough_stack.stop("mysql", "KILL")
        rough_stack.start("mysql")
        before = sum(workload.answered)
        wait_until(lambda: sum(workload.answered) > before + 50, "fifty more transfers")
    workload.check()
    accounts = read_accounts(rough_stack, "workload")
    assert sum(balance for balance, _ in accounts.values()) == CONSTANT
    transfers = sum(version - 1 for _, version in accounts.values()) // 2
    assert 0 <= transfers - sum(workload.answered) <= len(workload.threads)


def test_the_proxy_forwards_cuts_and_swallows(stack):
    with Proxy(stack.mysql_port) as proxy:
        def connect():
            return pymysql.connect(host="127.0.0.1", port=proxy.port, user="root", read_timeout=1)

        for harm in (proxy.cut, proxy.swallow):
            connection = connect()
            connection.query("SELECT 1")
            harm()
            with pytest.raises(pymysql.err.OperationalError):
                connection.query("SELECT 1")
        connect().query("SELECT 1")


def test_configuration_is_written_as_yaml_with_a_line_for_each_value():
    assert to_yaml({"a": {"b.c": "x", "d": {}}, "e": [1]}) == 'a:\n  "b.c": "x"\n  d: {}\ne: [1]\n'


def test_cause_and_remedy_must_be_the_last_lines():
    assert error_and_remedy("{}\nerror: the password is wrong.\nremedy: give the right one.\n\n") == (
        "the password is wrong.", "give the right one.",
    )
    with pytest.raises(AssertionError):
        error_and_remedy("error: the password is wrong.\nremedy: give the right one.\n{}\n")
