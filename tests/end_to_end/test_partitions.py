"""Partitions that are added to a topic move no key."""

from confluent_kafka.admin import NewPartitions

from harness.partitioner import partition_of
from harness.reader import Event, read_state
from harness.task import Task
from harness.wait import wait_until

KEYS = 60


def test_keys_keep_their_partition_when_partitions_are_added_before_and_after_a_restart(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, version INT NOT NULL)")
    topic = task.topic("orders")
    connector = task.connector(kafka={"tables": {f"{task.database}.orders": {"partitions": 3}}}).start(ready_within=30)
    insert_and_update_all(task, 1)
    task.read("orders", 2 * KEYS)

    for future in task.stack.admin.create_partitions([NewPartitions(topic, 6)]).values():
        future.result()
    wait_until(lambda: len(task.stack.partitions(topic)) == 6, "the topic has six partitions")
    insert_and_update_all(task, 2)
    task.read("orders", 5 * KEYS)
    connector.terminate()
    connector.start(ready_within=30)
    insert_and_update_all(task, 3)
    check(task, task.read("orders", 9 * KEYS))
    assert partition_count(read_state(task.stack, task.name)[("topic", topic)]) == 3


def insert_and_update_all(task: Task, round_number: int) -> None:
    """The rounds' events: 60 new + 60 updates; 60 + 120; 60 + 180."""
    rows = ", ".join(f"({round_number * 1000 + n}, 1)" for n in range(KEYS))
    task.sql(f"INSERT INTO orders VALUES {rows}")
    task.sql("UPDATE orders SET version = version + 1")


def check(task: Task, events: list[Event]) -> None:
    versions: dict[int, int] = {}
    for event in events:
        assert event.partition == partition_of(event.key_bytes, 3)
        key = event.key["id"]
        assert event.value["after"]["version"] == versions.get(key, 0) + 1, f"{key} is out of order"
        versions[key] = event.value["after"]["version"]
    assert {event.partition for event in events} == {0, 1, 2}
    assert len(versions) == 3 * KEYS


def partition_count(record: dict) -> int:
    """The record's only plain number besides what names the topic."""
    return record["partitions"]
