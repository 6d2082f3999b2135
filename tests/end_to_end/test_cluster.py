"""Three brokers: leaders change, brokers go and come back, and rows arrive once and in order all the while."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import ElectionType, TopicPartition

from harness.connector import Connector
from harness.inserts import Inserts
from harness.kafka_admin import topic_settings
from harness.reader import Follower, raw_decoder
from harness.stack import Stack
from harness.task import Task, ids_of
from harness.wait import wait_until

BROKERS = {1: "kafka", 2: "kafka-2", 3: "kafka-3"}
TRANSACTION_STATE = "__transaction_state"
ARRIVES_WITHIN_SECONDS = 90
# Every leader, and brokers that are killed as well; `make soak brokers` asks for it.
IS_LONG = "BINLOG_BRIDGE_TEST_BROKERS" in os.environ
# What is sent and not answered is given up before that, and only then it is not ready.
SOON_MS = 10_000


@pytest.fixture(scope="module")
def stack(stacks) -> Iterator[Stack]:
    with stacks("cluster", "--kafka-brokers=3") as stack:
        yield stack


@pytest.fixture
def orders(task: Task) -> Iterator[Task]:
    task.sql("CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY)")
    yield task
    task.stack.restore()
    wait_whole(task.stack)


def partition_metadata(stack: Stack, topic: str, partition: int):
    return stack.admin.list_topics(timeout=10).topics[topic].partitions[partition]


def leader(stack: Stack, topic: str, partition: int = 0) -> int:
    return partition_metadata(stack, topic, partition).leader


def is_whole(stack: Stack) -> bool:
    """Every broker is there, and has every copy it should have."""
    metadata = stack.admin.list_topics(timeout=10)
    partitions = [partition for topic in metadata.topics.values() for partition in topic.partitions.values()]
    return len(metadata.brokers) == len(BROKERS) and all(len(each.isrs) == len(each.replicas) for each in partitions)


def wait_whole(stack: Stack) -> None:
    wait_until(lambda: is_whole(stack), "all copies are in sync", 60)


def coordinator_partition(task: Task) -> int:
    """Where the transactional id's coordinator keeps it: Java's hash of the id, without its sign."""
    number = 0
    for character in f"binlog-bridge.{task.name}":
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    return (number & 0x7FFFFFFF) % len(task.stack.partitions(TRANSACTION_STATE))


def check_all(task: Task, connector: Connector, inserts: Inserts) -> None:
    """Each row once, in order, by the process that was started first."""
    events = task.read("orders", inserts.count, seconds=ARRIVES_WITHIN_SECONDS)
    assert ids_of(events) == list(range(1, inserts.count + 1))
    connector.wait_ready(30)


@contextmanager
def flowing(task: Task) -> Iterator[tuple[Inserts, Callable[[], None]]]:
    """Rows are inserted all the while; the second is a wait until those that are there by then have arrived."""
    connector = task.connectors[-1]
    with Inserts(task) as inserts, Follower(task.stack, [task.topic("orders")], raw_decoder) as follower:

        def wait_flow() -> None:
            there = inserts.count + 1

            def arrived() -> bool:
                connector.check_running()
                return len(follower.events) >= there

            follower.until(arrived, f"{there} rows", ARRIVES_WITHIN_SECONDS)

        wait_flow()
        yield inserts, wait_flow


def test_fault_84_topics_that_the_connector_makes_survive_the_loss_of_a_broker(orders: Task):
    orders.connector().start(ready_within=60)
    orders.sql("INSERT INTO orders VALUES ()")
    orders.read("orders", 1)
    for topic in (orders.topic("orders"), orders.transactions_topic, orders.state_topic):
        settings = topic_settings(orders.stack, topic)
        assert len(partition_metadata(orders.stack, topic, 0).replicas) == 3
        assert settings["min.insync.replicas"] == "2" and settings["unclean.leader.election.enable"] == "false"


@pytest.mark.parametrize("which", ["rows", "coordinator", *(["state"] if IS_LONG else [])])
def test_fault_76_77_a_leader_that_is_killed_costs_no_row_and_no_order(orders: Task, which: str):
    stack = orders.stack
    connector = orders.connector().start(ready_within=60)
    with flowing(orders) as (inserts, wait_flow):
        topic, partition = {
            "rows": (orders.topic("orders"), 0), "state": (orders.state_topic, 0),
            "coordinator": (TRANSACTION_STATE, coordinator_partition(orders)),
        }[which]
        before = leader(stack, topic, partition)
        stack.stop(BROKERS[before], "KILL")
        wait_until(lambda: leader(stack, topic, partition) not in (before, -1), "there is another leader", 60)
        wait_flow()
        stack.start(BROKERS[before])
        wait_whole(stack)
        # Back to the leader that is preferred: a change without any broker going away.
        elect(stack, topic, partition)
        wait_flow()
    check_all(orders, connector, inserts)


def elect(stack: Stack, topic: str, partition: int) -> None:
    at = TopicPartition(topic, partition)
    preferred = partition_metadata(stack, topic, partition).replicas[0]
    stack.admin.elect_leaders(ElectionType.PREFERRED, [at]).result(30)
    wait_until(lambda: leader(stack, topic, partition) == preferred, "the preferred copy leads", 30)


@pytest.mark.parametrize("signal", ["TERM", *(["KILL"] if IS_LONG else [])])
def test_fault_76_84_with_two_of_three_brokers_away_it_holds_and_goes_on_when_they_are_back(orders: Task, signal: str):
    """Ended in order they leave a broker that says NOT_ENOUGH_REPLICAS; killed, one that gives no answer."""
    stack = orders.stack
    connector = orders.connector().start(ready_within=60)
    with flowing(orders) as (inserts, wait_flow):
        stack.stop("kafka-2", signal)
        stack.stop("kafka-3", signal)
        before = inserts.count
        wait_until(lambda: inserts.count > before + 20, "rows are inserted meanwhile")
        connector.check_running()
        stack.start("kafka-2", "kafka-3")
        wait_flow()
    check_all(orders, connector, inserts)


def test_fault_76_all_brokers_away_at_once_cost_no_row(orders: Task):
    stack = orders.stack
    connector = orders.connector(limits={"transaction_timeout_ms": SOON_MS}).start(ready_within=60)
    with flowing(orders) as (inserts, wait_flow):
        for service in BROKERS.values():
            stack.stop(service, "KILL")
        before = inserts.count
        wait_until(lambda: inserts.count > before + 20, "rows are inserted meanwhile")
        wait_until(lambda: connector.readiness() == 503, "it is not ready", 90)
        connector.check_running()
        stack.start(*BROKERS.values())
        wait_flow()
    check_all(orders, connector, inserts)
