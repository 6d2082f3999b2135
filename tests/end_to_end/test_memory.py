"""Memory does not depend on the size of a transaction."""

import os
import time
from dataclasses import dataclass

import pytest

from harness.connector import Connector
from harness.reader import Follower, raw_decoder
from harness.task import Task

pytestmark = pytest.mark.alone

MIB = 1024 * 1024
PEAK_BYTES_MAX = 128 * MIB
IDLE_BYTES_MAX = 32 * MIB
IDLE_SECONDS = 5

ROW_BYTES = 4096
SEED_ROWS = 75
DOUBLINGS = 10
ROWS = SEED_ROWS * 2**DOUBLINGS  # 76,800 rows of 4 KiB are 300 MiB
# Twice as many rows as well; `make soak memory` asks for it.
IS_LARGE = "BINLOG_BRIDGE_TEST_LARGE" in os.environ
PEAK_RATIO_MAX = 1.1


@dataclass(frozen=True)
class Payload:
    """What the rows hold, as an expression, and how much of it is in the binlog at least and at most."""

    expression: str
    binlog_share: tuple[float, float]


PLAIN = Payload(f"REPEAT(MD5(RAND()), {ROW_BYTES // 32})", (1, 1.2))
# Half of it is letters for half as many random bytes, half is nothing new: a quarter is left, and somewhat more.
PACKED = {
    "half of it new": Payload(f"CONCAT(HEX(RANDOM_BYTES({ROW_BYTES // 4})), REPEAT('x', {ROW_BYTES // 2}))", (0.25, 0.4)),
    "nothing new": Payload(f"REPEAT('x', {ROW_BYTES})", (0, 0.02)),
}
PACKED_SEED_ROWS = 25
PACKED_SEED_ROWS_LARGE = 125


def test_an_idle_connector_stays_small(task: Task, say):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    task.read("orders", 1)
    time.sleep(IDLE_SECONDS)  # the length of the measurement
    peak = connector.memory_peak_bytes()
    say(f"idle, peak RSS {peak / MIB:.1f} MiB of at most {IDLE_BYTES_MAX / MIB:.0f}")
    assert peak <= IDLE_BYTES_MAX


@pytest.mark.timeout(1200 if IS_LARGE else 400)
def test_a_transaction_of_300_mb_is_followed_in_bounded_memory_and_arrives_once(task: Task, say):
    """On request one of 600 MB too, whole and split, which takes no more memory."""
    peaks = [peak_of_transaction(task, say, "big", ROWS)]
    if IS_LARGE:
        peaks.append(peak_of_transaction(task, say, "bigger", 2 * ROWS))
        peaks.append(peak_of_transaction(task, say, "in_parts", 2 * ROWS, transaction_bytes_max=32 * MIB))
    assert max(peaks) <= PEAK_BYTES_MAX
    assert max(peaks) <= PEAK_RATIO_MAX * min(peaks)


@pytest.mark.timeout(1200 if IS_LARGE else 400)
@pytest.mark.parametrize("payload", ["half of it new", "nothing new"])
def test_fault_45_a_compressed_transaction_is_inflated_in_bounded_memory_and_arrives_once(task: Task, payload: str, say):
    """Of 500 MB on request, else of a fifth; a third of that in the binlog, or next to nothing."""
    task.sql("SET GLOBAL binlog_transaction_compression = ON")
    try:
        rows = (PACKED_SEED_ROWS_LARGE if IS_LARGE else PACKED_SEED_ROWS) * 2**DOUBLINGS
        peak = peak_of_transaction(task, say, "packed", rows, PACKED[payload])
    finally:
        task.sql("SET GLOBAL binlog_transaction_compression = OFF")
    assert peak <= PEAK_BYTES_MAX


def peak_of_transaction(task: Task, say, table: str, rows: int, payload: Payload = PLAIN, **limits: int) -> int:
    """Has a connector of its own follow one transaction, each row of which must arrive once; its peak RSS."""
    task.sql(f"CREATE TABLE {table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, payload MEDIUMTEXT NOT NULL)")
    connector = task.connector(table, limits=limits).start(ready_within=30)
    before = binlog_bytes(task)
    began = time.monotonic()
    transaction = write_big_transaction(task, table, rows, payload.expression)
    written = time.monotonic()
    logged = binlog_bytes(task) - before
    size = read_each_once(task, connector, table, rows)
    arrived = time.monotonic()
    peak = connector.memory_peak_bytes()
    connector.terminate()
    say(
        f"{size / 1e6:.0f} MB in one transaction, {logged / 1e6:.0f} of the binlog, limits {limits}: peak RSS {peak / MIB:.1f} MiB "
        f"of at most {PEAK_BYTES_MAX / MIB:.0f}; written in {written - began:.0f} s, all read {arrived - written:.0f} s later"
    )
    assert size >= rows * ROW_BYTES
    least, most = payload.binlog_share
    assert least <= logged / (rows * ROW_BYTES) <= most
    marks = [mark for mark in task.read_ends() if mark["id"] == transaction]
    assert [mark["event_count"] for mark in marks if mark["status"] == "END"] == [rows]
    assert (len(marks) > 1) == ("transaction_bytes_max" in limits)
    return peak


def read_each_once(task: Task, connector: Connector, table: str, rows: int) -> int:
    """The bytes of all values of a table's topic, each key of which may come once."""
    seen: set[bytes] = set()
    size = 0
    with Follower(task.stack, [task.topic(table)], raw_decoder) as follower:

        def all_seen() -> bool:
            nonlocal size
            for event in follower.events:
                assert event.key_bytes not in seen, f"twice: offset {event.offset}"
                seen.add(event.key_bytes)
                size += len(event.value_bytes)
            follower.events.clear()
            connector.check_running()
            return len(seen) >= rows

        follower.until(all_seen, f"{rows} rows", 400)
        follower.drain()
        all_seen()
    assert len(seen) == rows
    return size


def write_big_transaction(task: Task, table: str, rows: int, payload: str) -> str:
    """Its GTID."""
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        values = ", ".join([f"({payload})"] * (rows >> DOUBLINGS))
        cursor.execute(f"INSERT INTO {table} (payload) VALUES {values}")
        for _ in range(DOUBLINGS):
            cursor.execute(f"INSERT INTO {table} (payload) SELECT {payload} FROM {table}")
        connection.commit()
    server, _, numbers = str(task.stack.variable("gtid_executed")).rpartition(":")
    return f"{server}:{numbers.rpartition('-')[2]}"


def binlog_bytes(task: Task) -> int:
    return sum(row[1] for row in task.sql("SHOW BINARY LOGS"))
