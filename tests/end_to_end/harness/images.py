"""Runs values through a table, and compares the images of its events with what SELECT returned meanwhile."""

import datetime
import os
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
    """What SELECT returned by the row's number: after the inserts, after the updates, and under other keys. And in the end the
    history of all rows, where the server keeps one."""

    inserted: Rows
    updated: Rows
    moved: Rows
    history: list[list[Any]]

    def of(self, op: str, image: str, number: int) -> list[Any]:
        """What an image of an event has to be, by what was done to the row of that key."""
        if op == "u":
            rows = self.inserted if image == "before" else self.updated
        elif op == "d":
            rows = self.updated if number > 0 else self.moved
        else:
            rows = self.inserted if number >= 0 else self.moved
        return rows[abs(number)]


def create(task: Task, table: str, columns: list[Column], rest: str = "", options: str = "CHARACTER SET utf8mb4") -> None:
    definitions = "".join(f", c{n} {column.definition}" for n, column in enumerate(columns))
    task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY{definitions}{rest}) {options}")


def run(task: Task, table: str, columns: list[Column], has_history: bool = False) -> Steps:
    """Inserts a row of NULL and one for each value, moves each column to its next value, and deletes all."""
    count = max(len(column.values) for column in columns)
    given = [(n, column.values) for n, column in enumerate(columns) if column.values]
    names = ", ".join(f"c{n}" for n, _ in given)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        cursor.execute(f"INSERT INTO {table} (id) VALUES (0)")
        for row in range(count):
            inserts = ", ".join(values[row % len(values)] for _, values in given)
            cursor.execute(f"INSERT INTO {table} (id, {names}) VALUES ({row + 1}, {inserts})")
        inserted = select(cursor, table, columns)
        for row in range(count):
            changes = ", ".join(f"c{n} = {values[(row + 1) % len(values)]}" for n, values in given)
            cursor.execute(f"UPDATE {table} SET {changes} WHERE id = {row + 1}")
        updated = select(cursor, table, columns)
        # A delete and a create.
        cursor.execute(f"UPDATE {table} SET id = -id WHERE id > 0 ORDER BY id DESC")
        moved = select(cursor, table, columns)
        cursor.execute(f"DELETE FROM {table}")
        history = select_all(cursor, f"{table} FOR SYSTEM_TIME ALL", columns) if has_history else []
    return Steps(inserted, updated, moved, history)


def select(cursor: Any, table: str, columns: list[Column]) -> Rows:
    return {abs(row[0]): row[1:] for row in select_all(cursor, table, columns)}


def select_all(cursor: Any, table: str, columns: list[Column]) -> list[list[Any]]:
    shown = ", ".join(column.select.format(f"c{n}") for n, column in enumerate(columns))
    cursor.execute(f"SELECT id, {shown} FROM {table}")
    return list(map(list, cursor.fetchall()))


def is_whole(events: list[Event], steps: Steps) -> bool:
    """Each row is gone for good: those whose key was changed before."""
    return sum(event.value["op"] == "d" and event.value["before"]["id"] <= 0 for event in events) == len(steps.inserted)


def problems(events: list[Event], steps: Steps, columns: list[Column], kind: str) -> list[str]:
    """Where the events of a kind of server are not what SELECT returned."""
    found = []
    if steps.history:
        events, ended = by_end(events)
        published = [[event.key["id"], *[shown(c, event.value["after"][f"c{n}"]) for n, c in enumerate(columns)]] for event in ended]
        if sorted(map(str, published)) != sorted(map(str, steps.history)) or {event.value["op"] for event in ended} != {"c"}:
            found.append(f"the history is {sorted(map(str, published))} instead of {sorted(map(str, steps.history))}")
    for value in (event.value for event in events):
        for image in ("before", "after"):
            if value[image] is not None:
                found += differences(value, image, steps, columns, kind)
    return found + miscounted(events, steps)


def by_end(events: list[Event]) -> tuple[list[Event], list[Event]]:
    """The events of rows that are there, and those of rows that ended: the end is in the key, and of the others the greatest."""
    def end(event: Event) -> datetime.datetime:
        return next(value for name, value in event.key.items() if name != "id")

    never = max(map(end, events))
    return [event for event in events if end(event) == never], [event for event in events if end(event) != never]


def differences(value: dict[str, Any], image: str, steps: Steps, columns: list[Column], kind: str) -> list[str]:
    row, what = value[image], f"{image} {value['op']} of {value[image]['id']}"
    selected = steps.of(value["op"], image, row["id"])
    is_insert = value["op"] == "c" and row["id"] >= 0
    found, names = [], {"invalid": [], "unset": []}
    for n, column in enumerate(columns):
        published, wanted = shown(column, row[f"c{n}"]), expected(column, selected[n])
        if kind in column.left_out_by and not is_insert:
            wanted = None
            names["unset"].append(f"c{n}")
        elif wanted is None and selected[n] is not None:
            names["invalid"].append(f"c{n}")
        if published != wanted or (isinstance(published, float) and str(published) != str(wanted)):
            found.append(f"{what}, {column.sql[:60]}: {unlike(str(published), str(wanted))}")
    for name, wanted in names.items():
        if sorted(value["source"][f"{name}_{image}"]) != sorted(wanted):
            found.append(f"{what}: {name} are {value['source'][f'{name}_{image}']} instead of {wanted}")
    return found


def unlike(published: str, wanted: str) -> str:
    """Both from a little before the first character that differs."""
    begin = max(len(os.path.commonprefix([published, wanted])) - 20, 0)
    return f"{published[begin:][:100]!r} instead of {wanted[begin:][:100]!r}{f', from character {begin} on' if begin else ''}"


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
