"""Many statements and many tables: what each of them costs does not grow with their number."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from harness.connector import Connector
from harness.reader import Follower, raw_decoder, read_state
from harness.stack import Stack
from harness.task import Task
from harness.wait import wait_until

pytestmark = [pytest.mark.alone, pytest.mark.timeout(7200)]

MIB = 1024 * 1024
# `make soak many-tables` asks for more.
TABLES = int(os.environ.get("BINLOG_BRIDGE_TEST_TABLES", "2000"))
STATEMENTS = 10_000

START_SECONDS_MAX = 3
STATEMENTS_SECONDS_MAX = 5
PEAK_BYTES_MAX = 256 * MIB
BYTES_PER_TABLE_MAX = 24 * 1024
TOPICS_PER_SECOND_MAX = 50
# How far the program that makes tables is ahead of the connector: so many wait while each is published.
TABLES_AHEAD = 500

# With each kind of table maps a table of its own is written to.
KINDS = {"FULL": "named", "MINIMAL": "unnamed"}
COLUMNS = "id INT PRIMARY KEY, name VARCHAR(40), amount DECIMAL(9,2) NOT NULL DEFAULT 1.5"


@pytest.fixture(scope="module")
def stack(stacks) -> Iterator[Stack]:
    """MySQL does not wait for its disk, as it is not what is measured."""
    with stacks("many", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0") as stack:
        yield stack


@dataclass
class Backlog:
    """A task for each kind of table maps; each is stopped, and has statements and a row before it."""

    task: Task
    connectors: dict[str, Connector]
    without: dict[str, float]  # seconds until the row was there in a backlog without statements


@pytest.fixture(scope="module")
def backlog(stack: Stack, tasks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backlog]:
    with tasks(stack, tmp_path_factory.mktemp("statements")) as task:
        task.sql(f"CREATE DATABASE {task.database}_other")
        for table in KINDS.values():
            task.sql(f"CREATE TABLE {table} ({COLUMNS})")
            task.sql(f"CREATE TABLE new_{table} ({COLUMNS})")
        backlog = Backlog(task, {kind: connector_of(task, kind) for kind in KINDS}, {})
        for kind, table in KINDS.items():
            backlog.connectors[kind].start(ready_within=30)
            write(task, kind, table, 1)
            with following(task, kind, table) as follower:
                wait_for_row(follower, backlog.connectors[kind], 30)
            backlog.connectors[kind].kill()
            write(task, kind, table, 2)
            backlog.without[kind] = seconds_to_row(backlog, kind)
            backlog.connectors[kind].kill()
            # Nothing is recorded of this table: what it is here is known only behind all statements.
            write(task, kind, f"new_{table}", 1)
        run(task, STATEMENTS)
        yield backlog


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_statements_in_a_backlog_cost_less_than_five_seconds(backlog: Backlog, kind: str, say):
    write(backlog.task, kind, KINDS[kind], 3)
    seconds = seconds_to_row(backlog, kind)
    peak = backlog.connectors[kind].memory_peak_bytes()
    backlog.connectors[kind].terminate()
    more = seconds - backlog.without[kind]
    with following(backlog.task, kind, f"new_{KINDS[kind]}") as follower:
        assert len(follower.drain().events) == 1
    say(
        f"{STATEMENTS} statements in a backlog: its row after {seconds:.2f} s, without them "
        f"{backlog.without[kind]:.2f} s: {more:.2f} more, of {STATEMENTS_SECONDS_MAX}; peak RSS {peak / MIB:.1f} MiB"
    )
    assert more < STATEMENTS_SECONDS_MAX
    assert peak < PEAK_BYTES_MAX


def connector_of(task: Task, kind: str) -> Connector:
    (other,) = (table for name, table in KINDS.items() if name != kind)
    select = {"exclude_tables": [f"{task.database}.{other}", f"{task.database}.new_{other}"]}
    return task.connector(kind, task=name_of(task, kind), select=select)


def name_of(task: Task, kind: str) -> str:
    return f"{task.name}-{kind.lower()}"


def write(task: Task, kind: str, table: str, id: int) -> None:
    with task.stack.metadata(kind):
        task.sql(f"INSERT INTO {table} (id, name) VALUES ({id}, 'a')")


def run(task: Task, count: int) -> None:
    """Statements on tables that are selected and others, some of which have rows."""
    with task.connect() as connection, connection.cursor() as cursor:
        for number in range(count // 8):
            for database in (task.database, f"{task.database}_other"):
                cursor.execute(f"CREATE TABLE {database}.made{number} ({COLUMNS})")
            for table in (*KINDS.values(), f"made{number}"):
                cursor.execute(f"ALTER TABLE {table} ALTER amount SET DEFAULT {number}")
            cursor.execute(f"ALTER TABLE named COMMENT = 'of {number}'")
            for database in (task.database, f"{task.database}_other"):
                cursor.execute(f"DROP TABLE {database}.made{number}")


@contextmanager
def following(task: Task, kind: str, table: str) -> Iterator[Follower]:
    """What comes from here on in a table's topic."""
    topic = f"{name_of(task, kind)}.{task.database}.{table}"
    wait_until(lambda: task.stack.partitions(topic), f"topic {topic} is there")
    with Follower(task.stack, [topic], raw_decoder) as follower:
        follower.look_for_partitions()
        yield follower


