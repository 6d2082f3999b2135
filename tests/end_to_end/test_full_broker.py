"""Brokers that take less than they are sent: a quota, and a disk that is full."""

import pathlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from harness.connector import Connector, error_and_remedy
from harness.stack import Stack, script
from harness.task import Task, ids_of
from harness.wait import wait_until

# Brokers measure over 10 s: of 1.2 MB they take 700 kB at once.
QUOTA_BYTES_PER_SECOND = 70_000
# Of the second disk: room for the brokers' own files, and soon full.
DISK_BYTES = 64 * 1024 * 1024
BACK_WITHIN_SECONDS = 90
BATCH_BYTES = 1_000_000
# So many bytes of a transaction fit on the disk.
FREED_BYTES = 4 * BATCH_BYTES
# What is sent and not answered is given up before that, and only then it is not ready.
SOON_MS = 10_000


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[pathlib.Path | None]:
    """A small file system of its own; none where this machine does not let us mount one."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def stack(stacks, disk: pathlib.Path | None) -> Iterator[Stack]:
    with stacks("full", *([f"--kafka-disk={disk}"] if disk else [])) as stack:
        yield stack


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, payload MEDIUMBLOB)")
    return task


def insert(task: Task, number: int, kilobytes: int, table: str = "orders") -> None:
    """A row, in a transaction of its own; no compression makes it smaller."""
    payload = ", ".join(["RANDOM_BYTES(1000)"] * kilobytes)
    task.sql(f"INSERT INTO {table} VALUES (%s, CONCAT({payload}))", number)


@contextmanager
def quota(stack: Stack, bytes_per_second: int) -> Iterator[None]:
    """How much each producer may send."""
    clients = ("--alter", "--entity-type", "clients", "--entity-default")
    script("kafka-tool", stack.name, "configs", *clients, "--add-config", f"producer_byte_rate={bytes_per_second}")
    try:
        yield
    finally:
        script("kafka-tool", stack.name, "configs", *clients, "--delete-config", "producer_byte_rate")


def test_fault_84_a_quota_slows_rows_down_and_costs_none(orders: Task, say):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1, 1)
    orders.read("orders", 1)
    with quota(orders.stack, QUOTA_BYTES_PER_SECOND):
        began = time.monotonic()
        for number in range(2, 8):
            insert(orders, number, 200)
        events = orders.read("orders", 7, seconds=BACK_WITHIN_SECONDS)
        took = time.monotonic() - began
    say(f"1.2 MB with a quota of {QUOTA_BYTES_PER_SECOND // 1000} kB/s took {took:.1f} s")
    assert ids_of(events) == list(range(1, 8))
    assert took > 2, "the quota slowed nothing down"
    assert connector.metric("restarts_total") == 0 and connector.is_ready()


def test_fault_84_a_disk_that_is_full_is_waited_for_and_every_row_arrives_once(orders: Task, disk: pathlib.Path | None):
    """The broker gives the disk up, and what lay there has no leader until it has room and is started again. What it leaves
    open then of a transaction that is over (KAFKA-20734) the connector does not publish, and says how to end it."""
    if disk is None:
        pytest.skip("this machine does not let us mount a file system")
    connector = on_the_other_disk(orders, disk)
    tables = tables_on_both(orders, disk)
    ballast = disk / "ballast"
    fill(ballast)
    for number in range(2, 5):
        for table in tables:
            insert(orders, number, 100, table)
    # It ends by itself if nothing is left that it can work with.
    wait_until(
        lambda: not orders.stack.lives("kafka") or "No space left" in orders.stack.log("kafka"), "the disk is full", 60
    )
    wait_until(lambda: connector.readiness() == 503, "it is not ready", BACK_WITHIN_SECONDS)
    connector.check_running()
    ballast.unlink()
    start_kafka_again(orders.stack)
    for table in tables:
        insert(orders, 5, 1, table)
    left_open = 0

    def are_there() -> bool:
        nonlocal left_open
        if not connector.is_running():
            end_what_is_left_open(connector, orders.stack)
            connector.start()
            left_open += 1
        return all(len(follower.of(orders.topic(table))) >= 5 for table in tables)

    with orders.follower(*tables) as follower:
        follower.until(are_there, "the rows", 2 * BACK_WITHIN_SECONDS)
    for table in tables:
        assert ids_of(orders.read(table, 5)) == [1, 2, 3, 4, 5]
    connector.wait_ready(BACK_WITHIN_SECONDS)
    assert connector.runs == 1 + left_open


def tables_on_both(task: Task, disk: pathlib.Path) -> list[str]:
    """Tables with a row each, until the topic of one lies on the disk and that of another does not."""
    tables = ["orders"]
    insert(task, 1, 1)
    while True:
        task.read(tables[-1], 1)
        places = {lies_on(disk, task.topic(table)) for table in tables}
        if len(places) == 2:
            return tables
        assert len(tables) < 10, "the broker uses one of its disks only"
        tables.append(f"orders{len(tables)}")
        task.sql(f"CREATE TABLE {tables[-1]} LIKE orders")
        insert(task, 1, 1, tables[-1])


def fill(file: pathlib.Path) -> None:
    with open(file, "wb", buffering=0) as out, pytest.raises(OSError, match="No space left"):
        while True:
            out.write(bytes(4096))


def test_fault_84_what_a_full_disk_has_of_a_transaction_that_ended_without_it_is_never_published(
    orders: Task, disk: pathlib.Path | None
):
    """This broker ends a transaction while a partition of it has no leader, and leaves it open there (KAFKA-20734): what is
    in the partition would be published with the next one."""
    if disk is None:
        pytest.skip("this machine does not let us mount a file system")
    connector = on_the_other_disk(orders, disk)
    table = next(table for table in tables_on_both(orders, disk) if lies_on(disk, orders.topic(table)))
    ballast = disk / "ballast"
    fill(ballast)
    with open(ballast, "r+b") as file:
        file.truncate(ballast.stat().st_size - FREED_BYTES)
    # Larger than that, in several batches.
    payload = ", ".join(["RANDOM_BYTES(1000)"] * (BATCH_BYTES // 2000))
    ids = list(range(2, 2 + 4 * FREED_BYTES // BATCH_BYTES))
    orders.sql(
        f"INSERT INTO {table} SELECT id, CONCAT({payload}) FROM JSON_TABLE('{ids}', '$[*]' COLUMNS (id INT PATH '$')) AS ids"
    )
    wait_until(lambda: "beginning again" in connector.stderr(), "the run has ended", BACK_WITHIN_SECONDS)
    ballast.unlink()
    start_kafka_again(orders.stack)
    connector.wait_exit(BACK_WITHIN_SECONDS)
    end_what_is_left_open(connector, orders.stack)
    connector.start(ready_within=30)
    assert ids_of(orders.read(table, 1 + len(ids), seconds=BACK_WITHIN_SECONDS)) == [1, *ids]


def end_what_is_left_open(connector: Connector, stack: Stack) -> None:
    """As the connector says that has ended because of it, before it was ready or after."""
    assert connector.wait_exit() in (3, 4)
    assert '"state":"transaction-hanging"' in connector.stderr()
    *_, topic, _, partition, _, offset = error_and_remedy(connector.stderr())[1].split()
    abort = ("abort", "--topic", topic, "--partition", partition, "--start-offset", offset)
    script("kafka-tool", stack.name, "transactions", *abort)


def start_kafka_again(stack: Stack) -> None:
    """It may have ended by itself."""
    stack.stopped["kafka"] = "KILL"
    if stack.lives("kafka"):
        stack.stop("kafka", "KILL")
    stack.start("kafka")


def lies_on(disk: pathlib.Path, topic: str, partition: int | str = "*") -> bool:
    return any(disk.glob(f"{topic}-{partition}"))


def on_the_other_disk(task: Task, disk: pathlib.Path) -> Connector:
    """A connector of a task whose state and transactions, and whose coordinator, do not lie on the disk."""
    # The brokers' own topic of transactions comes with the first.
    Producer({"bootstrap.servers": task.stack.kafka, "transactional.id": "first"}).init_transactions(30)
    names = (f"{task.name}-{number}" for number in range(100))
    task.name = next(
        name for name in names if not lies_on(disk, "__transaction_state", java_hash(f"binlog-bridge.{name}") % 4)
    )
    # New partitions go where there are the fewest.
    fillers = [f"{task.name}-filler-{number}" for number in range(8)]
    for future in task.stack.admin.create_topics([NewTopic(name, 1, 1) for name in fillers]).values():
        future.result()
    other = task.stack.directory / "kafka"
    wait_until(lambda: all(lies_on(disk, name, 0) or lies_on(other, name, 0) for name in fillers), "they are there")
    fillers = [name for name in fillers if lies_on(other, name, 0)]
    for future in task.stack.admin.delete_topics(fillers).values():
        future.result()
    wait_until(lambda: not any(lies_on(other, name, 0) for name in fillers), "they are gone")
    limits = {"transaction_timeout_ms": SOON_MS, "batch_bytes_max": BATCH_BYTES}
    connector = task.connector(limits=limits).start(ready_within=30)
    assert not lies_on(disk, task.state_topic) and not lies_on(disk, task.transactions_topic)
    return connector


def java_hash(text: str) -> int:
    """How Kafka finds the partition of a transactional id."""
    number = 0
    for character in text:
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    return number & 0x7FFFFFFF
