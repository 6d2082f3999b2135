"""Somebody does something to the topics while the connector writes to them, or while it is stopped."""

import time

import pytest
from confluent_kafka.admin import NewPartitions

from harness.ending import HALTED, REFUSED, ended, refused
from harness.kafka_admin import delete_records, delete_topic, done, end, make_topic, set_topic, stable_end, write
from harness.proxy import Proxy
from harness.reader import read_all, raw_decoder
from harness.task import Task, ids_of, insert
from harness.wait import wait_until

# Until a topic that was deleted is known to be gone, and not only slow to appear, to the client and to us.
GONE_WITHIN_SECONDS = 40
OPEN_WITHIN_SECONDS_MAX = 15


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, payload BLOB)")
    return task


def stop_in_order(task: Task) -> None:
    """A connector that has published rows 1 and 2 and was stopped."""
    connector = task.connector("before").start(ready_within=30)
    insert(task, 1, 2)
    task.read("orders", 2)
    connector.terminate()


# What the broker does not take


def test_fault_85_a_record_that_is_too_large_for_its_topic_halts_and_nothing_of_its_transaction_is_published(orders: Task):
    orders.sql("CREATE TABLE notes (id INT PRIMARY KEY)")
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.sql("INSERT INTO notes VALUES (1)")
    orders.read("orders", 1)
    set_topic(orders.stack, orders.topic("orders"), max_message_bytes=2000)
    with orders.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes VALUES (2)")
        # Bytes that no compression makes smaller.
        cursor.execute("INSERT INTO orders VALUES (2, CONCAT(%s))" % ", ".join(["RANDOM_BYTES(1000)"] * 10))
        connection.commit()
    ended(connector, HALTED, orders.topic("orders"), "max.message.bytes")
    assert ids_of(orders.read("orders", 1)) == [1]
    assert ids_of(orders.read("notes", 1)) == [1]

    set_topic(orders.stack, orders.topic("orders"), max_message_bytes=2_000_000)
    connector.start(ready_within=30)
    assert ids_of(orders.read("orders", 2)) == [1, 2]
    assert ids_of(orders.read("notes", 2)) == [1, 2]


def test_fault_85_a_row_without_key_for_a_topic_that_was_made_compacted_halts_naming_the_cause(orders: Task):
    orders.sql("CREATE TABLE journal (line INT)")
    connector = orders.connector().start(ready_within=30)
    orders.sql("INSERT INTO journal VALUES (1)")
    orders.read("journal", 1)
    set_topic(orders.stack, orders.topic("journal"), cleanup_policy="compact")
    orders.sql("INSERT INTO journal VALUES (2)")
    ended(connector, HALTED, orders.topic("journal"), "cleanup.policy")
    orders.read("journal", 1)

    set_topic(orders.stack, orders.topic("journal"), cleanup_policy="delete")
    connector.start(ready_within=30)
    assert [event.value["after"]["line"] for event in orders.read("journal", 2)] == [1, 2]


# Topics of tables


