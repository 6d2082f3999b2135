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
