"""Memory does not depend on the size of a transaction."""

import time

import pytest

from harness.reader import Follower, raw_decoder
from harness.task import Task
from harness.wait import wait_until

MIB = 1024 * 1024
PEAK_BYTES_MAX = 128 * MIB
IDLE_BYTES_MAX = 32 * MIB
IDLE_SECONDS = 5

ROW_BYTES = 4096
SEED_ROWS = 75
DOUBLINGS = 10
ROWS = SEED_ROWS * 2**DOUBLINGS  # 76,800 rows of 4 KiB are 300 MiB


def test_an_idle_connector_stays_small(task: Task, say):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    task.read("orders", 1)
    time.sleep(IDLE_SECONDS)  # the length of the measurement
    peak = connector.memory_peak_bytes()
    say(f"idle, peak RSS {peak / MIB:.1f} MiB of at most {IDLE_BYTES_MAX / MIB:.0f}")
    assert peak <= IDLE_BYTES_MAX


@pytest.mark.timeout(400)
def test_a_transaction_of_300_mb_is_followed_in_bounded_memory_and_arrives_once(task: Task, say):
    task.sql("CREATE TABLE big (id BIGINT AUTO_INCREMENT PRIMARY KEY, payload MEDIUMTEXT NOT NULL)")
    connector = task.connector().start(ready_within=30)
    before = binlog_bytes(task)
    began = time.monotonic()
    write_big_transaction(task)
    written = time.monotonic()
    with Follower(task.stack, [task.topic("big")], raw_decoder) as follower:
        seen: set[bytes] = set()
        size = 0

        def all_seen() -> bool:
            nonlocal size
            for event in follower.events:
                assert event.key_bytes not in seen, f"twice: offset {event.offset}"
                seen.add(event.key_bytes)
                size += len(event.value_bytes)
            follower.events.clear()
            connector.check_running()
            return len(seen) >= ROWS

        follower.until(all_seen, f"{ROWS} rows", 180)
        arrived = time.monotonic()
        follower.drain()
        all_seen()
    peak = connector.memory_peak_bytes()
    say(
        f"{(binlog_bytes(task) - before) / 1e6:.0f} MB in one transaction: peak RSS {peak / MIB:.1f} MiB of at most "
        f"{PEAK_BYTES_MAX / MIB:.0f}; written in {written - began:.0f} s, all read {arrived - written:.0f} s later"
    )
    assert len(seen) == ROWS
    assert size >= ROWS * ROW_BYTES
    assert binlog_bytes(task) - before >= 300_000_000
    end = wait_until(lambda: task.read_ends(), "the END record")
    assert [record["event_count"] for record in end] == [ROWS]
    assert peak <= PEAK_BYTES_MAX


def write_big_transaction(task: Task) -> None:
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        payload = f"REPEAT(MD5(RAND()), {ROW_BYTES // 32})"
        cursor.execute("INSERT INTO big (payload) VALUES " + ", ".join([f"({payload})"] * SEED_ROWS))
        for _ in range(DOUBLINGS):
            cursor.execute("INSERT INTO big (payload) SELECT payload FROM big")
        connection.commit()


def binlog_bytes(task: Task) -> int:
    return sum(row[1] for row in task.sql("SHOW BINARY LOGS"))
