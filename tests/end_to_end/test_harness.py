"""The tests' own tools: the checkers find planted defects in recorded events and in a stand-in's stream."""

import dataclasses
import random
import socket
import threading
import time

import pymysql
import pytest

from harness.bank import ACCOUNTS, CONSTANT, Workload, create_tables, open_accounts, read_accounts
from harness.connector import error_and_remedy, to_yaml
from harness.defects import plant
from harness.ledger import Change, Kind, Ledger, check_history, counted
from harness.partitioner import murmur2, partition_of
from harness.proxy import SERVER, Line, Proxy
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


def kinds_in_history(changes: list[Change]) -> dict[Kind, int]:
    """Judged against what the tables hold after all changes that were recorded."""
    return counted(check_history(changes, final(recorded())))


def test_a_correct_history_has_no_problems():
    changes = recorded()
    assert check_history(changes, final(changes)) == []


def test_the_rest_of_a_correct_history_has_no_problems():
    changes, begin = recorded(), updates_of_one_account(recorded())[1]
    begin -= begin % 2  # where a transfer begins
    assert check_history(changes[begin:], final(changes), final(changes[:begin])) == []


def test_a_dropped_event_is_a_lost_one_and_leaves_half_a_transfer():
    changes = recorded()
    del changes[updates_of_one_account(changes)[1]]
    assert kinds_in_history(changes) == {Kind.LOST: 1, Kind.TORN: 1}


def test_a_dropped_last_event_of_an_account_is_found():
    changes = recorded()
    del changes[updates_of_one_account(changes)[-1]]
    assert kinds_in_history(changes) == {Kind.LOST: 1, Kind.TORN: 1}


def test_a_doubled_event_is_found():
    changes = recorded()
    changes.append(changes[updates_of_one_account(changes)[-1]])
    assert kinds_in_history(changes) == {Kind.DOUBLED: 1}


def test_an_event_that_is_published_again_from_another_place_of_the_binlog_is_found():
    changes = recorded()
    again = changes[updates_of_one_account(changes)[-1]]
    changes.append(dataclasses.replace(again, position=(2, 200), transaction="again"))
    assert kinds_in_history(changes) == {Kind.DOUBLED: 1, Kind.TORN: 1}


def test_an_event_from_before_the_start_is_a_doubled_one():
    changes, begin = recorded(), len(recorded()) - 2
    problems = check_history([changes[begin - 1], *changes[begin:]], final(changes), final(changes[:begin]))
    assert counted(problems) == {Kind.DOUBLED: 1}


def test_swapped_events_of_one_account_are_found():
    changes = recorded()
    first, second = updates_of_one_account(changes)[1:3]
    changes[first], changes[second] = changes[second], changes[first]
    assert kinds_in_history(changes).keys() == {Kind.ORDER}


def test_an_account_that_moves_to_another_partition_is_found():
    changes = recorded()
    last = updates_of_one_account(changes)[-1]
    changes[last] = dataclasses.replace(changes[last], partition=("checking", PARTITIONS))
    assert kinds_in_history(changes) == {Kind.ORDER: 1}


def test_half_a_transaction_is_found():
    changes = recorded()[:-1]
    assert counted(check_history(changes, final(changes))) == {Kind.TORN: 1}


def test_half_of_a_transfer_of_nothing_is_found():
    changes = recorded()
    half = changes[-2]
    changes[-2:] = [dataclasses.replace(half, after=(half.before[0], half.after[1]))]
    assert counted(check_history(changes, final(changes))) == {Kind.TORN: 1}


def test_a_row_that_the_table_never_had_is_found():
    changes = recorded()
    ghost = dataclasses.replace(changes[-1], position=(1, 1_000_000), after=(1, changes[-1].after[1] + 1), before=(1, 1))
    assert kinds_in_history([*changes, ghost])[Kind.WRONG] == 1


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_of_planted_defect_is_found_as_what_it_is(kind: Kind):
    opening = 2 * ACCOUNTS
    changes = recorded()
    for seed in range(50):
        planted, expected = plant(kind, changes[opening:], random.Random(seed))
        assert kind in expected
        problems = check_history(planted, final(changes), final(changes[:opening]))
        assert counted(problems) == expected, list(map(str, problems))


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
    assert any("the sum is" in problem.text for problem in problems) or changes[-1].after[0] == changes[-1].before[0]
    assert any("rows of" in problem.text for problem in problems)


