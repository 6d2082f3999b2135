"""`events.schema_updates`: statements that change the schema, in `<task>.schema-changes`."""

from typing import Any

from harness.reader import Event, read_all
from harness.stack import Stack
from harness.task import Task
from harness.wait import wait_until

ON = {"schema_updates": True}


def changes_topic(task: Task) -> str:
    return f"{task.name}.schema-changes"


def changes(task: Task, count: int) -> list[dict[str, Any]]:
    """The values of the first so many records; their keys are checked, and that there are no more once rows behind them are there."""
    found: list[Event] = []

    def are_there() -> bool:
        found[:] = read_all(task.stack, changes_topic(task))
        return len(found) >= count

    wait_until(are_there, lambda: f"{count} changes: {[told(event.value) for event in found]}")
    assert len(found) == count, [told(event.value) for event in found]
    assert all(event.key == {"database": event.value["database"]} and event.partition == 0 for event in found)
    return [event.value for event in found]


def told(change: dict[str, Any]) -> str:
    objects = (f"{each['type']} {each['name']}" for each in change["objects"])
    return f"{change['kind']} {', '.join(objects)}"


def columns(definition: dict[str, Any] | None) -> list[str] | None:
    return definition and [f"{column['name']} {column['type']}" for column in definition["columns"]]


def test_each_statement_on_what_is_selected_is_told_and_none_on_accounts(stack: Stack, task: Task):
    other = f"{task.database}x"
    task.connector(events=ON).start(ready_within=30)
    stack.sql(f"CREATE DATABASE {other}")
    user = f"'{task.database}'@'localhost'"
    statements = [
        "CREATE TABLE t (id INT PRIMARY KEY, c INT)", "ALTER TABLE t ADD d INT, RENAME TO u", "CREATE INDEX i ON u (c)",
        "DROP INDEX i ON u", "CREATE VIEW v AS SELECT 1 AS one", "ALTER VIEW v AS SELECT 2 AS two", "DROP VIEW v",
        "CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW SET @a = 1", "DROP TRIGGER g", "CREATE PROCEDURE p() SELECT 'ä'",
        "DROP PROCEDURE p", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "DROP FUNCTION f",
        "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1", "DROP EVENT e", f"CREATE TABLE {other}.t (id INT)",
        f"CREATE USER {user} IDENTIFIED BY 'secret'", f"GRANT SELECT ON {task.database}.* TO {user}", f"DROP USER {user}",
        "CREATE TEMPORARY TABLE s (id INT)", "ALTER DATABASE CHARACTER SET latin1", "RENAME TABLE u TO t, t TO w",
        "TRUNCATE TABLE w", "CREATE TABLE x AS SELECT 7 AS seven", "DROP TABLE w, x",
        "CREATE TABLE secret (id INT) CONNECTION = 'mysql://me:hush@127.0.0.1/d/t'", "DROP TABLE secret",
    ]
    with task.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    found = changes(task, 22)
    assert [told(change) for change in found] == [
        "CREATE TABLE t", "ALTER TABLE t, TABLE u", "CREATE INDEX i", "DROP INDEX i", "CREATE VIEW v", "ALTER VIEW v", "DROP VIEW v",
        "CREATE TRIGGER g", "DROP TRIGGER g", "CREATE PROCEDURE p", "DROP PROCEDURE p", "CREATE FUNCTION f", "DROP FUNCTION f",
        "CREATE EVENT e", "DROP EVENT e", f"ALTER DATABASE {task.database}", "RENAME TABLE u, TABLE t, TABLE t, TABLE w",
        "TRUNCATE TABLE w", "CREATE TABLE x", "DROP TABLE w, TABLE x", "CREATE TABLE secret", "DROP TABLE secret",
    ]
    texts = [change["statement"] for change in found]
    assert texts[:4] == statements[:4] and "'ä'" in texts[9]
    assert texts[20] is None and not any("hush" in text or "IDENTIFIED" in text for text in texts if text)
    assert all(change["database"] == change["database_in_use"] == task.database for change in found)
    places = [(change["file"], change["pos"]) for change in found]
    assert places == sorted(set(places)) and len({change["gtid"] for change in found}) == 22
    # The rows of a table that was made of others.
    assert [event.value["after"] for event in task.read("x", 1)] == [{"seven": 7}]
    stack.sql(f"DROP DATABASE {other}")


