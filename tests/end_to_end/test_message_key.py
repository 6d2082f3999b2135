"""`events.message_key`: columns that make the keys of records in the place of the primary key."""

import json
from collections import defaultdict

import pytest

from harness.ending import HALTED, INVALID, ended, refused
from harness.task import Task

CUSTOMERS = 12


def rule(task: Task, table: str, *columns: str) -> dict[str, object]:
    return {"message_key": [{"tables": [f"{task.database}.{table}"], "columns": list(columns)}]}


def in_binlog_order(events: list) -> list:
    """A delete comes before the create that the same row of an update makes."""
    return sorted(events, key=lambda e: (e.value["source"]["pos"], e.value["source"]["row"], e.value["op"] == "c"))


def test_rows_of_one_message_key_are_in_one_partition_in_their_order(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, customer INT, amount INT NOT NULL)")
    connector = task.connector(events=rule(task, "ord*", "Customer"), kafka={"partitions": 4}).start(ready_within=30)
    for number in range(60):
        task.sql("INSERT INTO orders VALUES (%s, %s, %s)", number, number % CUSTOMERS or None, number)
        if number % 20 == 10:
            connector.kill()
            connector.start(ready_within=30)
    task.sql("UPDATE orders SET amount = amount + 1000")
    task.sql("DELETE FROM orders WHERE id >= 30")
    events = task.read("orders", 150, seconds=60)
    places = defaultdict(list)
    for event in events:
        row = event.value["after"] or event.value["before"]
        assert event.key == {"customer": row["customer"]}
        places[row["customer"]].append((event.partition, event.offset, event.value["source"]["pos"]))
    assert len(places) == CUSTOMERS and None in places
    for customer, found in places.items():
        assert len({partition for partition, _, _ in found}) == 1, customer
        assert [pos for _, _, pos in sorted(found)] == sorted(pos for _, _, pos in found), customer
    assert len({event.partition for event in events}) > 1
    schema = task.stack.registry_get(f"subjects/{task.topic('orders')}-key/versions/latest")["schema"]
    assert json.loads(schema)["fields"] == [{"name": "customer", "type": ["null", "int"]}]


def test_an_update_that_changes_it_deletes_the_old_key_and_creates_the_new_one(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, customer INT NOT NULL, region VARCHAR(9) NOT NULL, n INT)")
    task.connector(events=rule(task, "orders", "region", "customer")).start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1, 7, 'north', 0)")
    task.sql("UPDATE orders SET id = 2")
    task.sql("UPDATE orders SET region = 'south', n = 1")
    task.sql("DELETE FROM orders")
    found = [(e.value["op"], e.key["region"], e.key["customer"]) for e in in_binlog_order(task.read("orders", 5))]
    assert found == [
        ("c", "north", 7), ("u", "north", 7), ("d", "north", 7), ("c", "south", 7), ("d", "south", 7),
    ]


def test_a_table_without_a_primary_key_gets_one_for_its_records(task: Task):
    task.sql("CREATE TABLE log (device VARCHAR(9) NOT NULL, line TEXT)")
    task.connector(events=rule(task, "*", "device"), kafka={"partitions": 3}).start(ready_within=30)
    for number in range(30):
        task.sql("INSERT INTO log VALUES (%s, %s)", f"device-{number % 5}", f"line {number}")
    events = task.read("log", 30)
    for device in {event.key["device"] for event in events}:
        mine = [event for event in events if event.key["device"] == device]
        assert len({event.partition for event in mine}) == 1
        lines = [int(event.value["after"]["line"].split()[1]) for event in sorted(mine, key=lambda event: event.offset)]
        assert lines == sorted(lines) and len(lines) == 6


