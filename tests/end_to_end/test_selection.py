"""`select`: what is published, by names and by patterns."""

from typing import Iterator

import pytest

from harness.ending import REFUSED, refused
from harness.task import Task


@pytest.fixture
def later(task: Task) -> Iterator[str]:
    """The name of a database that is made later, and dropped in the end."""
    name = f"{task.database}_later"
    yield name
    task.stack.sql(f"DROP DATABASE IF EXISTS {name}")


def test_patterns_select_databases_and_tables_that_are_made_later_and_leave_others_out(task: Task, later: str):
    task.sql("CREATE TABLE orders_1 (id INT PRIMARY KEY)")
    select = {
        "databases": [f"{task.database}_*"], "tables": [f"{task.database}.orders_?"],
        "exclude_tables": ["*._*_gho", f"{task.database}_later.secret*"],
    }
    task.connector(select=select).start(ready_within=30)
    task.sql("INSERT INTO orders_1 VALUES (1)")
    for table in ["orders_2", "orders_10", "other", "_orders_gho"]:
        task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY)")
        task.sql(f"INSERT INTO {table} VALUES (1)")
    task.sql(f"CREATE DATABASE {later}")
    for table in ["notes", "secrets", "_notes_gho"]:
        task.sql(f"CREATE TABLE {later}.{table} (id INT PRIMARY KEY)")
        task.sql(f"INSERT INTO {later}.{table} VALUES (1)")
    task.sql("INSERT INTO orders_2 VALUES (2)")
    task.read("orders_1", 1)
    task.read("orders_2", 2)
    topics = {topic for topic in task.stack.admin.list_topics(timeout=10).topics if topic.startswith(f"{task.name}.{task.database}")}
    assert topics == {f"{task.name}.{task.database}.orders_1", f"{task.name}.{task.database}.orders_2", f"{task.name}.{later}.notes"}


def test_tables_that_a_pattern_finds_in_a_new_database_are_refused_if_they_would_share_a_topic(task: Task, later: str):
    task.stack.sql(f"CREATE DATABASE {later}")
    task.stack.sql(f"CREATE TABLE {later}.`a.b` (id INT PRIMARY KEY)")
    task.stack.sql(f"CREATE TABLE {later}.a_b (id INT PRIMARY KEY)")
    refused(task.connector(select={"databases": [f"{task.database}*"]}), REFUSED, "a.b", "a_b", "topic")
