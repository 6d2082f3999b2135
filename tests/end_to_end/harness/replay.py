"""Applies events to empty tables and compares what comes out with SELECT."""

import datetime
from collections import Counter
from decimal import Decimal
from typing import Any

from .reader import Event
from .stack import Stack

Row = tuple[tuple[str, Any], ...]  # column names and values


def replay_keyed(events: list[Event]) -> dict[Row, Row]:
    """The rows by key. Each event must fit the state before it."""
    state: dict[Row, Row] = {}
    where: dict[Row, int] = {}
    for event in events:
        op, before, after = event.value["op"], event.value["before"], event.value["after"]
        if op == "t":
            state = {key: row for key, row in state.items() if where[key] != event.partition}
            continue
        key = row_of(event.key)
        where[key] = event.partition
        assert state.get(key) == (row_of(before) if before else None), f"{op} of {key} finds another row before it"
        assert (before is None, after is None) == {"c": (True, False), "u": (False, False), "d": (False, True)}[op]
        if after is None:
            del state[key]
        else:
            state[key] = row_of(after)
            assert all((name, value) in state[key] for name, value in key), f"the key {key} is not that of its row"
    return state


def replay_unkeyed(events: list[Event]) -> Counter[Row]:
    """How often each row is there, for a table without primary key."""
    state: Counter[Row] = Counter()
    for event in events:
        assert event.key is None and event.partition == 0
        if event.value["before"] is not None:
            state[row_of(event.value["before"])] -= 1
        if event.value["after"] is not None:
            state[row_of(event.value["after"])] += 1
        assert min(state.values()) >= 0, "an event removes a row that was not there"
    return +state


def select(stack: Stack, table: str) -> list[Row]:
    """A table's rows as the server returns them, with UTC and zero dates as null."""
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        temporal = {column[0] for column in cursor.description if column[1] in (7, 12)}  # TIMESTAMP, DATETIME
        return [
            tuple((name, from_server(value, name in temporal)) for name, value in zip(names, row))
            for row in cursor.fetchall()
        ]


def from_server(value: Any, temporal: bool) -> Any:
    """The driver gives an impossible date as the text it got."""
    return None if temporal and isinstance(value, str) else value


def row_of(record: dict[str, Any]) -> Row:
    return tuple((name, plain(value)) for name, value in record.items())


def plain(value: Any) -> Any:
    """A decoded value as the driver would return it."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0 and not value.is_signed():
        return int(value) if value == int(value) else value
    return value


def check_equals_select(stack: Stack, table: str, events: list[Event], keyed: bool) -> int:
    """Fails unless the replayed events are the table; returns the number of its rows."""
    rows = select(stack, table)
    replayed = Counter(replay_keyed(events).values()) if keyed else replay_unkeyed(events)
    expected = Counter(rows)
    missing, surplus = expected - replayed, replayed - expected
    assert not missing and not surplus, (
        f"{table}: {sum(missing.values())} rows are missing, {sum(surplus.values())} are too many\n"
        f"missing {first_of(missing)}\ntoo many {first_of(surplus)}"
    )
    return len(rows)


def first_of(rows: Counter[Row]) -> str:
    return "\n".join(str(row)[:600] for row in list(rows)[:2])
