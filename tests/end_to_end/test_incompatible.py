"""`registry.incompatible`: what is done about a change of a table that readers of its old events could not follow."""

import threading

import pytest

from harness.connector import error_and_remedy
from harness.reader import read_state
from harness.registry_proxy import RegistryProxy
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


@pytest.mark.parametrize("is_killed", [False, True])
def test_fault_62_another_topic_is_remembered_though_the_table_itself_did_not_change(task: Task, is_killed: bool):
    """A number that is masked as text is another type for readers; the table is the one that it was."""
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, c VARCHAR(20))")
    task.connector("plain").start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 1, 'one')")
    assert task.read("t", 1)[0].value["after"] == {"id": 1, "n": 1, "c": "one"}
    end(task, is_killed)
    masked = {"columns": [{"names": [f"{task.database}.t.n"], "mask": {"fixed": "***"}}]}
    task.connector("masked", events=masked, registry={"incompatible": "new_topic"}).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (2, 2, 'two')")
    assert task.read("t.v2", 1)[0].value["after"] == {"id": 2, "n": "***", "c": "two"}
    end(task, is_killed)
    connector = task.connector("halting", events=masked, registry={"incompatible": "halt"}).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (3, 3, 'three')")
    task.sql("ALTER TABLE t DROP COLUMN c")
    task.sql("INSERT INTO t VALUES (4, 4)")
    events = task.read("t.v2", 3)
    assert [event.value["after"] for event in events[1:]] == [{"id": 3, "n": "***", "c": "three"}, {"id": 4, "n": "***"}]
    task.read("t", 1)
    assert not task.stack.partitions(task.topic("t.v3"))
    connector.check_running()
    assert read_state(task.stack, task.name)[("table", task.database, "t")]["topic_version"] == 1


def end(task: Task, is_killed: bool) -> None:
    connector = task.connectors[-1]
    connector.kill() if is_killed else connector.terminate()


# A request that the registry never gets while the check of the subject is off: the schema itself, or the check put back.
LOST = {"the schema": ("POST", "subjects/{}/versions"), "the check": ("PUT", "config/{}")}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("level_of_others", ["NONE", "BACKWARD"])
def test_fault_62_88_a_subject_whose_check_was_off_when_it_was_killed_is_checked_again(
    task: Task, lost: str, is_killed: bool, level_of_others: str,
):
    """Also where the registry's own level is another than that of the subject: then the subject says of itself that it is off."""
    subject = f"{task.topic('t')}-value"
    method, path = LOST[lost]
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, c VARCHAR(20))")
    with RegistryProxy(task.stack.registry) as registry:
        connector = task.connector(registry={"incompatible": "new_version", "url": registry.url}).start(ready_within=30)
        grow(task, 0)
        task.sql("UPDATE t SET c = NULL")
        # Behind that a run begins with a row of the new schema.
        task.read("t", 2)
        assert level(task, task.topic("t")) == "BACKWARD"
        lost_requests, killed = [], threading.Event()

        def answer_for_others(asked: str, at: str):
            return (200, {"compatibilityLevel": level_of_others}) if asked == "GET" and at.endswith("/config") else None

        def answer(asked: str, at: str):
            is_off = level(task, task.topic("t")) == "NONE"
            if not (is_off and asked == method and at.partition("?")[0].endswith(f"/{path.format(subject)}")):
                return answer_for_others(asked, at)
            lost_requests.append(at)
            if is_killed:
                killed.wait()
            return 503, {"error_code": 503, "message": "Service Unavailable"}

        registry.answer = answer
        task.sql(f"ALTER TABLE t {CHANGES[0]}")
        task.sql(f"INSERT INTO t VALUES (1, 1, {VALUES[1]})")
        wait_until(lambda: lost_requests, lambda: f"a request is lost while the check is off: {registry.asked}")
        if is_killed:
            connector.kill()
            killed.set()
        # Without its schema it would have put the check back itself.
        if is_killed or lost == "the check":
            assert level(task, task.topic("t")) == "NONE"
        registry.answer = answer_for_others
        if is_killed:
            connector.start(ready_within=30)
        made = [event.value["after"] for event in task.read("t", 3) if event.value["op"] == "c"]
        assert made == [{"id": 0, "n": 0, "c": "7"}, {"id": 1, "n": 1, "c": 8}]
        wait_until(lambda: level(task, task.topic("t")) == "BACKWARD", "the subject is checked again")
        assert len(task.stack.registry_get(f"subjects/{subject}/versions")) == 2
        connector.check_running()
