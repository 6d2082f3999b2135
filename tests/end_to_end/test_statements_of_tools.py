"""The statements that tools write, followed by the whole program: none of them stops it, and behind each the rows of the
tables that it touches are published by the definition that the server says.

On MySQL 8.0 always, on the kinds of server in BINLOG_BRIDGE_TEST_SERVERS in a long check.
"""

import json
import pathlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from harness.connector import Connector
from harness.reader import Event, Follower, read_all
from harness.stack import Stack
from harness.task import Task
from test_tracking import KINDS, OPTIONS, files, statements, tables

ROWS_AT_LEAST = 200


@dataclass(frozen=True)
class Row:
    """One that was inserted behind a statement, between two places of the binlog."""

    statement: str
    table: str
    definition: dict[str, Any]
    begin: tuple[str, int]
    end: tuple[str, int]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, stacks: Callable) -> Iterator[Stack]:
    """A set of servers of each kind."""
    if request.param == Stack.kind:
        yield request.getfixturevalue("rough_stack")
        return
    with stacks(f"tools-{request.param}", f"--server={request.param}", *OPTIONS[request.param]) as stack:
        yield stack


@pytest.mark.timeout(400)
@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_fault_57_no_statement_of_a_tool_stops_the_task(server: Stack, tasks, tmp_path: pathlib.Path, say, metadata: str):
    if metadata == "FULL" and not server.has_variable("binlog_row_metadata"):
        pytest.skip("the binlog of this server never names columns")
    with tasks(server, tmp_path) as task:
        if server.has_variable("binlog_row_metadata"):
            with server.metadata(metadata):
                follow(task, say)
        else:
            follow(task, say)


def follow(task: Task, say: Callable[[str], None]) -> None:
    kind = task.stack.kind
    connector = task.connector(
        select={"databases": ["tools_*"], "helper_tables": True}, registry={"incompatible": "new_version"},
        events={"schema_updates": True, "types": {"key_dates": "string"}},
    ).start(ready_within=30)
    with Follower(task.stack, [task.transactions_topic]) as ends:
        rows = [row for name in files(kind) for row in run(task, connector, name, ends)]
    connector.check_running()
    say(f"{len(rows)} rows behind statements of tools on {kind}")
    assert len(rows) >= ROWS_AT_LEAST
    check(task, rows)


def run(task: Task, connector: Connector, name: str, ends: Follower) -> list[Row]:
    """Runs the statements of a file, and behind each inserts a row into every table that it has changed."""
    stack, database, kind = task.stack, f"tools_{name}", task.stack.kind
    rows, known = [], {}
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")
        for other in (database, f"{database}_other"):
            cursor.execute(f"DROP DATABASE IF EXISTS {other}")
        cursor.execute(f"CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4")
        cursor.execute(f"USE {database}")
        for statement in statements(name, database, kind):
            cursor.execute(statement)
            here = tables(cursor, kind, database, f"{database}_other")
            touched = [table for table in here if here[table] != known.get(table)]
            known = here
            for table in touched:
                begin = stack.binlog_end()
                if inserted(cursor, table):
                    rows.append(Row(statement, table, here[table], begin, stack.binlog_end()))
                    emptied(cursor, table)
                    ends.until(lambda: connector.check_running() or is_behind(ends, begin), f"a row of {table} behind {statement}")
                    ends.events.clear()
    return rows


def inserted(cursor, table: str) -> bool:
    """A row of defaults; false where a table takes none."""
    try:
        return cursor.execute(f"INSERT IGNORE INTO {quoted(table)} () VALUES ()") == 1
    except pymysql.err.MySQLError:
        return False


def emptied(cursor, table: str) -> None:
    """So that no row is in the way of what the next statement adds."""
    cursor.execute("SET SESSION foreign_key_checks = 0")
    cursor.execute(f"DELETE FROM {quoted(table)}")
    cursor.execute("SET SESSION foreign_key_checks = 1")