def wait_for_row(follower: Follower, connector: Connector, seconds: float) -> None:
    """Waits for a row, without asking for all topics meanwhile as `until` does."""
    def has_come() -> bool:
        connector.check_running()
        follower.step()
        return bool(follower.events)

    what = f"a row in {follower.topics}; the connector printed:\n"
    wait_until(has_come, lambda: what + connector.tail(), seconds, every=0)


def seconds_to_row(backlog: Backlog, kind: str) -> float:
    """From the start of the process to the row that was written last."""
    with following(backlog.task, kind, KINDS[kind]) as follower:
        follower.drain()
        return seconds_to_next(follower, backlog.connectors[kind])


def seconds_to_next(follower: Follower, connector: Connector) -> float:
    follower.events.clear()
    began = time.monotonic()
    connector.start()
    wait_for_row(follower, connector, 300)
    return time.monotonic() - began


@dataclass
class Published:
    """What came of tables that were made in a loop."""

    task: Task
    connector: Connector
    base: int  # peak RSS before
    peak: int
    seconds: float  # from the first table to the last one's row


@pytest.fixture(scope="module")
def published(stack: Stack, tasks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """One half of the tables is made while table maps name columns, the other while they do not."""
    with tasks(stack, tmp_path_factory.mktemp("tables")) as task:
        task.sql("CREATE TABLE progress (id INT PRIMARY KEY)")
        connector = task.connector().start(ready_within=30)
        task.sql("INSERT INTO progress VALUES (0)")
        task.read("progress", 1)
        base, began = connector.memory_peak_bytes(), time.monotonic()
        for first in range(0, TABLES, TABLES_AHEAD):
            kind = "FULL" if first < TABLES // 2 else "MINIMAL"
            with stack.metadata(kind):
                make_tables(task, first, min(first + TABLES_AHEAD, TABLES))
                await_progress(task, connector)
        yield Published(task, connector, base, connector.memory_peak_bytes(), time.monotonic() - began)


def make_tables(task: Task, first: int, end: int) -> None:
    with task.connect() as connection, connection.cursor() as cursor:
        for number in range(first, end):
            cursor.execute(f"CREATE TABLE t{number} ({COLUMNS})")
            cursor.execute(f"INSERT INTO t{number} (id, name) VALUES (1, 'a')")
        cursor.execute("INSERT INTO progress VALUES (%s)", (end,))


def await_progress(task: Task, connector: Connector) -> None:
    """Until the row that was written last is committed."""
    at = (task.topic("progress"), 0)
    rows = task.sql("SELECT COUNT(*) FROM progress")[0][0]

    def is_there() -> bool:
        connector.check_running()
        # Each has a transaction of its own, whose end is a record too.
        return task.stack.end_offsets([at])[at] >= 2 * rows

    what = f"{rows} rows of progress; the connector printed:\n"
    wait_until(is_there, lambda: what + connector.tail(), 1800, every=0.2)


def test_fault_65_tables_made_in_a_loop_take_a_few_kib_each_and_are_all_published(published: Published, say):
    task, rate = published.task, TABLES / published.seconds
    per_table = (published.peak - published.base) / TABLES
    say(
        f"{TABLES} tables in {published.seconds:.0f} s, {rate:.1f} a second of at most {TOPICS_PER_SECOND_MAX}; "
        f"peak RSS {published.peak / MIB:.1f} MiB, {per_table / 1024:.1f} KiB a table "
        f"of at most {BYTES_PER_TABLE_MAX / 1024:.0f}"
    )
    recorded = {key[2] for key in read_state(task.stack, task.name) if key[0] == "table"}
    assert recorded == {"progress", *(f"t{number}" for number in range(TABLES))}
    ends = task.stack.end_offsets([(task.topic(f"t{number}"), 0) for number in range(TABLES)], 60)
    # The row, and the end of its transaction.
    assert set(ends.values()) == {2}
    assert rate <= TOPICS_PER_SECOND_MAX
    assert per_table <= BYTES_PER_TABLE_MAX
    assert published.peak < PEAK_BYTES_MAX


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_with_many_tables_takes_less_than_three_seconds(published: Published, kind: str, say):
    task, connector, table = published.task, published.connector, f"t{TABLES // 2}"
    connector.kill()
    with Follower(task.stack, [task.topic(table)], raw_decoder) as follower:
        follower.drain()
        write(task, kind, table, 2 + list(KINDS).index(kind))
        seconds = seconds_to_next(follower, connector)
    peak = connector.memory_peak_bytes()
    say(
        f"{TABLES} tables: first event {seconds:.2f} s after the start of at most {START_SECONDS_MAX}; "
        f"peak RSS {peak / MIB:.1f} MiB of at most {PEAK_BYTES_MAX / MIB:.0f}"
    )
    assert seconds < START_SECONDS_MAX
    assert peak < PEAK_BYTES_MAX
