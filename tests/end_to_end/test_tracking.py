"""Statements on tables, as tools write them: what is tracked is what the server says, or is said to be unproven.

On MySQL 8.0 always, on the kinds of server in BINLOG_BRIDGE_TEST_SERVERS in a long check.
"""

import json
import os
import pathlib
import subprocess
from itertools import zip_longest
from typing import Any, Iterator

import pytest
from harness.connector import binary
from harness.stack import WITHOUT_GTIDS, Server, Stack

STATEMENTS = pathlib.Path(__file__).parent / "statements"
KINDS = os.environ.get("BINLOG_BRIDGE_TEST_SERVERS", "mysql80").split()
OPTIONS = {"mysql57": WITHOUT_GTIDS, "mariadb": ()}
DEFINING_AT_LEAST = 300
PROVEN_AT_LEAST = 0.95


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A server of each kind; its `kind` is a word of the marks in the files."""
    if request.param == Stack.kind:
        yield request.getfixturevalue("stack")
        return
    server = Server(f"e2e-{os.getpid()}-{request.param}", request.param)
    try:
        yield server.up(*OPTIONS[request.param])
    finally:
        server.down()


def files(kind: str) -> list[str]:
    """The names of the files for a kind of server: what is for others only begins with one of their names."""
    names = sorted(path.stem for path in STATEMENTS.glob("*.sql"))
    return [name for name in names if name.partition("_")[0] in (kind, name)]


def statements(name: str, database: str, kind: str) -> Iterator[str]:
    """The statements of a file, each of which ends with a semicolon at the end of a line.

    The line `-- servers: mysql80 mariadb` before one says that the others have another syntax.
    """
    text = (STATEMENTS / f"{name}.sql").read_text().replace("{database}", database)
    for part in text.split(";\n"):
        lines = part.splitlines()
        marks = [line.partition(":")[2].split() for line in lines if line.startswith("-- servers:")]
        statement = "\n".join(line for line in lines if not line.startswith("--")).strip(" \n;")
        if statement and all(kind in mark for mark in marks):
            yield statement


def tables(cursor: Any, kind: str, *databases: str) -> dict[str, Any]:
    """What the server says of each table, in the form of `tracked`."""
    found: dict[str, Any] = {}
    marks = ", ".join(["%s"] * len(databases))
    # MariaDB has some collations for several character sets, and their full names elsewhere.
    collations, name = ("collations", "collation_name")
    if kind == "mariadb":
        collations, name = ("collation_character_set_applicability", "full_collation_name")
    cursor.execute(
        f"SELECT table_schema, table_name, l.id FROM information_schema.tables t LEFT JOIN information_schema.{collations} l "
        f"ON l.{name} = t.table_collation WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') "
        f"AND table_schema IN ({marks})", databases)
    for database, table, collation in cursor.fetchall():
        found[f"{database}.{table}"] = {"columns": [], "primary_key": [], "collation": collation}
    cursor.execute(
        f"SELECT table_schema, table_name, column_name, column_type, is_nullable, l.id, column_default, extra "
        f"FROM information_schema.columns c LEFT JOIN information_schema.{collations} l ON l.{name} = c.collation_name "
        f"WHERE table_schema IN ({marks}) ORDER BY table_schema, table_name, ordinal_position", databases)
    for database, table, name, column_type, nullable, collation, default, extra in cursor.fetchall():
        if f"{database}.{table}" in found:
            found[f"{database}.{table}"]["columns"].append({
                "name": name, "type": column_type, "nullable": nullable == "YES", "collation": collation,
                "default": default, "extra": extra})
    for name, table in found.items():
        database, _, table_name = name.partition(".")
        cursor.execute(f"SHOW INDEX FROM `{table_name.replace('`', '``')}` IN `{database}`")
        table["primary_key"] = key_of(cursor.fetchall(), table["columns"])
    return found


def key_of(rows: Any, columns: list[dict[str, Any]]) -> list[str]:
    """The columns of the primary key, or of the first unique key that can stand for it."""
    keys: dict[str, list[Any]] = {}
    for row in rows:
        keys.setdefault(row[2], []).append(row)
    if "PRIMARY" in keys:
        return [row[4] for row in keys["PRIMARY"]]
    nullable = {column["name"] for column in columns if column["nullable"]}
    for parts in keys.values():
        if all(row[1] == 0 and row[4] and row[7] is None and row[4] not in nullable for row in parts):
            return [row[4] for row in parts]
    return []


def differences(tracked: dict[str, Any], said: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What is wrong in what was tracked, and what of the server's tables is unproven."""
    wrong = [f"{name} is no table" for name in tracked if name not in said]
    unproven = [name for name in said if name not in tracked]
    for name, table in tracked.items():
        if name not in said:
            continue
        columns = []
        for column in table["columns"]:
            column = dict(column)
            if column.pop("is_unproven"):
                unproven.append(f"{name}.{column['name']}")
                same = next((other for other in said[name]["columns"] if other["name"] == column["name"]), {})
                column |= {key: same.get(key) for key in ["default", "extra"]}
            columns.append(column)
        wrong += [f"{name}: {what}" for what in unlike({**table, "columns": columns}, said[name])]
    return wrong, unproven


