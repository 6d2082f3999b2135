"""The process: asked to end at a bad moment, put to sleep, started twice."""

import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from harness.connector import Connector
from harness.ending import HALTED, REFUSED, ended
from harness.kafka_proxy import END_TXN, KafkaProxy, Request
from harness.task import Task, ids_of, insert, published
from harness.wait import wait_until

# What a process gets to end in after SIGTERM, where no other length is said.
GRACE_SECONDS = 5
SHORT_GRACE_SECONDS = 1

# For a long check: it sleeps so long, as a machine does that is moved, and the time-out is the default one.
SLEEP_SECONDS = int(os.environ.get("BINLOG_BRIDGE_TEST_SLEEP_SECONDS", "0"))
TRANSACTION_TIMEOUT = {} if SLEEP_SECONDS else {"transaction_timeout_ms": 2000}
HELD_BACK_SECONDS_MAX = SLEEP_SECONDS + 120


@pytest.fixture(scope="module")
def stack(stack_behind_proxy):
    return stack_behind_proxy


@pytest.fixture
def orders(orders: Task, proxy: KafkaProxy) -> Iterator[Task]:
    yield orders
    proxy.check()
    proxy.reset()


def behind(orders: Task, proxy: KafkaProxy) -> Connector:
    """A connector that reaches Kafka through the proxy, and has published a row."""
    connector = orders.connector(
        "first", kafka={"bootstrap_servers": f"127.0.0.1:{proxy.port}"}, limits=TRANSACTION_TIMEOUT,
    ).start(ready_within=30)
    insert(orders, 1)
    published(orders, 1)
    return connector


# Asked to end


def commit_under_way(proxy: KafkaProxy) -> threading.Event:
    """Set when the next EndTxn goes on to the broker."""
    reached = threading.Event()

    def look(request: Request) -> None:
        if request.api_key == END_TXN:
            reached.set()

    proxy.before_request = look
    return reached


@pytest.mark.parametrize("delay_seconds", [1, 60])
def test_fault_89_a_sigterm_during_a_commit_ends_it_in_time_and_costs_no_row(
    orders: Task, proxy: KafkaProxy, say, delay_seconds: int
):
    connector = behind(orders, proxy)
    proxy.answer_delay_seconds = {END_TXN: delay_seconds}
    reached = commit_under_way(proxy)
    insert(orders, 2)
    assert reached.wait(30), connector.tail()
    began = time.monotonic()
    connector.terminate(GRACE_SECONDS)
    say(f"ended after {time.monotonic() - began:.1f} s, the answer to the commit is {delay_seconds} s late")
    proxy.reset()
    insert(orders, 3)
    connector.start(ready_within=60)
    published(orders, 1, 2, 3)


