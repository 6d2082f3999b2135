"""Runs values through a table, and compares the images of its events with what SELECT returned meanwhile."""

import datetime
import re
import struct
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .columns import FLOAT, Column
from .reader import Event
from .task import Task

Rows = dict[int, list[Any]]


@dataclass(frozen=True)
class Steps:
    """What SELECT returned by the row's number: after the inserts, and after the updates."""

    inserted: Rows
    updated: Rows


def create(task: Task, table: str, columns: list[Column], rest: str = "", options: str = "CHARACTER SET utf8mb4") -> None:
    definitions = "".join(f", c{n} {column.definition}" for n, column in enumerate(columns))
    task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY{definitions}{rest}) {options}")


def run(task: Task, table: str, columns: list[Column]) -> Steps:
    """Inserts a row of NULL and one for each value, moves each column to its next value, and deletes all."""
    count = max(len(column.values) for column in columns)
    names = ", ".join(f"c{n}" for n in range(len(columns)))
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        cursor.execute(f"INSERT INTO {table} (id) VALUES (0)")
        for row in range(count):
            values = ", ".join(column.values[row % len(column.values)] for column in columns)
            cursor.execute(f"INSERT INTO {table} (id, {names}) VALUES ({row + 1}, {values})")
        inserted = select(cursor, table, columns)
        for row in range(count):
            changes = ", ".join(f"c{n} = {column.values[(row + 1) % len(column.values)]}" for n, column in enumerate(columns))
            cursor.execute(f"UPDATE {table} SET {changes} WHERE id = {row + 1}")
        # Under another key: a delete and a create.
        cursor.execute(f"UPDATE {table} SET id = -id WHERE id > 0 ORDER BY id DESC")
        updated = select(cursor, table, columns)
        cursor.execute(f"DELETE FROM {table}")
    return Steps(inserted, updated)


def select(cursor: Any, table: str, columns: list[Column]) -> Rows:
    shown = ", ".join(column.select.format(f"c{n}") for n, column in enumerate(columns))
    cursor.execute(f"SELECT id, {shown} FROM {table}")
    return {abs(row[0]): list(row[1:]) for row in cursor.fetchall()}


def is_whole(events: list[Event], steps: Steps) -> bool:
    """Each row is gone for good: those whose key was changed before."""
    return sum(event.value["op"] == "d" and event.value["before"]["id"] <= 0 for event in events) == len(steps.inserted)


def problems(events: list[Event], steps: Steps, columns: list[Column]) -> list[str]:
    """Where the events are not what SELECT returned."""
    found = []
    for value in (event.value for event in events):
        op, before, after = value["op"], value["before"], value["after"]
        if before is not None:
            found += differences(value, "before", steps.inserted if op == "u" else steps.updated, columns)
        if after is not None:
            found += differences(value, "after", steps.inserted if op == "c" and after["id"] >= 0 else steps.updated, columns)
    return found + miscounted(events, steps)


def differences(value: dict[str, Any], image: str, rows: Rows, columns: list[Column]) -> list[str]:
    row, what = value[image], f"{image} {value['op']} of {value[image]['id']}"
    selected = rows[abs(row["id"])]
    found, invalid = [], []
    for n, column in enumerate(columns):
        published, wanted = shown(column, row[f"c{n}"]), expected(column, selected[n])
        if published != wanted or (isinstance(published, float) and str(published) != str(wanted)):
            found.append(f"{what}, {column.sql[:60]}: {str(published)[:100]!r} instead of {str(wanted)[:100]!r}")
        if wanted is None and selected[n] is not None:
            invalid.append(f"c{n}")
    for name, wanted in [("invalid", sorted(invalid)), ("unset", [])]:
        names = sorted(value["source"][f"{name}_{image}"])
        if names != wanted:
            found.append(f"{what}: {name} are {names} instead of {wanted}")
    return found


def miscounted(events: list[Event], steps: Steps) -> list[str]:
    # All but the row of NULL come twice, as their key is changed.
    twice = 2 * len(steps.inserted) - 1
    updates = sum(list(map(str, row)) != list(map(str, steps.updated[number])) for number, row in steps.inserted.items())
    wanted = {"c": twice, "u": updates, "d": twice}
    ops = Counter(event.value["op"] for event in events)
    return [] if ops == Counter(wanted) else [f"{dict(ops)} instead of {wanted}"]


def shown(column: Column, value: Any) -> Any:
    """A published value as SELECT shows it."""
    if value is None:
        return None
    match column.word:
        case "FLOAT" | "DOUBLE" | "REAL":
            return float(value)
        case "BIT":
            return str(int(value)) if isinstance(value, bool) else str(int.from_bytes(value))
        case "TIME":
            sign, value = ("-", -value) if value < 0 else ("", value)
            seconds, micros = divmod(value, 1_000_000)
            return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction(column, micros)}"
        case "DATE":
            return value.isoformat()
        case "DATETIME" | "TIMESTAMP":
            plain = value.replace(tzinfo=None)
            return plain.isoformat(" ", "seconds") + fraction(column, plain.microsecond)
        case "YEAR":
            return f"{value % 100:02}" if column.sql == "YEAR(2)" else f"{value:04}"
        case "SET":
            return ",".join(value)
        case "VECTOR":
            return struct.pack(f"<{len(value)}f", *value).hex().upper()
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, dict):
        return (struct.pack("<I", value["srid"]) + value["wkb"]).hex().upper()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def fraction(column: Column, micros: int) -> str:
    digits = re.search(r"\((\d)\)", column.sql)
    return f".{micros:06}"[: int(digits[1]) + 1] if digits and digits[1] != "0" else ""


def expected(column: Column, value: Any) -> Any:
    """What SELECT showed, with dates that are none as null."""
    if value is None:
        return None
    if column.sql.startswith(("DATE", "TIMESTAMP")):
        year, month, day = (int(part) for part in value[:10].split("-"))
        try:
            datetime.date(year, month, day)
        except ValueError:
            return None
    if column.select == FLOAT:
        return struct.unpack("<f", struct.pack("<f", value))[0] if is_single(column) else value
    if column.sql.startswith("DECIMAL") and Decimal(value) == 0:
        return f"{abs(Decimal(value)):f}"
    return value


def is_single(column: Column) -> bool:
    return column.sql.startswith("FLOAT") and "53" not in column.sql
