"""Other replicas of the server that have the same server_id. The server ends the dump of the one that came first."""

import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pymysql.constants import COMMAND

from harness.connector import Connector
from harness.reader import Follower
from harness.stack import Stack
from harness.task import Task, ids_of
from harness.wait import wait_until

SERVER_ID = 77001
# A war would go on as long as anybody looks; this is how long the test does.
OBSERVED_SECONDS = 20
# Of each of both in that time: what pauses leave room for that double from 100 ms.
THROWS_MAX = 8


class Replica:
    """A replica that dumps the binlog from its end under a server_id, as one without a uuid does, and stays until it
    is thrown out."""

    def __init__(self, stack: Stack, server_id: int) -> None:
        self.connection = stack.connect()
        file, offset = stack.binlog_end()
        with self.connection.cursor() as cursor:
            cursor.execute("SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32'")
        request = struct.pack("<IHI", offset, 0, server_id) + file.encode()
        self.connection._execute_command(COMMAND.COM_BINLOG_DUMP, request)
        self.error: str | None = None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        try:
            while True:
                self.connection._read_packet()
        except Exception as error:
            self.error = str(error)

    def close(self) -> None:
        try:
            self.connection._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was faster
        self.thread.join(10)


@contextmanager
def replica(stack: Stack, server_id: int) -> Iterator[Replica]:
    one = Replica(stack, server_id)
    try:
        yield one
    finally:
        one.close()


def thrown_out(connector: Connector) -> int:
    return len(re.findall("same server_(?:uuid|id)", connector.stderr()))


def test_fault_18_random_ids_of_two_tasks_never_throw_out_each_other_or_a_replica(orders: Task):
    with replica(orders.stack, 1) as other:
        one = orders.connector("one").start(ready_within=30)
        two = orders.connector("two", task=f"{orders.name}-two").start(ready_within=30)
        orders.sql("INSERT INTO orders VALUES (1)")
        assert ids_of(orders.read("orders", 1)) == [1]
        assert thrown_out(one) == thrown_out(two) == 0 and other.error is None
        assert "beginning again" not in one.stderr() + two.stderr()


def test_fault_18_one_whose_id_another_replica_takes_names_it_and_goes_on(orders: Task):
    connector = orders.connector(source={"server_id": SERVER_ID}).start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1)")
    orders.read("orders", 1)
    with replica(orders.stack, SERVER_ID):
        wait_until(lambda: thrown_out(connector), lambda: f"it is thrown out, and says why:\n{connector.tail()}")
        orders.sql("INSERT INTO orders VALUES (2)")
        assert ids_of(orders.read("orders", 2)) == [1, 2]
    assert "server_id" in connector.stderr()
    connector.wait_ready(60)


@pytest.mark.timeout(OBSERVED_SECONDS + 150)
def test_fault_18_two_tasks_of_one_configured_id_do_not_throw_out_each_other_for_ever(orders: Task, say):
    both = [
        orders.connector(name, task=f"{orders.name}{suffix}", source={"server_id": SERVER_ID}).start(ready_within=30)
        for name, suffix in (("one", ""), ("two", "-two"))
    ]
    end = time.monotonic() + OBSERVED_SECONDS
    number = 0
    while time.monotonic() < end:
        number += 1
        orders.sql("INSERT INTO orders VALUES (%s)", number)
        time.sleep(0.2)  # the pace of the observation
    throws = [thrown_out(each) for each in both]
    say(f"in {OBSERVED_SECONDS} s they were thrown out {throws[0]} and {throws[1]} times")
    for each in both:
        each.check_running()
    for name in (orders.name, f"{orders.name}-two"):
        with Follower(orders.stack, [f"{name}.{orders.database}.orders"]) as follower:
            follower.until(lambda: len(follower.events) >= number, f"{number} rows of {name}", 60)
            assert ids_of(follower.drain().events) == list(range(1, number + 1))
    assert max(throws) <= THROWS_MAX, throws
    assert any("server_id" in line and '"level":"WARN"' in line for each in both for line in each.stderr().splitlines())


def test_fault_18_instances_that_stand_by_for_each_other_keep_the_configured_id(orders: Task):
    settings = {"standby": True, "source": {"server_id": SERVER_ID}}
    first = orders.connector("first", **settings).start(ready_within=30)
    second = orders.connector("second", **settings).start()

    def wait_for(connector: Connector, word: str) -> None:
        wait_until(
            lambda: connector.http_get("readyz") == (200, f"{word}\n"), lambda: f"it is {word}:\n{connector.tail()}", 40
        )

    wait_for(second, "standby")
    first.signal(signal.SIGSTOP)
    try:
        wait_for(second, "ready")
    finally:
        first.signal(signal.SIGCONT)
    wait_for(first, "standby")
    assert thrown_out(first), "the second instance has another id"
    second.terminate()
    wait_for(first, "ready")
    throws = thrown_out(first)
    with replica(orders.stack, SERVER_ID):
        wait_until(lambda: thrown_out(first) > throws, lambda: f"it has the configured id again:\n{first.tail()}")
