"""The kinds of server that a test is run on: those in BINLOG_BRIDGE_TEST_SERVERS, all of them in a long check."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from .columns import MARIADB, MYSQL, since
from .connector import Connector
from .reader import Event
from .stack import Stack
from .task import Task

KINDS = sorted(os.environ.get("BINLOG_BRIDGE_TEST_SERVERS", "mysql80 mariadb").split(), key=(MYSQL + MARIADB).index)

# A long check leaves nothing out.
IS_LONG = "BINLOG_BRIDGE_TEST_LARGE" in os.environ

# What `metadata_of` calls a server without the setting.
NO_SETTING = "none"
MARKS = "marks"


def metadata_of(kind: str) -> list[str]:
    """What the binlog may say of columns beside their types: all and the least. Servers without the setting say none."""
    if kind in MARIADB:
        return ["FULL", "NO_LOG"]
    return ["FULL", "MINIMAL"] if kind in since("mysql8015", None) else [NO_SETTING]


@contextmanager
def row_metadata(stack: Stack, value: str) -> Iterator[None]:
    with stack.metadata(value) if value != NO_SETTING else nullcontext():
        yield


def make_marks(task: Task) -> None:
    """The table that `events_up_to_now` writes to. It is there before the connector, which so knows it at once."""
    task.sql(f"CREATE TABLE {MARKS} (id INT AUTO_INCREMENT PRIMARY KEY)")


def events_up_to_now(task: Task, connector: Connector, *tables: str, seconds: float = 60) -> dict[str, list[Event]]:
    """All that was published of each table when a row that is written now has come, which is behind all of them."""
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {MARKS} VALUES ()")
        mark = cursor.lastrowid

    def has_come() -> bool:
        connector.check_running()
        return any(event.value["after"]["id"] == mark for event in follower.of(task.topic(MARKS)))

    with task.follower(MARKS, *tables) as follower:
        follower.until(has_come, lambda: f"the mark {mark} comes; the connector printed:\n{connector.tail()}", seconds)
        follower.drain()
        return {table: follower.of(task.topic(table)) for table in tables}