def quoted(table: str) -> str:
    database, _, name = table.partition(".")
    return f"`{database}`.`{name.replace('`', '``')}`"


def is_behind(ends: Follower, begin: tuple[str, int]) -> bool:
    return any(place(end.value) > begin for end in ends.events)


def place(value: dict) -> tuple[str, int]:
    return value["file"], value["pos"]


def check(task: Task, rows: list[Row]) -> None:
    topics = [topic for topic in task.stack.admin.list_topics(timeout=10).topics if topic.startswith(f"{task.name}.tools_")]
    events = sorted(read_all(task.stack, *topics), key=lambda event: place(event.value["source"]))
    schemas: dict[int, Any] = {}
    for row in rows:
        between = [event for event in events if row.begin <= place(event.value["source"]) < row.end]
        # A sequence of MariaDB that gives a default has rows, too.
        found = [event for event in between if name_of(event) == row.table]
        assert len(found) == 1, f"{len(found)} events of the row of {row.table} behind {row.statement}"
        number = int.from_bytes(found[0].value_bytes[1:5], "big")
        if number not in schemas:
            schemas[number] = json.loads(task.stack.registry_get(f"schemas/ids/{number}")["schema"])
        said = [said_of(column, row.definition) for column in row.definition["columns"]]
        shown = published(schemas[number])
        # MariaDB shows neither the numbers of long unique values nor the period of a table with a history; its keys end with
        # the latter.
        while len(shown) > len(said) and re.match("DB_ROW_HASH_[0-9]", shown[-1][0] or ""):
            shown.pop()
        has_period = [name for name, _, _ in shown[len(said):]] == PERIOD
        shown = shown[:-2] if has_period else shown
        if has_generated_columns_left_out(task.stack, row, shown):
            shown = [(*column, may_be_null) for (*column, _), (_, _, may_be_null) in zip(shown, said, strict=True)]
        assert shown == said, f"behind {row.statement}"
        key = row.definition["primary_key"] + ["row_end"] * has_period
        assert not row.definition["primary_key"] or len(found[0].key) == len(key), f"behind {row.statement}: {found[0].key}"


PERIOD = ["row_start", "row_end"]
# Zero and impossible dates are published as null, but in keys as text.
NULLABLE = ("date", "datetime", "timestamp")


def has_generated_columns_left_out(stack: Stack, row: Row, shown: list[tuple[str | None, str, bool]]) -> bool:
    """MariaDB 11 leaves generated columns out of images of updates and deletes: then all but the key may be null."""
    key = row.definition["primary_key"]
    return stack.kind == "mariadb" and all(may_be_null for name, _, may_be_null in shown if name not in key)


def name_of(event: Event) -> str:
    return "{db}.{table}".format_map(event.value["source"])


def said_of(column: dict[str, Any], definition: dict[str, Any]) -> tuple[str | None, str, bool]:
    """A column's name, its type and whether its field may be null, of what the server says."""
    is_plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", column["name"])
    family = re.match("[a-z]+", column["type"])[0]
    shown = column["type"]
    if family in ("enum", "set"):
        # Names of members are published as they are, not as they are typed.
        shown = without_lost(shown.replace("\\\\", "\\"))
    may_be_null = column["nullable"] or (family in NULLABLE and column["name"] not in definition["primary_key"])
    return column["name"] if is_plain else None, shown, may_be_null


def published(schema: dict[str, Any]) -> list[tuple[str | None, str, bool]]:
    """The same of the schema that a row was published by. Other names are changed, and stand as they are beside."""
    image = next(field for field in schema["fields"] if field["name"] == "before")
    fields = next(kind for kind in image["type"] if kind != "null")["fields"]
    return [
        (None if "mysql.name" in field else field["name"], without_lost(field["mysql.type"]), isinstance(field["type"], list))
        for field in fields
    ]


def without_lost(text: str) -> str:
    """Of names that are not text servers show what they can: question marks, or nothing."""
    return text.replace("\ufffd", "").replace("?", "")