def test_a_checkpoint_between_the_halves_of_a_transaction_is_found():
    changes = recorded()
    assert problems_at_checkpoint(changes, changes[-1].position[1]) != []


def test_a_checkpoint_that_skips_rows_of_a_transaction_is_found():
    ledger = Ledger(CONSTANT)
    assert any("inside a transaction" in problem.text for problem in ledger.compare(checkpoint(200, skip_rows=1)))


def test_a_checkpoint_that_goes_back_is_found():
    ledger = Ledger(CONSTANT)
    assert ledger.compare(checkpoint(500)) == []
    assert any("went back" in problem.text for problem in ledger.compare(checkpoint(400)))


def test_an_event_doubled_behind_a_checkpoint_is_found():
    changes = recorded()
    changes.append(dataclasses.replace(changes[updates_of_one_account(changes)[-2]], offset=len(changes)))
    assert counted(problems_at_checkpoint(changes, changes[-2].position[1] + 50)) == {Kind.DOUBLED: 1}


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


class Echo:
    """A server that sends back what it gets, behind a proxy."""

    def __enter__(self) -> "Echo":
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(self.listener.getsockname()[1]).__enter__()
        self.client = socket.create_connection(("127.0.0.1", self.proxy.port))
        self.client.settimeout(5)
        self.server, _ = self.listener.accept()
        threading.Thread(target=self.answer, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.__exit__()
        for each in (self.client, self.server, self.listener):
            each.close()

    def answer(self) -> None:
        self.heard = b""
        try:
            while data := self.server.recv(65536):
                self.heard += data
                self.server.sendall(data)
        except OSError:
            pass  # the test is over

    def ask(self, data: bytes) -> float:
        """Seconds until all of it has come back."""
        began, back = time.monotonic(), b""
        self.client.sendall(data)
        while len(back) < len(data):
            back += self.client.recv(65536)
        assert back == data
        return time.monotonic() - began


@pytest.mark.parametrize("line, data, seconds", [
    (Line(), b"x" * 1000, 0), (Line(delay_seconds=0.2), b"x" * 1000, 0.4),
    # The last of fifty pieces has nobody to wait for.
    (Line(bytes_per_second=10_000, piece_bytes=100), b"x" * 5000, 0.49), (Line(piece_bytes=1), b"x" * 1000, 0),
])
def test_the_proxy_makes_a_line_as_slow_as_it_is_told(line: Line, data: bytes, seconds: float):
    with Echo() as echo:
        echo.proxy.slow_down(line)
        assert seconds <= echo.ask(data) < seconds + 2


def test_the_proxy_holds_everything_and_lets_it_go_on():
    with Echo() as echo:
        echo.proxy.hold()
        threading.Timer(0.5, echo.proxy.reset).start()
        assert 0.4 < echo.ask(b"held") < 3
        assert echo.ask(b"free") < 0.4


def test_the_proxy_swallows_one_way_only():
    with Echo() as echo:
        echo.ask(b"before")
        echo.proxy.swallow(SERVER)
        echo.client.sendall(b"after")
        wait_until(lambda: echo.heard == b"beforeafter", "the server hears it")
        echo.client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            echo.client.recv(1)


def test_the_proxy_refuses_until_it_is_reset():
    with Echo() as echo:
        echo.ask(b"it is open on both sides")
        echo.proxy.refuse()
        assert echo.client.recv(1) == b""
        with socket.create_connection(("127.0.0.1", echo.proxy.port), timeout=5) as refused:
            assert refused.recv(1) == b""
        echo.proxy.reset()
        with socket.create_connection(("127.0.0.1", echo.proxy.port), timeout=5):
            assert echo.listener.accept()


def test_configuration_is_written_as_yaml_with_a_line_for_each_value():
    assert to_yaml({"a": {"b.c": "x", "d": {}}, "e": [1]}) == 'a:\n  "b.c": "x"\n  d: {}\ne: [1]\n'


def test_cause_and_remedy_must_be_the_last_lines():
    assert error_and_remedy("{}\nerror: the password is wrong.\nremedy: give the right one.\n\n") == (
        "the password is wrong.", "give the right one.",
    )
    with pytest.raises(AssertionError):
        error_and_remedy("error: the password is wrong.\nremedy: give the right one.\n{}\n")
