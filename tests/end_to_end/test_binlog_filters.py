"""A server that leaves statements out of its binlog: rows go by their own database, but statements by the one in use."""

from collections.abc import Iterator

import pytest

from harness.ending import HALTED, ended
from harness.stack import Stack
from harness.task import Task


@pytest.fixture(scope="module")
def stack(stacks) -> Iterator[Stack]:
    with stacks("filters", "--binlog-ignore-db=admin") as stack:
        stack.sql("CREATE DATABASE admin")
        yield stack


def test_definitions_do_not_rely_on_statements_that_may_be_missing(task: Task):
    task.sql("CREATE TABLE notes (id INT PRIMARY KEY, a INT, b INT)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO notes VALUES (1, 2, 3)")
    task.read("notes", 1)
    with task.stack.connect(database="admin") as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {task.database}.notes RENAME COLUMN a TO b, RENAME COLUMN b TO a")
    # With names in the binlog nothing is missed.
    task.sql("INSERT INTO notes VALUES (2, 2, 3)")
    images = [event.value["after"] for event in task.read("notes", 2)]
    assert images == [{"id": 1, "a": 2, "b": 3}, {"id": 2, "b": 2, "a": 3}]
    with task.stack.metadata("MINIMAL"):
        task.sql("INSERT INTO notes VALUES (3, 2, 3)")
    ended(connector, HALTED, "notes", "binlog_ignore_db=admin", "SET PERSIST binlog_row_metadata=FULL")
    assert len(task.read("notes", 2)) == 2