def test_fault_89_a_sigkill_a_second_after_a_sigterm_during_a_commit_costs_no_row(orders: Task, proxy: KafkaProxy):
    connector = behind(orders, proxy)
    proxy.answer_delay_seconds = {END_TXN: 60}
    reached = commit_under_way(proxy)
    insert(orders, 2)
    assert reached.wait(30), connector.tail()
    connector.signal(signal.SIGTERM)
    try:
        connector.process.wait(SHORT_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        connector.kill()
    proxy.reset()
    insert(orders, 3)
    connector.start(ready_within=60)
    published(orders, 1, 2, 3)


@pytest.mark.parametrize("service", ["mysql", "kafka", "registry"])
@pytest.mark.parametrize("answers", ["refuses", "is_silent"])
def test_fault_89_a_sigterm_before_it_is_ready_ends_it_in_time(orders: Task, service: str, answers: str):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answers == "is_silent":
            listener.listen()  # connections are taken, and nobody answers
        port = listener.getsockname()[1]
        away = {
            "mysql": {"source": {"port": port}},
            "kafka": {"kafka": {"bootstrap_servers": f"127.0.0.1:{port}"}},
            "registry": {"registry": {"url": f"http://127.0.0.1:{port}"}},
        }[service]
        connector = orders.connector(**away).start()
        wait_until(lambda: connector.readiness() == 503, lambda: f"/readyz says 503:\n{connector.tail()}")
        connector.terminate(GRACE_SECONDS)


# Put to sleep


class Sleep:
    """Stops the connector (SIGSTOP) when it wants to commit, and keeps that back until it is awake again."""

    def __init__(self, proxy: KafkaProxy, connector: Connector) -> None:
        self.connector = connector
        self.fell_asleep, self.woke_up = threading.Event(), threading.Event()
        self.began = time.monotonic()
        proxy.before_request = self.before_request

    def before_request(self, request: Request) -> None:
        if request.api_key == END_TXN and not self.fell_asleep.is_set():
            self.connector.signal(signal.SIGSTOP)
            self.began = time.monotonic()
            self.fell_asleep.set()
            self.woke_up.wait(HELD_BACK_SECONDS_MAX)

    def until_its_transaction_is_over(self, task: Task) -> None:
        """Until the broker has aborted it, which readers of what is committed wait for."""
        with task.follower("orders") as follower:
            follower.drain(HELD_BACK_SECONDS_MAX)
        time.sleep(max(0.0, self.began + SLEEP_SECONDS - time.monotonic()))  # the length of the check, if it is a long one

    def wake_up(self) -> None:
        self.connector.signal(signal.SIGCONT)
        self.woke_up.set()


@pytest.mark.timeout(SLEEP_SECONDS * 2 + 200)
def test_fault_90_one_that_slept_until_its_transaction_was_over_goes_on_by_itself(orders: Task, proxy: KafkaProxy):
    connector = behind(orders, proxy)
    sleep = Sleep(proxy, connector)
    insert(orders, 2)
    assert sleep.fell_asleep.wait(30), connector.tail()
    sleep.until_its_transaction_is_over(orders)
    published(orders, 1)
    sleep.wake_up()
    insert(orders, 3)
    published(orders, 1, 2, 3)
    connector.wait_ready(60)


@pytest.mark.timeout(SLEEP_SECONDS * 2 + 200)
def test_fault_90_one_that_slept_while_another_took_over_finds_itself_fenced_and_ends_naming_it(orders: Task, proxy: KafkaProxy):
    first = behind(orders, proxy)
    sleep = Sleep(proxy, first)
    insert(orders, 2)
    assert sleep.fell_asleep.wait(30), first.tail()
    sleep.until_its_transaction_is_over(orders)
    second = orders.connector("second").start(ready_within=60)
    insert(orders, 3)
    published(orders, 1, 2, 3)
    sleep.wake_up()
    ended(first, HALTED, "instance", instance_of(second), seconds=60)
    insert(orders, 4)
    published(orders, 1, 2, 3, 4)
    second.check_running()


def test_fault_90_one_that_is_woken_while_another_takes_over_doubles_nothing(orders: Task, proxy: KafkaProxy):
    """Its commit is still on its way, and its transaction is open, when the other begins."""
    first = behind(orders, proxy)
    sleep = Sleep(proxy, first)
    insert(orders, 2)
    assert sleep.fell_asleep.wait(30), first.tail()
    second = orders.connector("second").start()
    sleep.wake_up()
    last = insert_until_ended(orders, first, 3)
    ended(first, HALTED, "instance", instance_of(second))
    published(orders, *range(1, last + 1))
    second.wait_ready(30)


# Started twice


def instance_of(connector: Connector) -> str:
    """The random id with which the latest run of a connector owns the task."""
    start = wait_until(lambda: [line for line in connector.stderr().splitlines() if '"starting"' in line], "it says who it is")
    return start[0].partition('"instance":"')[2].partition('"')[0]


def insert_until_ended(task: Task, connector: Connector, first: int) -> int:
    """Rows from a number on, as an instance finds out that it is fenced when it publishes. Returns the last one."""
    numbers = itertools.count(first)

    def inserted_in_vain() -> int:
        number = next(numbers)
        insert(task, number)
        return 0 if connector.is_running() else number

    return wait_until(inserted_in_vain, lambda: f"it ends by itself:\n{connector.tail()}", 60, every=0.2)


def test_fault_79_each_instance_that_starts_takes_over_and_the_one_before_ends_naming_it(orders: Task):
    newest, last = orders.connector("0").start(ready_within=30), 0
    for number in range(1, 4):
        older, newest = newest, orders.connector(str(number)).start()
        last = insert_until_ended(orders, older, last + 1)
        ended(older, HALTED, "instance", instance_of(newest))
        newest.wait_ready(60)
    published(orders, *range(1, last + 1))


def test_fault_79_an_older_instance_ends_though_nothing_is_to_be_published(orders: Task):
    older = orders.connector("older").start(ready_within=30)
    newer = orders.connector("newer").start(ready_within=30)
    ended(older, HALTED, "instance", instance_of(newer), seconds=20)
    newer.check_running()


@pytest.mark.parametrize("attempt", range(3))
def test_fault_79_of_two_instances_started_at_once_one_goes_on(orders: Task, attempt: int):
    """Chance decides which one, and how far both have come by then; so it is tried some times."""
    both = [orders.connector("one").start(), orders.connector("other").start()]
    numbers = itertools.count(1)

    def one_has_ended() -> bool:
        insert(orders, next(numbers))
        return not all(each.is_running() for each in both)

    wait_until(one_has_ended, lambda: f"one of both ends:\n{both[0].tail()}\n\n{both[1].tail()}", 60, every=0.2)
    loser, winner = sorted(both, key=Connector.is_running)
    # Whether it has been ready for a moment is a matter of chance.
    assert loser.process.returncode in (REFUSED, HALTED)
    ended(loser, loser.process.returncode, "instance", instance_of(winner))
    winner.wait_ready(60)
    last = next(numbers)
    insert(orders, last)
    with orders.follower("orders") as follower:
        follower.until(lambda: follower.events and follower.events[-1].key == {"id": last}, "the last row", 60)
        ids = ids_of(follower.drain().events)
    # `latest` is where the first start found the end.
    assert ids == list(range(ids[0], last + 1))
    winner.check_running()
