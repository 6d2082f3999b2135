"""Brokers that take less than they are sent: a quota, and a disk that is full."""

import pathlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.stack import Stack, script
from harness.task import Task, ids_of
from harness.wait import wait_until

QUOTA_BYTES_PER_SECOND = 100_000
# Of the second disk: room for the brokers' own files, and soon full.
DISK_BYTES = 64 * 1024 * 1024
BACK_WITHIN_SECONDS = 90
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
    script("configs", stack.name, *clients, "--add-config", f"producer_byte_rate={bytes_per_second}")
    try:
        yield
    finally:
        script("configs", stack.name, *clients, "--delete-config", "producer_byte_rate")


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
    """The broker gives the disk up, and what lay there has no leader until it has room and is started again."""
    if disk is None:
        pytest.skip("this machine does not let us mount a file system")
    connector = orders.connector(limits={"transaction_timeout_ms": SOON_MS}).start(ready_within=30)
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
    orders.stack.stopped["kafka"] = "KILL"
    if orders.stack.lives("kafka"):
        orders.stack.stop("kafka", "KILL")
    orders.stack.start("kafka")
    for table in tables:
        insert(orders, 5, 1, table)
        assert ids_of(orders.read(table, 5, seconds=BACK_WITHIN_SECONDS)) == [1, 2, 3, 4, 5]
    connector.wait_ready(BACK_WITHIN_SECONDS)
    assert connector.runs == 1


def tables_on_both(task: Task, disk: pathlib.Path) -> list[str]:
    """Tables with a row each, until the topic of one lies on the disk and that of another does not."""
    tables = ["orders"]
    insert(task, 1, 1)
    while True:
        task.read(tables[-1], 1)
        places = {any(disk.glob(f"{task.topic(table)}-*")) for table in tables}
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