def test_a_column_of_the_key_of_before_is_published_where_the_image_lacks_it(task: Task):
    task.sql("CREATE TABLE t (a INT, b INT, n INT, PRIMARY KEY (a, b))")
    task.connector(events=rule(task, "t", "b")).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 2, 3)")
    with task.connect(init_command="SET binlog_row_image = MINIMAL") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE t SET n = 4")
        cursor.execute("UPDATE t SET a = 5")
    events = in_binlog_order(task.read("t", 3))
    assert [event.key for event in events] == [{"b": 2}] * 3
    images = [(event.value["after"]["a"], event.value["after"]["n"], event.value["source"]["unset_after"]) for event in events]
    assert images == [(1, 3, []), (1, 4, []), (5, None, ["n"])]


def test_a_key_that_is_not_in_the_rows_image_stops_the_task_with_a_remedy(task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, customer INT, n INT)")
    connector = task.connector(events=rule(task, "t", "customer")).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 2, 3)")
    task.read("t", 1)
    with task.connect(init_command="SET binlog_row_image = MINIMAL") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE t SET n = 4")
    ended(connector, HALTED, "key column customer is not in the row's image", "binlog_row_image=FULL", "events.message_key")


def test_a_column_that_is_not_there_stops_the_task_before_any_row(task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    connector = task.connector(events=rule(task, "t", "customer")).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1)")
    ended(connector, HALTED, "has no column customer", "events.message_key")
    assert not task.stack.partitions(task.topic("t"))


# Rules that do not fit what a table was before it was changed, and one that fits it, but in another way than its events.
LATER = {
    "a key of a column that came later": lambda table: {"message_key": [{"tables": [table], "columns": ["customer"]}]},
    "a key of it, and a mask of the old one": lambda table: {
        "message_key": [{"tables": [table], "columns": ["customer"]}], "columns": [{"names": [f"{table}.id"], "mask": {"fixed": "x"}}],
    },
    "a mask of texts": lambda table: {"columns": [{"names": [f"{table}.name"], "mask": {"truncate": 1}}]},
    "another type of a column that is gone": lambda table: {"types": {"bigint_unsigned": "long"}},
}


@pytest.mark.parametrize("is_topic_new", [False, True])
@pytest.mark.parametrize("later", LATER)
def test_a_truncate_asks_nothing_of_what_a_table_was_before_it_was_changed(task: Task, later: str, is_topic_new: bool):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, name INT, u BIGINT UNSIGNED)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 1, 1)")
    task.sql("ALTER TABLE t ADD customer INT, MODIFY name VARCHAR(9), DROP u")
    task.sql("CREATE TABLE behind (id INT PRIMARY KEY)")
    task.sql("INSERT INTO behind VALUES (1)")
    task.read("behind", 1)
    connector.terminate()
    task.sql("TRUNCATE t")
    task.sql("INSERT INTO t VALUES (2, 'name', 7)")
    options = {"registry": {"incompatible": "new_version"}, "events": LATER[later](f"{task.database}.t")}
    table = "t"
    if is_topic_new:
        table = "t.other"
        options["kafka"] = {"tables": {f"{task.database}.t": {"topic_name": task.topic(table)}}}
    task.connector("later", **options).start(ready_within=30)
    key = {"customer": 7} if "key" in later else {"id": 2}
    # Who reads another topic has seen nothing that was removed.
    before = [] if is_topic_new else [("c", {"id": 1}), ("t", None)]
    found = [(event.value["op"], event.key) for event in task.read(table, len(before) + 1)]
    assert found == [*before, ("c", key)]
    versions = task.stack.registry_get(f"subjects/{task.topic(table)}-value/versions")
    assert len(versions) == (1 if is_topic_new else 2), "nothing was registered for the TRUNCATE"


@pytest.mark.parametrize("rule, cause", [
    ({"tables": ["shop.t"], "columns": []}, "names no column"), ({"tables": [], "columns": ["a"]}, "names no table"),
    ({"tables": ["t"], "columns": ["a"]}, "not of the form database.table"), ({"tables": ["s.t"], "columns": ["a", "A"]}, "twice"),
])
def test_a_rule_that_makes_no_sense_is_refused(task: Task, rule: dict, cause: str):
    refused(task.connector(events={"message_key": [rule]}), INVALID, "events.message_key[0]", cause)
