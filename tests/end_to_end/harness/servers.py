"""The kinds of server that a test is run on: those in BINLOG_BRIDGE_TEST_SERVERS, all of them in a long check."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pymysql

from .columns import MARIADB, MYSQL, since
from .connector import Connector
from .reader import Event
from .stack import WITHOUT_GTIDS, Stack
from .task import Task
from .wait import wait_until

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


WITH_GTIDS = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
MODES = ("OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON")  # of gtid_mode, which goes one step at a time


def set_gtid_mode(stack: Stack, mode: str) -> None:
    """The next one, as soon as the transactions that it does not allow are over."""
    def is_set() -> bool:
        try:
            stack.sql(f"SET GLOBAL gtid_mode = {mode}")
        except pymysql.MySQLError as error:
            if "ongoing" not in str(error):
                raise
        return stack.variable("gtid_mode") == mode

    wait_until(is_set, f"gtid_mode is {mode}")


@contextmanager
def without_gtids(stack: Stack) -> Iterator[None]:
    """Of MySQL, which so takes what it refuses with them; those of MariaDB stay."""
    if not stack.has_gtids():
        yield
    elif stack.kind == "mysql56":
        restart(stack, *WITHOUT_GTIDS)
        try:
            yield
        finally:
            restart(stack, *WITH_GTIDS)
    else:
        for mode in MODES[-2::-1]:
            set_gtid_mode(stack, mode)
        stack.sql("SET GLOBAL enforce_gtid_consistency = OFF")
        try:
            yield
        finally:
            stack.sql("SET GLOBAL enforce_gtid_consistency = ON")
            for mode in MODES[1:]:
                set_gtid_mode(stack, mode)


def restart(stack: Stack, *options: str) -> None:
    """By SIGKILL, as MySQL 8.0 takes ten seconds to end while somebody reads its binlog."""
    stack.stop("mysql", "KILL")
    stack.start("mysql", *options)
