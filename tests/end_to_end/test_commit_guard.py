"""The end of a transaction that is late, for real: a proxy before Kafka holds it back, or delays each answer to it.

The Kafka client repeats an EndTxn that got no answer. The first one may still be on its way, and when it arrives it
ends whatever the same producer has begun since. That the connector never goes on with such a producer is what these
tests hold; without that guard they find changes that came twice, or half a transaction that is lost.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.bank import CONSTANT, TABLES, Workload, create_tables, open_accounts, read_accounts
from harness.connector import Connector
from harness.kafka_proxy import ADD_PARTITIONS_TO_TXN, END_TXN, PRODUCE, Held, KafkaProxy, Request
from harness.ledger import change_of, check_history, position_of
from harness.proxy import Proxy
from harness.reader import Follower, json_decoder
from harness.task import Task
from harness.wait import wait_until
from harness.watcher import Watcher

# A table that is not selected: its rows part those of the others into batches, and fill the binlog.
NOISE = "noise"
NOISE_ROWS = 256
NOISE_ROW_BYTES = 16384

# What the broker answers to a producer whose epoch is over.
INVALID_PRODUCER_EPOCH, PRODUCER_FENCED = 47, 90

ANSWER_DELAY_SECONDS = 0.7
# `make soak` asks for more.
SLOW_SECONDS = int(os.environ.get("BINLOG_BRIDGE_TEST_SLOW_SECONDS", "20"))
# A commit whose answer is late is followed by a read-back with a new producer.
STANDSTILL_SECONDS_MAX = 5


@pytest.fixture(scope="module")
def stack(stack_behind_proxy):
    return stack_behind_proxy


@pytest.fixture
def bank(task: Task, proxy: KafkaProxy) -> Iterator[Task]:
    create_tables(task.stack, task.database)
    task.sql(f"CREATE TABLE {NOISE} (id INT AUTO_INCREMENT PRIMARY KEY, payload MEDIUMTEXT NOT NULL)")
    yield task
    proxy.reset()


def connector_of(bank: Task, proxy: KafkaProxy, **source: int) -> Connector:
    """Small batches, and no checkpoint but that of a transaction."""
    return bank.connector(
        source=source,
        select={"databases": [bank.database], "exclude_tables": [f"{bank.database}.{NOISE}"]},
        kafka={"bootstrap_servers": f"127.0.0.1:{proxy.port}", "partitions": 1},
        limits={"batch_bytes_max": 4096, "checkpoint_interval_ms": 60000},
    ).start(ready_within=30)


class Late:
    """Delivers a request that was held back in the middle of the transaction that began after it: all rows of the
    first table are acknowledged, nothing of the second table or of the checkpoint was sent."""

    def __init__(self, bank: Task, proxy: KafkaProxy, held: Held) -> None:
        self.first, self.second = (bank.topic(table) for table in TABLES)
        self.held, self.error_code = held, None
        self.first_acknowledged = threading.Event()
        self.next_acknowledged = False
        proxy.before_request, proxy.after_answer = self.before_request, self.after_answer

    def after_answer(self, request: Request) -> None:
        if request.api_key == PRODUCE and request.names(self.first):
            self.first_acknowledged.set()
            self.next_acknowledged = self.held.caught.is_set()

    def before_request(self, request: Request) -> None:
        is_second = request.api_key == ADD_PARTITIONS_TO_TXN and request.names(self.second)
        if is_second and self.next_acknowledged and self.error_code is None:
            self.error_code = self.held.deliver()


def test_fault_78_commit_guard_keeps_a_late_commit_from_publishing_half_of_the_next_transaction(
    bank: Task, proxy: KafkaProxy, say
):
    connector = connector_of(bank, proxy)
    open_accounts(bank.stack, bank.database)
    wait_published(bank, connector)
    with watcher_of(bank) as watcher:
        held = proxy.hold_next(END_TXN)
        late = Late(bank, proxy, held)
        transfer(bank, ("checking", 1), ("savings", -1))
        wait_held(held, connector)
        assert held.is_commit
        wait_published(bank, connector)
        # Rows of the first table at the end too: they are refused if what came before them was ended.
        transfer(bank, ("checking", 1), ("savings", -2), ("checking", 1))
        finish(bank, connector, watcher)
    check(bank, proxy, late, say)


def test_fault_78_commit_guard_keeps_a_late_abort_from_losing_half_of_the_next_transaction(bank: Task, proxy: KafkaProxy, say):
    with Proxy(bank.stack.mysql_port) as mysql:
        connector = connector_of(bank, proxy, port=mysql.port)
        open_accounts(bank.stack, bank.database)
        wait_published(bank, connector)
        with watcher_of(bank) as watcher:
            held = proxy.hold_next(END_TXN)
            late = Late(bank, proxy, held)
            # The rows of the first table arrive, and some of the noise after them.
            mysql.swallow_after(NOISE_ROWS * NOISE_ROW_BYTES // 2)
            transfer(bank, ("checking", 1), ("savings", -1))
            assert late.first_acknowledged.wait(30), connector.tail()
            mysql.cut()
            wait_held(held, connector)
            assert not held.is_commit
            finish(bank, connector, watcher)
        check(bank, proxy, late, say)


@pytest.mark.timeout(SLOW_SECONDS + 200)
def test_fault_78_commit_guard_keeps_moving_though_a_slow_broker_answers_each_commit_late(bank: Task, proxy: KafkaProxy, say):
    connector = connector_of(bank, proxy)
    open_accounts(bank.stack, bank.database)
    wait_published(bank, connector)
    dumps = dump_connections(bank)
    with watcher_of(bank) as watcher, Workload(bank.stack, bank.database, seed=4) as workload:
        proxy.answer_delay_seconds = {END_TXN: ANSWER_DELAY_SECONDS}
        commits, standstill = follow_checkpoints(bank, lambda: (watcher.check(), workload.check(), connector.check_running()))
        read_back = connector.metric("unknown_commits_total")
        proxy.reset()
        workload.stop()
        wait_published(bank, connector)
        watcher.stop()
    watcher.check()
    say(
        f"{SLOW_SECONDS} s: {commits} checkpoints, the longest time without one {standstill:.1f} s; {read_back:.0f} commits "
        f"read back; {sum(workload.answered)} transfers; {watcher.checks} checks at checkpoints"
    )
    assert standstill <= STANDSTILL_SECONDS_MAX
    assert read_back >= commits - 1  # the first one may have been under way before the answers were slow
    assert dump_connections(bank) == dumps, "the dump was opened again"
    check_all_changes(bank)


def watcher_of(bank: Task) -> Watcher:
    return Watcher(bank.stack, bank.name, [bank.topic(table) for table in TABLES], CONSTANT)


def transfer(bank: Task, *steps: tuple[str, int]) -> None:
    """One transaction, which moves money from all accounts of a table to all of another; noise parts the steps."""
    noise = (
        f"INSERT INTO {NOISE} (payload) WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        f"WHERE n < {NOISE_ROWS}) SELECT REPEAT('-', {NOISE_ROW_BYTES}) FROM numbers"
    )
    with bank.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for table, amount in steps:
            cursor.execute(f"UPDATE {table} SET balance = balance + %s, version = version + 1", (amount,))
            cursor.execute(noise)
        connection.commit()


def wait_held(held: Held, connector: Connector) -> None:
    assert held.caught.wait(30), f"no EndTxn came; the connector printed:\n{connector.tail()}"


def wait_published(bank: Task, connector: Connector) -> None:
    """The checkpoint reaches the end of the binlog."""
    file, offset = bank.stack.binlog_end()
    end = position_of({"position": {"file": file, "offset": offset}})

    def reached() -> bool:
        connector.check_running()
        return position_of(bank.checkpoint()) >= end

    wait_until(reached, lambda: f"the checkpoint reaches {end}; the connector printed:\n{connector.tail()}", 60)


def finish(bank: Task, connector: Connector, watcher: Watcher) -> None:
    """After what was meant to do harm is published, so is the next transaction."""
    wait_published(bank, connector)
    transfer(bank, ("checking", 3), ("savings", -3))
    wait_published(bank, connector)
    watcher.stop()


def check(bank: Task, proxy: KafkaProxy, late: Late, say) -> None:
    proxy.check()
    say(
        f"the broker answered the EndTxn of epoch {late.held.epoch}, sent in the middle of the next transaction, with "
        f"error code {late.error_code}"
    )
    assert late.error_code is not None, "the EndTxn that was held back was never delivered"
    check_all_changes(bank)
    assert late.error_code in (INVALID_PRODUCER_EPOCH, PRODUCER_FENCED)


def check_all_changes(bank: Task) -> None:
    """Each change of the tables was published once and in order, and each transaction has one END."""
    with bank.follower(*TABLES) as follower:
        changes = [change_of(event) for event in follower.drain().events]
    ends = [(end["id"], end["event_count"]) for end in bank.read_ends()]
    problems = list(map(str, check_history(changes, read_accounts(bank.stack, bank.database))))
    problems += [f"more than one END: {end}" for end, count in Counter(ends).items() if count > 1]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


def follow_checkpoints(bank: Task, check: Callable[[], Any]) -> tuple[int, float]:
    """For the length of the test: how many checkpoints there were, and the longest time without one."""
    began = newest = time.monotonic()
    count, standstill = 0, 0.0
    with Follower(bank.stack, [bank.state_topic], json_decoder) as follower:
        follower.drain()
        while (now := time.monotonic()) < began + SLOW_SECONDS:
            check()
            follower.events.clear()
            follower.step()
            seen = sum(event.key == ["checkpoint"] for event in follower.events)
            standstill = max(standstill, now - newest)
            if seen:
                count, newest = count + seen, now
    return count, standstill


def dump_connections(bank: Task) -> list[int]:
    """The server's ids of the connections that read its binlog."""
    rows = bank.stack.sql("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%%' ORDER BY id")
    assert rows, "nobody reads the binlog"
    return [row[0] for row in rows]
