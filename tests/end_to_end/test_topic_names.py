"""Two tables may not share a topic: consumers could not tell their rows apart."""

import pytest

from harness.ending import HALTED, INVALID, REFUSED, ended, refused
from harness.reader import Follower
from harness.task import Task, ids_of

# What becomes one name where Kafka's alphabet ends, and what Kafka itself does not tell apart.
PAIRS = {"replaced": ("a b", "a+b"), "dot": ("a.b", "a_b")}


def create(task: Task, table: str) -> None:
    task.sql(f"CREATE TABLE `{table}` (id INT PRIMARY KEY)")


def topics_with_rows(task: Task) -> list[str]:
    """Of tables."""
    topics = [t for t in task.stack.admin.list_topics(timeout=10).topics if t.startswith(f"{task.name}.{task.database}.")]
    ends = task.stack.end_offsets([(topic, 0) for topic in topics])
    return [topic for (topic, _), end in ends.items() if end > 0]


@pytest.mark.parametrize("pair", PAIRS)
def test_fault_64_two_tables_that_share_a_topic_are_refused_at_the_start(task: Task, pair: str):
    one, other = PAIRS[pair]
    create(task, one)
    create(task, other)
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    task.sql("INSERT INTO orders VALUES (1)")
    refused(task.connector(source={"start": "earliest"}), REFUSED, one, other, "topic_name")
    assert topics_with_rows(task) == []


@pytest.mark.parametrize("pair", PAIRS)
def test_fault_64_a_new_table_that_shares_the_topic_of_another_halts_when_it_is_made(task: Task, pair: str):
    one, other = PAIRS[pair]
    create(task, one)
    connector = task.connector().start(ready_within=30)
    task.sql(f"INSERT INTO `{one}` VALUES (1)")
    create(task, other)
    ended(connector, HALTED, one, other, "topic_name", seconds=20)


@pytest.mark.parametrize("pair", PAIRS)
def test_fault_64_no_row_of_a_table_that_shares_the_topic_of_another_is_published(task: Task, pair: str):
    one, other = PAIRS[pair]
    create(task, one)
    connector = task.connector().start(ready_within=30)
    task.sql(f"INSERT INTO `{one}` VALUES (1)")
    create(task, other)
    task.sql(f"INSERT INTO `{other}` VALUES (2)")
    ended(connector, HALTED, one, other, "topic_name")
    [topic] = topics_with_rows(task)
    with Follower(task.stack, [topic]) as follower:
        assert ids_of(follower.drain().events) == [1]


def test_fault_64_two_tables_that_are_given_one_topic_are_refused(task: Task):
    create(task, "one")
    create(task, "other")
    topic = {"topic_name": f"{task.name}.shared"}
    tables = {f"{task.database}.one": topic, f"{task.database}.other": topic}
    refused(task.connector(kafka={"tables": tables}), INVALID, f"{task.database}.one", f"{task.database}.other", "topic_name")


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_tables_that_differ_in_case_only_are_different_tables(task: Task, metadata: str):
    """Where the server tells case, as it does without `lower_case_table_names`. So does Kafka."""
    other = task.database.upper()
    task.stack.sql(f"CREATE DATABASE {other}")
    names = {(task.database, "orders"): "id INT", (task.database, "Orders"): "id INT, a INT", (other, "orders"): "id INT, b INT"}
    with task.stack.metadata(metadata):
        rules = {"columns": [{"names": [f"{task.database}.Orders.a"], "mask": {"fixed": "***"}}]}
        tables = {f"{task.database}.orders": {"partitions": 2}}
        select = {"databases": [task.database, other], "exclude_tables": [f"{task.database}.ORDERS"]}
        connector = task.connector(select=select, events=rules, kafka={"partitions": 1, "tables": tables}).start(ready_within=30)
        for (database, table), columns in [*names.items(), ((task.database, "ORDERS"), "id INT")]:
            task.stack.sql(f"CREATE TABLE {database}.{table} ({columns}, PRIMARY KEY (id)) CHARSET utf8mb4")
            task.stack.sql(f"INSERT INTO {database}.{table} VALUES ({', '.join('1' for _ in columns.split(','))})")
        task.sql("TRUNCATE Orders")
        task.sql("ALTER TABLE orders ADD c INT")
        task.sql("INSERT INTO orders VALUES (2, 2)")
        task.sql("INSERT INTO Orders VALUES (2, 2)")
        connector.kill()
        task.sql("RENAME TABLE orders TO swap, Orders TO orders, swap TO Orders")
        task.sql("INSERT INTO orders VALUES (3, 3)")
        connector.start(ready_within=30)
        expected = {
            f"{task.database}.orders": [{"id": 1}, {"id": 2, "c": 2}, {"id": 3, "a": 3}],
            f"{task.database}.Orders": [{"id": 1, "a": "***"}, None, {"id": 2, "a": "***"}], f"{other}.orders": [{"id": 1, "b": 1}],
        }
        topics = [f"{task.name}.{name}" for name in expected]
        with Follower(task.stack, topics) as follower:
            follower.until(lambda: len(follower.events) >= 7, "all events")
            for topic, afters in zip(topics, expected.values()):
                events = [event for event in follower.drain().events if event.topic == topic]
                assert sorted(map(str, (event.value["after"] for event in events))) == sorted(map(str, afters)), topic
        assert [len(task.stack.partitions(topic)) for topic in topics] == [2, 1, 1]
        assert not task.stack.partitions(f"{task.name}.{task.database}.ORDERS")
        connector.check_running()
    task.stack.sql(f"DROP DATABASE {other}")
