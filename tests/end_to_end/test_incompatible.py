"""`registry.incompatible`: what is done about a change of a table that readers of its old events could not follow."""

import pytest

from harness.connector import error_and_remedy
from harness.reader import read_state
from harness.task import Task
from harness.wait import wait_until

# Text becomes a number, the number a text of another column's, and the key changes.
CHANGES = ["MODIFY c INT", "MODIFY c DATE", "DROP PRIMARY KEY, MODIFY id VARCHAR(9), ADD PRIMARY KEY (id, n)"]
VALUES = ["'7'", "8", "'2026-11-29'", "'2026-11-30'"]


def grow(task: Task, number: int) -> None:
    """The change of this number, and a row behind it."""
    if number:
        task.sql("UPDATE t SET c = NULL")
        task.sql(f"ALTER TABLE t {CHANGES[number - 1]}")
    task.sql(f"INSERT INTO t (id, n, c) VALUES ({number}, {number}, {VALUES[number]})")


def level(task: Task, topic: str) -> str:
    return task.stack.registry_get(f"config/{topic}-value")["compatibilityLevel"]


@pytest.mark.parametrize("is_killed", [False, True])
def test_fault_62_it_is_registered_as_a_new_version_all_the_same(task: Task, is_killed: bool):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, c VARCHAR(20))")
    connector = task.connector(registry={"incompatible": "new_version"}).start(ready_within=30)
    for number in range(len(VALUES)):
        grow(task, number)
        if is_killed:
            connector.kill()
            connector.start(ready_within=30)
    events = task.read("t", 7)
    made = [event for event in events if event.value["op"] == "c"]
    assert [str(event.value["after"]["c"]) for event in made] == ["7", "8", "2026-11-29", "2026-11-30"]
    assert made[-1].key == {"id": "3", "n": 3}
    versions = task.stack.registry_get(f"subjects/{task.topic('t')}-value/versions")
    assert len(versions) == 4 and level(task, task.topic("t")) == "BACKWARD"
    # A change that readers can follow is as ever.
    task.sql("ALTER TABLE t ADD d INT")
    task.sql("INSERT INTO t VALUES (4, 4, NULL, 4)")
    assert task.read("t", 8)[-1].value["after"] == {"id": "4", "n": 4, "c": None, "d": 4}


@pytest.mark.parametrize("is_killed", [False, True])
def test_fault_62_the_table_goes_on_in_another_topic(task: Task, is_killed: bool):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, c VARCHAR(20))")
    connector = task.connector(registry={"incompatible": "new_topic"}).start(ready_within=30)
    for number in range(len(VALUES)):
        grow(task, number)
        if is_killed:
            connector.kill()
            connector.start(ready_within=30)
    # The row is made, and emptied before the next change.
    for version, (table, value) in enumerate(zip(["t", "t.v2", "t.v3", "t.v4"], ["7", "8", "2026-11-29", "2026-11-30"])):
        made, *emptied = [event for event in task.read(table, [2, 2, 2, 1][version]) if event.value["source"]["table"] == "t"]
        assert str(made.value["after"]["c"]) == value, table
        assert all(event.value["op"] == "u" for event in emptied)
        assert len(task.stack.registry_get(f"subjects/{task.topic(table)}-value/versions")) == 1
    # It stays there, also behind a start, and TRUNCATE goes there, too.
    connector.kill()
    task.sql("TRUNCATE t")
    task.sql("ALTER TABLE t ADD d INT")
    task.sql("INSERT INTO t VALUES (4, 4, NULL, 4)")
    connector.start(ready_within=30)
    assert [event.value["op"] for event in task.read("t.v4", 3)] == ["c", "t", "c"]
    state = wait_until(lambda: read_state(task.stack, task.name).get(("table", task.database, "t")), "the state has the table")
    assert state["topic_version"] == 3


def test_fault_62_without_a_choice_it_halts_and_says_what_there_is(task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, c VARCHAR(20))")
    connector = task.connector().start(ready_within=30)
    grow(task, 0)
    grow(task, 1)
    assert connector.wait_exit() == 4
    _, remedy = error_and_remedy(connector.stderr())
    assert "new_version" in remedy and "new_topic" in remedy
    # Chosen then, it goes on where it stopped.
    task.connector("again", registry={"incompatible": "new_topic"}).start(ready_within=30)
    (event,) = task.read("t.v2", 1)
    assert event.value["after"] == {"id": 1, "n": 1, "c": 8}
