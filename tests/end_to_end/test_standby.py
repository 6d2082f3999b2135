"""Instances that stand by for each other: one runs the task, and when it ends or is lost another goes on."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.connector import Connector, to_yaml
from harness.faults import AFTER_KILL_SECONDS_MAX, AFTER_TERM_SECONDS_MAX
from harness.inserts import Inserts
from harness.reader import Follower, json_decoder
from harness.task import Task, ids_of
from harness.wait import wait_until

pytestmark = pytest.mark.alone


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY)")
    return task


def instance(task: Task, name: str) -> Connector:
    return task.connector(name, standby=True)


def wait_for(connector: Connector, condition, what: str, seconds: float = 30) -> None:
    wait_until(lambda: connector.check_running() or condition(connector), lambda: f"{what}; it printed:\n{connector.tail()}", seconds)


@contextmanager
def pair(task: Task) -> Iterator[tuple[Connector, Connector]]:
    """One that runs the task and one that stands by, under a load that goes on."""
    first, second = instance(task, "first"), instance(task, "second")
    first.start(ready_within=30)
    second.start()
    wait_for(second, Connector.is_standby, "it stands by")
    with Inserts(task, pause_seconds=0.01):
        # Else two that wake up at once may register the same schema at the same moment, which one registry refuses to one of them.
        wait_for(first, lambda connector: '"message":"table prepared"' in connector.stderr(), "it publishes rows")
        yield first, second


def seconds_to_takeover(task: Task, begin) -> float:
    """From the signal to the first checkpoint that the other instance commits, behind its owner record."""
    with Follower(task.stack, [task.state_topic], json_decoder) as follower:
        follower.drain()
        [first] = {event.value["instance"] for event in follower.events if event.key == ["owner"]}

        def is_taken_over() -> bool:
            keys = [
                event.key for event in follower.events
                if event.key == ["checkpoint"] or event.key == ["owner"] and event.value["instance"] != first
            ]
            return ["owner"] in keys and keys[-1] == ["checkpoint"]

        follower.until(lambda: follower.events[-1].key == ["checkpoint"], "rows are published")
        began = time.monotonic()
        begin()
        follower.until(is_taken_over, "the other instance commits a checkpoint", 40)
        return time.monotonic() - began


def check_exactly_once(task: Task) -> None:
    """Once the writer has stopped."""
    count = task.sql("SELECT COUNT(*), MAX(id) FROM orders")[0]
    assert count[0] == count[1]
    assert ids_of(task.read("orders", count[0], 60)) == list(range(1, count[0] + 1))


def test_fault_79_of_two_that_stand_by_one_publishes_and_takes_over_at_once_when_the_other_is_stopped(orders: Task, say):
    with pair(orders) as (first, second):
        assert second.metric("active") == 0
        seconds = seconds_to_takeover(orders, lambda: first.signal(signal.SIGTERM))
        assert first.wait_exit(5) == 0
        wait_for(second, Connector.is_active, "it runs the task")
        assert second.metric("active") == 1
        say(f"first commit {seconds:.2f} s after SIGTERM")
    check_exactly_once(orders)
    assert seconds <= AFTER_TERM_SECONDS_MAX


def test_fault_79_one_that_stands_by_takes_over_when_the_other_is_killed(orders: Task, say):
    with pair(orders) as (first, second):
        seconds = seconds_to_takeover(orders, first.kill)
        wait_for(second, Connector.is_active, "it runs the task")
        say(f"first commit {seconds:.2f} s after SIGKILL")
    check_exactly_once(orders)
    assert seconds <= AFTER_KILL_SECONDS_MAX


def test_fault_90_one_that_slept_while_the_other_took_over_stands_by_when_it_wakes_up(orders: Task):
    with pair(orders) as (first, second):
        first.signal(signal.SIGSTOP)
        try:
            wait_for(second, Connector.is_active, "it runs the task", 40)
        finally:
            first.signal(signal.SIGCONT)
        wait_for(first, Connector.is_standby, "it stands by")
        assert second.is_active(), second.tail()
        # And takes over again.
        second.terminate()
        wait_for(first, Connector.is_active, "it runs the task")
    check_exactly_once(orders)


def test_the_turn_stays_with_the_one_that_has_it_when_others_come_and_go(orders: Task):
    with pair(orders) as (first, second):
        runs = first.stderr().count('"message":"streaming"')
        for name in "third", "fourth":
            other = instance(orders, name).start()
            wait_for(other, Connector.is_standby, "it stands by")
            assert first.is_active() and second.is_standby()
            other.terminate()
        assert first.stderr().count('"message":"streaming"') == runs, first.tail()
    check_exactly_once(orders)


@pytest.mark.parametrize("changed", ["both files", "the file of the one that stands by"])
def test_fault_93_one_that_takes_over_goes_by_its_configuration_file_as_it_is_now(task: Task, changed: str):
    for table in "ab":
        task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY)")
    configs = [task.config(standby=True, select={"databases": [], "tables": [f"{task.database}.a"]}) for _ in range(2)]
    first, second = (task.connector_with(config, name) for config, name in zip(configs, ["first", "second"]))
    first.start(ready_within=30)
    second.start()
    wait_for(second, Connector.is_standby, "it stands by")
    insert_each(task, 1)
    assert ids_of(task.read("a", 1)) == [1]
    told = '"message":"the configuration file has changed"'
    for connector, config in list(zip([first, second], configs))[0 if changed == "both files" else 1 :]:
        new = connector.config_file.with_suffix(".new")
        new.write_text(to_yaml({**config, "select": {"databases": [], "tables": [f"{task.database}.b"]}}))
        new.replace(connector.config_file)
        wait_for(connector, lambda each: told in each.stderr(), "it has seen the file")
    assert second.is_standby()
    if changed == "both files":
        wait_for(first, lambda each: each.stderr().count('"message":"streaming"') == 2, "it goes on with it")
        insert_each(task, 2)
        assert ids_of(task.read("b", 1)) == [2]
    first.kill()
    # Rows that nobody has seen when it takes over.
    insert_each(task, 3)
    wait_for(second, Connector.is_active, "it runs the task")
    insert_each(task, 4)
    expected = [2, 3, 4] if changed == "both files" else [3, 4]
    assert ids_of(task.read("b", len(expected))) == expected and ids_of(task.read("a", 1)) == [1]
    assert second.runs == 1 and second.metric("configuration_refused") == 0
    check_running_again(first, second)


def check_running_again(first: Connector, second: Connector) -> None:
    """The one that was killed stands by from now on."""
    first.start()
    wait_for(first, Connector.is_standby, "it stands by")
    second.check_running()


def insert_each(task: Task, id: int) -> None:
    """A checkpoint behind the row of `a` covers both."""
    for table in "ba":
        task.sql(f"INSERT INTO {table} VALUES ({id})")
