"""Partitions that are added to a topic move no key."""

import pytest
import requests
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


# Whether a table has a key that tells rows apart, as MySQL itself judges it.
KEYLESS = {
    "nothing": "(a INT, b VARCHAR(20))", "an index": "(a INT NOT NULL, b VARCHAR(20), KEY (a))",
    "a unique key that may be null": "(a INT, b VARCHAR(20), UNIQUE KEY (a, b))",
    "a unique key of a part": "(a INT NOT NULL, b VARCHAR(20) NOT NULL, UNIQUE KEY (b(3), a))",
}


@pytest.mark.parametrize("what", KEYLESS)
@pytest.mark.parametrize("is_killed", [False, True])
def test_fault_52_rows_of_a_table_without_key_stand_in_partition_0_in_order_and_twice_if_there_are_two(
    task: Task, what: str, is_killed: bool,
):
    task.sql(f"CREATE TABLE bare {KEYLESS[what]}")
    connector = task.connector(kafka={"partitions": 3}).start(ready_within=30)
    # Two rows are alike where the table lets them be.
    alike = 7 if "unique" not in what else 8
    changes = [
        "INSERT INTO bare VALUES (7, 'alike-1'), (1, 'x')", f"INSERT INTO bare VALUES ({alike}, 'alike-1')",
        "UPDATE bare SET b = 'changed' WHERE a = 7 LIMIT 1", "INSERT INTO bare VALUES (2, 'y')", "UPDATE bare SET a = a + 10 WHERE a < 3",
        "DELETE FROM bare WHERE a = 7 LIMIT 1", "DELETE FROM bare",
    ]
    for number, statement in enumerate(changes):
        task.sql(statement)
        if is_killed and number in (1, 4):
            connector.kill()
            connector.start(ready_within=30)
    events = task.read("bare", 11)
    assert {(event.partition, event.key_bytes) for event in events} == {(0, None)}
    shown = [(event.value["op"], *(row and (row["a"], row["b"]) for row in (event.value["before"], event.value["after"]))) for event in events]
    assert shown[:7] == [
        ("c", None, (7, "alike-1")), ("c", None, (1, "x")), ("c", None, (alike, "alike-1")), ("u", (7, "alike-1"), (7, "changed")),
        ("c", None, (2, "y")), ("u", (1, "x"), (11, "x")), ("u", (2, "y"), (12, "y")),
    ]
    assert shown[7][1][0] == 7 and [(op, after) for op, _, after in shown[7:]] == [("d", None)] * 4
    assert sorted(before for _, before, _ in shown[7:]) == sorted([(7, "changed"), (alike, "alike-1"), (11, "x"), (12, "y")])
    places = [(event.value["source"]["file"], event.value["source"]["pos"], event.value["source"]["row"]) for event in events]
    assert places == sorted(places) and len(set(places)) == len(places)
    with pytest.raises(requests.HTTPError):
        task.stack.registry_get(f"subjects/{task.topic('bare')}-key/versions")