def unlike(tracked: dict[str, Any], said: dict[str, Any]) -> list[str]:
    """What differs between two definitions."""
    found = [f"{what} is tracked as {tracked[what]} and said to be {said[what]}" for what in ["primary_key", "collation"]
             if tracked[what] != said[what]]
    pairs = zip_longest(tracked["columns"], said["columns"])
    return found + [f"column {one} is said to be {other}" for one, other in pairs if one != other]


def test_fault_57_what_tools_write_is_tracked_as_the_server_says(server: Stack, tell):
    seen, proven = 0, 0
    for name in files(server.kind):
        said = run(server, name)
        defining, unproven, wrong = compare(server, name, said)
        print(f"{name}: {len(said)} statements, {defining} define something; after {defining - len(unproven)} all is proven")
        for statement, reason, what in unproven:
            why = f" ({reason})" if reason else ""
            tell(f"  unproven on {server.kind} after {' '.join(statement.split())[:60]!r}: {', '.join(what)}{why}")
        assert not wrong, "\n".join(wrong[:10])
        seen, proven = seen + defining, proven + defining - len(unproven)
    version = server.variable("version").split("-")[0]
    tell(f"{server.kind} {version}: all is proven after {proven} of {seen} statements that define something")
    assert seen >= DEFINING_AT_LEAST and proven >= PROVEN_AT_LEAST * seen


# Where a statement begins and ends in the binlog, its text, and what the server says behind it.
Said = tuple[tuple[str, int], tuple[str, int], str, dict[str, Any]]


def run(server: Stack, name: str) -> list[Said]:
    """Runs the statements of a file."""
    database = f"tracked_{name}"
    said = []
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH BINARY LOGS")
        cursor.execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")
        cursor.execute(f"CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4")
        cursor.execute(f"USE {database}")
        before = server.binlog_end()
        for statement in statements(name, database, server.kind):
            try:
                cursor.execute(statement)
            except Exception as error:
                raise AssertionError(f"{statement}: {error}") from error
            end = server.binlog_end()
            if end != before:
                said.append((before, end, statement, tables(cursor, server.kind, database, f"{database}_other")))
            before = end
    return said


def compare(server: Stack, name: str, said: list[Said]) -> tuple[int, list, list[str]]:
    """How many statements define something, after which of them something that they touch is unproven, and what is wrong."""
    file = server.mysql_data / said[0][0][0]
    command = [binary().parent / "tracked", server.variable("version"), file]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    tracked = [(tuple(line["end"]), line) for line in map(json.loads, lines)]
    defining, unproven, wrong, last = 0, [], [], {}
    for begin, end, statement, here in said:
        touched = {table for table in here if last.get(table) != here[table]}
        last = here
        # Of a table that is filled, rows follow; one statement may be logged as two.
        lines_of = [line for place, line in tracked if begin < place <= end]
        if not lines_of:
            continue
        defining += 1
        found = {table: shown for table, shown in lines_of[-1]["tables"].items() if table.startswith(f"tracked_{name}")}
        bad, doubtful = differences(found, here)
        wrong += [f"after {statement}: {each}" for each in bad]
        # What is not touched is not counted again.
        doubtful = [each for each in doubtful if any(each == table or each.startswith(f"{table}.") for table in touched)]
        if doubtful:
            unproven.append((statement, lines_of[-1]["reason"], doubtful))
    return defining, unproven, wrong
