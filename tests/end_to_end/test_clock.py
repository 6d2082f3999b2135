"""Clocks that jump by an hour, in the run: the connector's, the source server's, the broker's."""

import itertools
import pathlib
import time
from collections.abc import Iterator

import pytest

from harness.connector import Connector
from harness.stack import Stack
from harness.task import Task, ids_of, insert
from harness.wait import wait_until

HOUR = 3600
JUMPS = (HOUR, -HOUR, 0)
ROWS = 10
WARNINGS_MAX = 5
BACK_WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def stack(stacks) -> Iterator[Stack]:
    with stacks("clock", "--clock") as stack:
        yield stack


def set_clock(file: pathlib.Path, seconds: int) -> None:
    """In one step, as it is looked at all the time."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.rename(file)


@pytest.mark.parametrize("whose", ["connector", "mysql", "kafka"])
def test_fault_73_a_clock_that_jumps_back_and_forth_costs_no_row_no_order_and_no_alarm(task: Task, whose: str):
    task.sql("CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY)")
    own_clock = task.directory / "clock"
    clock = own_clock if whose == "connector" else task.stack.directory / f"{whose}.clock"
    connector = task.connector().start(ready_within=30, variables={
        "LD_PRELOAD": str(task.stack.directory / "clock.so"), "CLOCK_OFFSET_FILE": str(own_clock),
    })
    rows = itertools.count(1)
    try:
        for offset in JUMPS:
            set_clock(clock, offset)
            wait_until(lambda: is_off(task, connector, next(rows), {whose: offset}), f"the clock is {offset} s off", 60)
            for _ in range(ROWS):
                last = next(rows)
                insert(task, last)
            assert ids_of(task.read("orders", last, seconds=BACK_WITHIN_SECONDS)) == list(range(1, last + 1))
            assert connector.metric("lag_seconds") >= 0
    finally:
        set_clock(clock, 0)
    connector.wait_ready(BACK_WITHIN_SECONDS)
    assert connector.runs == 1
    alarms = [line for line in connector.stderr().splitlines() if '"WARN"' in line or '"ERROR"' in line]
    unexpected = [line for line in alarms if "fewer brokers than copies" not in line]
    assert len(unexpected) <= WARNINGS_MAX, unexpected


def is_off(task: Task, connector: Connector, row: int, offsets: dict[str, int]) -> bool:
    """A row that is inserted now shows the clocks: how late it seems, and when it seems to have come to the broker."""
    connector.check_running()
    insert(task, row)
    events = task.read("orders", row, seconds=BACK_WITHIN_SECONDS)
    late = offsets.get("connector", 0) - offsets.get("mysql", 0)
    ahead = events[-1].timestamp_ms / 1000 - time.time()
    lag = connector.metric("lag_seconds")
    assert lag >= 0
    return abs(lag - max(late, 0)) < HOUR / 4 and abs(ahead - offsets.get("kafka", 0)) < HOUR / 4
