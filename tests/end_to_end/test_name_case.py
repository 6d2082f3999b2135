"""Names of databases and tables on a server that compares them in lower case (`lower_case_table_names` 1 and 2), whatever
case statements and the configuration are written in."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from harness.reader import Event, Follower, read_all, read_state
from harness.stack import Stack
from harness.task import Task


# With 2 the server shows names as they were written, where its files have names in any case; in its binlog they are in lower case.
SERVERS = {1: ["--lower-case-table-names=1"], 2: ["--any-case", "--lower-case-table-names=2"]}


@pytest.fixture(scope="module")
def stack(stacks, request: pytest.FixtureRequest) -> Iterator[Stack]:
    kind = getattr(request, "param", 1)
    with stacks(f"namecase-{kind}", *SERVERS[kind]) as stack:
        assert stack.variable("lower_case_table_names") == kind
        yield stack


# What the server makes of letters is its own affair: Σ is always σ, also at the end of a word, İ is i, and letters that came
# late to Unicode have no other case.
NAMES = {"ORDERS": "orders", "ΟΔΟΣ": "οδοσ", "İL": "il", "STRAẞE": "straẞe", "K ⱯɐÄ": "k Ɐɐä"}


def selected_by(task: Task, name: str) -> dict[str, Any]:
    """A configuration whose names are all in another case than the server's."""
    database = task.database.upper()
    return task.config(
        select={"databases": [], "tables": [f"{database}.{name}", f"{database}.LOG_*"], "exclude_tables": [f"{database}.Log_Secret*"]},
        events={"schema_updates": True, "columns": [{"names": [f"{database}.{name}.MAIL"], "mask": {"fixed": "***"}}]},
        kafka={"tables": {f"{database}.{name}": {"partitions": 3}}},
    )


def statements(name: str) -> list[str]:
    return [
        f"CREATE TABLE `{name}` (Id INT PRIMARY KEY, A INT, B INT, Mail VARCHAR(20)) CHARSET utf8mb4",
        f"INSERT INTO `{name.lower() if name.isascii() else name}` VALUES (1, 1, 2, 'a@b')",
        f"ALTER TABLE `{name}` RENAME COLUMN a TO B, RENAME COLUMN b TO A",
        f"INSERT INTO `{name}` VALUES (2, 1, 2, 'a@b')",
        "CREATE TABLE lOG_Secret (Id INT PRIMARY KEY)",
        "INSERT INTO Log_SECRET VALUES (7)",
        f"RENAME TABLE `{name}` TO LOG_A",
        "INSERT INTO Log_a (Id) VALUES (3)",
        f"ALTER TABLE lOG_A RENAME TO `{name}`, ADD C INT",
        f"INSERT INTO `{name}` VALUES (4, 1, 2, 'a@b', 3)",
        f"TRUNCATE `{name}`",
        f"INSERT INTO `{name}` VALUES (5, 1, 2, 'a@b', 3)",
        f"DROP TABLE `{name}`",
        f"CREATE TABLE `{name}` (Id INT PRIMARY KEY, Mail VARCHAR(20)) CHARSET utf8mb4",
        f"INSERT INTO `{name}` VALUES (6, 'a@b')",
    ]


RUNS = [(1, "ORDERS", metadata, is_killed) for metadata in ("FULL", "MINIMAL") for is_killed in (False, True)]
RUNS += [(1, name, "FULL", False) for name in NAMES if name != "ORDERS"]
# Of other letters MySQL 8.0.31 itself dies there (dict0dict.cc).
RUNS += [(2, "ORDERS", metadata, True) for metadata in ("FULL", "MINIMAL")]


@pytest.mark.parametrize("stack, name, metadata, is_killed", RUNS, indirect=["stack"])
def test_fault_57_names_in_any_case_are_those_that_the_server_keeps(task: Task, name: str, metadata: str, is_killed: bool):
    topic = topic_of(task, NAMES[name])
    with task.stack.metadata(metadata):
        connector = task.connector_with(selected_by(task, name)).start(ready_within=30)
        for number, statement in enumerate(statements(name), 1):
            task.sql(statement)
            if is_killed and number in (3, 9, 11):
                connector.kill()
                connector.start(ready_within=30)
        events = events_of(task, topic, 8)
        assert [event.value["after"] for event in events if event.value["op"] == "c"] == [
            {"Id": 1, "A": 1, "B": 2, "Mail": "***"}, {"Id": 2, "B": 1, "A": 2, "Mail": "***"},
            {"Id": 4, "B": 1, "A": 2, "Mail": "***", "C": 3}, {"Id": 5, "B": 1, "A": 2, "Mail": "***", "C": 3}, {"Id": 6, "Mail": "***"},
        ]
        assert sorted(event.partition for event in events if event.value["op"] == "t") == [0, 1, 2]
        assert {(event.value["source"]["db"], event.value["source"]["table"]) for event in events} == {(task.database, NAMES[name])}
        assert ids_of_log(task) == [3]
        topics = {each for each in task.stack.admin.list_topics(timeout=10).topics if each.lower().startswith(f"{task.name}.{task.database}.")}
        assert topics == {topic, topic_of(task, "log_a")}
        check_told(task, NAMES[name])
        connector.check_running()
    state = read_state(task.stack, task.name)
    kept = {(task.database, table) for table in (NAMES[name], "log_a", "log_secret")}
    assert {key[1:] for key in state if key[0] in ("table", "tracked")} <= kept