def test_fault_81_a_topic_that_is_deleted_in_the_run_halts_and_is_not_made_again(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    delete_topic(orders.stack, orders.topic("orders"))
    insert(orders, 2)
    ended(connector, HALTED, orders.topic("orders"), "start anew", seconds=GONE_WITHIN_SECONDS)
    assert not orders.stack.partitions(orders.topic("orders"))


def test_fault_81_a_topic_that_somebody_made_again_in_the_run_halts_and_gets_no_row(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    delete_topic(orders.stack, orders.topic("orders"))
    make_topic(orders.stack, orders.topic("orders"))
    insert(orders, 2)
    ended(connector, HALTED, orders.topic("orders"), "start anew", seconds=GONE_WITHIN_SECONDS)
    orders.read("orders", 0)


def test_fault_81_a_topic_that_somebody_made_again_between_two_runs_halts_and_gets_no_row(orders: Task):
    stop_in_order(orders)
    delete_topic(orders.stack, orders.topic("orders"))
    make_topic(orders.stack, orders.topic("orders"), partitions=2)
    insert(orders, 3)
    connector = orders.connector("after").start()
    ended(connector, HALTED, orders.topic("orders"), "start anew", seconds=GONE_WITHIN_SECONDS)
    orders.read("orders", 0)


def test_fault_81_partitions_that_are_added_are_told_of_and_move_no_key(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, *range(1, 11))
    orders.read("orders", 10)
    done(orders.stack.admin.create_partitions([NewPartitions(orders.topic("orders"), 4)]))
    wait_until(lambda: len(orders.stack.partitions(orders.topic("orders"))) == 4, "the topic has four partitions")
    insert(orders, *range(11, 21))
    orders.read("orders", 20)
    connector.terminate()
    connector.start(ready_within=30)
    insert(orders, *range(21, 31))
    events = orders.read("orders", 30)
    assert ids_of(events) == list(range(1, 31)) and {event.partition for event in events} == {0}
    warnings = [line for line in connector.stderr().splitlines() if '"WARN"' in line and "partitions" in line]
    assert len(warnings) == 1 and orders.topic("orders") in warnings[0], warnings
    assert connector.metric("unused_partitions") == 3
    orders.sql("ALTER TABLE orders ADD COLUMN note INT")
    insert(orders, 31)
    orders.read("orders", 31)
    assert connector.metric("unused_partitions") == 3


# The topic of the state


@pytest.mark.parametrize("published", [True, False])
def test_fault_82_a_state_topic_that_is_deleted_in_the_run_halts_and_nothing_begins_anew(orders: Task, published: bool):
    connector = orders.connector().start(ready_within=30)
    if published:
        insert(orders, 1)
        orders.read("orders", 1)
    delete_topic(orders.stack, orders.state_topic)
    insert(orders, 2)
    ended(connector, HALTED, "state topic", seconds=GONE_WITHIN_SECONDS)
    orders.read("orders", int(published))


def test_fault_82_a_state_topic_that_was_deleted_between_two_runs_is_not_made_up_for(orders: Task):
    stop_in_order(orders)
    delete_topic(orders.stack, orders.state_topic)
    insert(orders, 3)
    refused(orders.connector("after"), REFUSED, "state topic", "checkpoint")
    orders.read("orders", 2)


def test_fault_82_a_state_topic_that_was_emptied_between_two_runs_is_not_made_up_for(orders: Task):
    stop_in_order(orders)
    delete_records(orders.stack, orders.state_topic, end(orders.stack, orders.state_topic))
    insert(orders, 3)
    refused(orders.connector("after"), REFUSED, "state topic", "deleted")
    orders.read("orders", 2)


def test_fault_82_a_state_topic_that_lost_its_beginning_is_refused_though_it_has_a_checkpoint(orders: Task):
    stop_in_order(orders)
    records = read_all(orders.stack, orders.state_topic, decode=raw_decoder)
    newest = [record.offset for record in records if record.key_bytes == b'["checkpoint"]'][-1]
    delete_records(orders.stack, orders.state_topic, newest)
    insert(orders, 3)
    refused(orders.connector("after"), REFUSED, orders.state_topic)
    orders.read("orders", 2)


@pytest.mark.parametrize("key, value", [
    ("hello", "world"), ('["checkpoint"]', "{}"), ('["unheard", "of"]', "{}"), ('["topic", "x"]', "17"),
])
def test_fault_82_a_record_of_somebody_else_in_the_state_is_refused_by_topic(orders: Task, key: str, value: str):
    connector = orders.connector("before").start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    write(orders.stack, orders.state_topic, key, value)
    connector.kill()
    insert(orders, 2)
    refused(orders.connector("after"), REFUSED, "state topic")
    orders.read("orders", 1)


# Readers


def test_fault_86_a_reader_of_what_is_committed_is_held_back_no_longer_than_a_restart_takes(orders: Task, say):
    topic = orders.topic("orders")
    with Proxy(orders.stack.mysql_port) as mysql:
        connector = orders.connector("first", source={"port": mysql.port}, limits={"batch_bytes_max": 4096})
        connector.start(ready_within=30)
        insert(orders, 1)
        orders.read("orders", 1)
        # A transaction whose beginning arrives, and its end does not.
        mysql.swallow_after(200_000)
        rows = ", ".join(f"({number}, REPEAT('-', 1000))" for number in range(2, 502))
        orders.sql(f"INSERT INTO orders VALUES {rows}")
        wait_until(lambda: end(orders.stack, topic) > 100, "part of the transaction is in the topic")
        held = stable_end(orders.stack, topic)
        assert held <= 2, "nothing is open"
        connector.kill()
    assert stable_end(orders.stack, topic) == held
    began = time.monotonic()
    orders.connector("second").start()
    wait_until(lambda: stable_end(orders.stack, topic) > held, "readers go on", OPEN_WITHIN_SECONDS_MAX)
    say(f"readers of what is committed went on {time.monotonic() - began:.1f} s after the start")
    assert ids_of(orders.read("orders", 501)) == list(range(1, 502))
