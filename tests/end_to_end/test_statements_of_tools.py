"""The statements that tools write, followed by the whole program: none of them stops it, and behind each the rows of the
tables that it touches are published with the columns that the server says."""

import pathlib
import re
from dataclasses import dataclass

import pymysql
import pytest

from harness.connector import Connector
from harness.reader import Follower, read_all
from harness.stack import Stack
from harness.task import Task
from test_tracking import files, statements, tables

KIND = "mysql80"
ROWS_AT_LEAST = 200


@dataclass(frozen=True)
class Row:
    """One that was inserted behind a statement, between two places of the binlog."""

    statement: str
    table: str
    columns: list[str]
    begin: tuple[str, int]
    end: tuple[str, int]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_fault_57_no_statement_of_a_tool_stops_the_task(rough_stack: Stack, tasks, tmp_path: pathlib.Path, say, metadata: str):
    with tasks(rough_stack, tmp_path) as task, rough_stack.metadata(metadata):
        connector = task.connector(
            select={"databases": ["tools_*"], "helper_tables": True}, registry={"incompatible": "new_version"},
            events={"schema_updates": True, "types": {"key_dates": "string"}},
        ).start(ready_within=30)
        with Follower(task.stack, [task.transactions_topic]) as ends:
            rows = [row for name in files(KIND) for row in run(task, connector, name, ends)]
        connector.check_running()
        say(f"{len(rows)} rows behind statements of tools")
        assert len(rows) >= ROWS_AT_LEAST
        check(task, rows)


def run(task: Task, connector: Connector, name: str, ends: Follower) -> list[Row]:
    """Runs the statements of a file, and behind each inserts a row into every table that it has changed."""
    stack, database = task.stack, f"tools_{name}"
    rows, known = [], {}
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")
        for other in (database, f"{database}_other"):
            cursor.execute(f"DROP DATABASE IF EXISTS {other}")
        cursor.execute(f"CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4")
        cursor.execute(f"USE {database}")
        for statement in statements(name, database, KIND):
            cursor.execute(statement)
            here = tables(cursor, KIND, database, f"{database}_other")
            touched = [table for table in here if here[table] != known.get(table)]
            known = here
            for table in touched:
                begin = stack.binlog_end()
                columns = [column["name"] for column in here[table]["columns"]]
                if inserted(cursor, table):
                    rows.append(Row(statement, table, columns, begin, stack.binlog_end()))
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
    events = sorted((event.value["source"] | {"after": event.value["after"]} for event in read_all(task.stack, *topics)), key=place)
    for row in rows:
        found = [event for event in events if row.begin <= place(event) < row.end]
        assert len(found) == 1, f"{len(found)} events of the row of {row.table} behind {row.statement}"
        assert f"{found[0]['db']}.{found[0]['table']}" == row.table
        shown = [name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else None for name in row.columns]
        published = [name if known else None for known, name in zip(shown, found[0]["after"], strict=True)]
        assert published == shown, f"behind {row.statement}: {list(found[0]['after'])}"