def topic_of(task: Task, table: str) -> str:
    return task.topic(re.sub("[^a-z0-9._-]", "_", table))


def events_of(task: Task, topic: str, count: int) -> list[Event]:
    """In the order of the binlog."""
    with Follower(task.stack, [topic]) as follower:
        follower.until(lambda: len(follower.events) >= count, f"{count} events in {topic}")
        events = follower.drain().events
    assert len(events) == count, [event.value["after"] for event in events]
    source = [event.value["source"] for event in events]
    return [event for _, event in sorted(zip([(s["file"], s["pos"], s["row"]) for s in source], events), key=lambda each: each[0])]


def ids_of_log(task: Task) -> list[int]:
    return [event.value["after"]["Id"] for event in events_of(task, topic_of(task, "log_a"), 1)]


def check_told(task: Task, kept: str) -> None:
    told = [event.value for event in read_all(task.stack, f"{task.name}.schema-changes")]
    assert [(change["kind"], [each["name"] for each in change["objects"]]) for change in told] == [
        ("CREATE", [kept]), ("ALTER", [kept]), ("RENAME", [kept, "log_a"]), ("ALTER", ["log_a", kept]), ("TRUNCATE", [kept]),
        ("DROP", [kept]), ("CREATE", [kept]),
    ]
    assert {each["database"] for change in told for each in change["objects"]} == {task.database}
    assert {each["table"] for change in told for each in change["tables"]} == {kept, "log_a"}


@pytest.mark.parametrize("stack", SERVERS, indirect=True)
def test_fault_57_other_objects_are_told_by_the_names_that_the_binlog_has(task: Task):
    """Only databases, tables and views are kept in lower case."""
    task.connector(events={"schema_updates": True}, select={"databases": [task.database.upper()]}).start(ready_within=30)
    for statement in [
        "CREATE TABLE T (Id INT PRIMARY KEY)", "CREATE VIEW Seen AS SELECT 1 AS One", "CREATE INDEX ById ON T (Id)",
        "CREATE TRIGGER Before_T BEFORE INSERT ON T FOR EACH ROW SET @a = 1", "CREATE PROCEDURE Proc() SELECT 1",
        "CREATE FUNCTION Func() RETURNS INT DETERMINISTIC RETURN 1", "CREATE EVENT Yearly ON SCHEDULE EVERY 1 YEAR DO SELECT 1",
        "INSERT INTO t VALUES (1)",
    ]:
        task.sql(statement)
    assert ids_of_t(task) == [1]
    told = [change.value["objects"] for change in read_all(task.stack, f"{task.name}.schema-changes")]
    kept = {each["name"] for each in sum(told, [])}
    queries = {
        "routine_name": "routines WHERE routine_schema", "event_name": "events WHERE event_schema",
        "trigger_name": "triggers WHERE trigger_schema", "LOWER(table_name)": "tables WHERE table_schema",
        "index_name": "statistics WHERE index_name <> 'PRIMARY' AND table_schema",
    }
    said = {row[0] for column, rest in queries.items() for row in task.sql(f"SELECT {column} FROM information_schema.{rest} = %s", task.database)}
    assert kept == said and len(said) == 7


def ids_of_t(task: Task) -> list[int]:
    return [event.value["after"]["Id"] for event in task.read("t", 1)]


# What clients speak in which the name is no UTF-8, or one of another name.
CLIENTS = {"latin1": "größe", "gbk": "大小", "sjis": "大小表", "cp1251": "размер", "utf8mb4": "größe"}


@pytest.mark.parametrize("charset", CLIENTS)
def test_fault_31_57_a_truncate_is_an_event_in_whatever_character_set_its_client_wrote_it(task: Task, charset: str):
    name = CLIENTS[charset]
    task.sql(f"CREATE TABLE `{name}` (id INT PRIMARY KEY)")
    tables = {f"{task.database}.{name}": {"topic_name": f"{task.name}.renamed"}}
    task.connector(kafka={"tables": tables}).start(ready_within=30)
    with task.connect(init_command=f"SET NAMES {charset}") as connection, connection.cursor() as cursor:
        connection.encoding = {"utf8mb4": "utf-8", "sjis": "shift_jis"}.get(charset, charset)
        for statement in f"INSERT INTO `{name}` VALUES (1)", f"TRUNCATE TABLE {name}", f"INSERT INTO `{name}` VALUES (2)":
            cursor.execute(statement)
    with Follower(task.stack, [f"{task.name}.renamed"]) as follower:
        follower.until(lambda: follower.events and follower.events[-1].key == {"id": 2}, "the last row")
        assert [event.value["op"] for event in follower.drain().events] == ["c", "t", "c"]
