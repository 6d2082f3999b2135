"""Brokers with other settings: they forget soon, make topics by themselves, know the older transactions only."""

from collections.abc import Iterator

import pytest

from harness.ending import HALTED, ended
from harness.kafka_admin import delete_topic, has_feature
from harness.reader import raw_decoder, read_all
from harness.stack import Stack
from harness.task import Task, ids_of, insert
from harness.wait import wait_until

# Longer idle than this, and the brokers know nothing of a producer and its transactional id any more.
FORGOTTEN_AFTER_MS = 2000
FORGETFUL = {
    "transactional.id.expiration.ms": FORGOTTEN_AFTER_MS, "transaction.remove.expired.transaction.cleanup.interval.ms": 200,
    "producer.id.expiration.ms": FORGOTTEN_AFTER_MS, "producer.id.expiration.check.interval.ms": 200,
}
BACK_WITHIN_SECONDS = 90


@pytest.fixture(scope="module")
def stack(stacks) -> Iterator[Stack]:
    """Forgets soon, makes topics that are asked for, and is as old as a broker can be that does not know of a
    transaction's end by its producer's epoch (transaction.version 0)."""
    settings = [f"--kafka={name}={value}" for name, value in FORGETFUL.items()]
    with stacks(
        "settings", *settings, "--kafka=auto.create.topics.enable=true", "--kafka-feature=transaction.version=0"
    ) as stack:
        yield stack


def is_forgotten(task: Task) -> bool:
    """The brokers' own topic of transactions has a deletion as the last word on the transactional id."""
    records = read_all(task.stack, "__transaction_state", decode=raw_decoder)
    mine = [record for record in records if f"binlog-bridge.{task.name}".encode() in (record.key_bytes or b"")]
    return bool(mine) and mine[-1].value_bytes is None


def test_fault_80_a_producer_that_the_brokers_have_forgotten_goes_on_or_begins_anew_and_loses_nothing(orders: Task):
    connector = orders.connector(limits={"checkpoint_interval_ms": 600_000}).start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    wait_until(lambda: is_forgotten(orders), "the brokers have forgotten the transactional id", 60)
    insert(orders, 2)
    assert ids_of(orders.read("orders", 2, seconds=BACK_WITHIN_SECONDS)) == [1, 2]
    insert(orders, 3, 4)
    assert ids_of(orders.read("orders", 4, seconds=BACK_WITHIN_SECONDS)) == [1, 2, 3, 4]
    connector.wait_ready()
    assert connector.runs == 1


def test_fault_81_a_topic_that_is_deleted_is_not_made_again_by_a_broker_that_makes_topics(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    delete_topic(orders.stack, orders.topic("orders"))
    insert(orders, 2)
    ended(connector, HALTED, orders.topic("orders"), "start anew", seconds=60)
    assert not orders.stack.partitions(orders.topic("orders"))


def test_fault_87_with_a_cluster_of_the_older_kind_of_transactions_rows_come_once_though_it_is_killed(orders: Task):
    assert not has_feature(orders.stack, "transaction.version"), "the cluster has the newer kind"
    connector = orders.connector().start(ready_within=30)
    for number in range(1, 31):
        insert(orders, number)
        if number % 6 == 0:
            connector.kill()
            connector.start()
    connector.wait_ready(60)
    assert ids_of(orders.read("orders", 30, seconds=BACK_WITHIN_SECONDS)) == list(range(1, 31))