def test_definitions_before_and_after_are_told_as_far_as_they_are_known(stack: Stack, task: Task):
    task.sql("CREATE TABLE old (id INT PRIMARY KEY, c VARCHAR(5) DEFAULT 'x')")
    task.connector(events=ON).start(ready_within=30)
    task.sql("ALTER TABLE old ADD d INT")  # nobody has seen a row of it yet
    task.sql("INSERT INTO old VALUES (1, 'y', 2)")
    task.read("old", 1)
    task.sql("ALTER TABLE old DROP d, ADD e BIGINT UNSIGNED NOT NULL, ADD UNIQUE KEY k (c(3))")
    task.sql("CREATE TABLE new (a INT NOT NULL, b INT AS (a + 1)) CHARSET utf8mb4")
    task.sql("RENAME TABLE new TO newer")
    task.sql("TRUNCATE newer")
    task.sql("DROP TABLE newer")
    first, second, made, renamed, emptied, dropped = changes(task, 6)
    (table,) = first["tables"]
    assert (table["state_before"], table["before"], table["state_after"], table["after"]) == ("UNKNOWN", None, "UNKNOWN", None)
    (table,) = second["tables"]
    assert columns(table["before"]) == ["id int", "c varchar(5)", "d int"]
    assert columns(table["after"]) == ["id int", "c varchar(5)", "e bigint unsigned"]
    assert table["before"]["columns"][1] == {
        "name": "c", "type": "varchar(5)", "nullable": True, "collation": "utf8mb4_0900_ai_ci", "default": "x", "extra": "",
        "expression": None, "default_is_known": True,
    }
    assert [(key["name"], key["unique"]) for key in table["after"]["keys"]] == [("PRIMARY", True), ("k", True)]
    assert table["after"]["keys"][1]["parts"] == [{"column": "c", "prefix": 3}]
    (table,) = made["tables"]
    assert columns(table["after"]) == ["a int", "b int"] and table["before"] is None
    assert table["after"]["columns"][1]["default_is_known"] is False, "how an expression reads only the server knows"
    assert [(each["table"], each["state_before"], each["state_after"]) for each in renamed["tables"]] == [
        ("new", "KNOWN", "GONE"), ("newer", "UNKNOWN", "KNOWN"),
    ]
    (table,) = emptied["tables"]
    assert table["before"] == table["after"] == renamed["tables"][1]["after"]
    (table,) = dropped["tables"]
    assert (table["state_before"], table["state_after"], table["after"]) == ("KNOWN", "GONE", None)


def test_fault_29_a_table_made_of_another_is_told_once_in_the_transaction_of_its_rows(stack: Stack, task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    task.sql("INSERT INTO t VALUES (1), (2), (3)")
    connector = task.connector(events=ON).start(ready_within=30)
    connector.kill()
    task.sql("CREATE TABLE u AS SELECT id, id + 1 AS next FROM t")
    connector.start(ready_within=30)
    events = task.read("u", 3)
    assert [(event.value["after"]["id"], event.value["after"]["next"]) for event in events] == [(1, 2), (2, 3), (3, 4)]
    (change,) = changes(task, 1)
    assert told(change) == "CREATE TABLE u"
    (end,) = [end for end in task.read_ends()]
    assert {change["gtid"], end["gtid"], *(event.value["source"]["gtid"] for event in events)} == {change["gtid"]}
    assert end["event_count"] == 3


def test_changes_may_be_told_without_rows(stack: Stack, task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    connector = task.connector(events={**ON, "data_updates": False}, select={"databases": [], "tables": [f"{task.database}.t"]})
    connector.start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1)")
    task.sql("CREATE TABLE u (id INT)")  # not selected
    task.sql("ALTER TABLE t ADD c INT")
    task.sql("TRUNCATE t")
    assert [told(change) for change in changes(task, 2)] == ["ALTER TABLE t", "TRUNCATE TABLE t"]
    connector.terminate()
    topics = set(stack.admin.list_topics(timeout=10).topics)
    assert changes_topic(task) in topics and task.topic("t") not in topics
    # With rows from here on, and nothing is told again.
    task.sql("ALTER TABLE t ADD d INT")
    connector = task.connector("again", events=ON, select={"databases": [], "tables": [f"{task.database}.t"]}).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (2, 3, 4)")
    assert [event.value["after"] for event in task.read("t", 1)] == [{"id": 2, "c": 3, "d": 4}]
    assert [told(change) for change in changes(task, 3)][2] == "ALTER TABLE t"


def test_what_is_too_large_for_a_record_is_left_out(stack: Stack, task: Task):
    task.connector(events=ON, limits={"record_bytes_max": 100_000}).start(ready_within=30)
    task.sql(f"CREATE PROCEDURE p() COMMENT 'x' BEGIN /* {'long ' * 25_000} */ SELECT 1; END")
    task.sql("CREATE TABLE t (id INT)")
    large, small = changes(task, 2)
    assert (large["statement"], large["left_out"]) == (None, ["definitions", "tables", "statement"])
    assert told(large) == "CREATE PROCEDURE p"
    assert small["left_out"] == [] and small["statement"]


def test_without_the_option_nothing_is_told(stack: Stack, task: Task):
    task.connector().start(ready_within=30)
    task.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    task.sql("INSERT INTO t VALUES (1)")
    task.read("t", 1)
    assert changes_topic(task) not in stack.admin.list_topics(timeout=10).topics
