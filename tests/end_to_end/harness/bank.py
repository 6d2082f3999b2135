"""The bank on MySQL: its tables, and threads that transfer money all the time."""

import random
import threading
import time

import pymysql

from .ledger import Account
from .stack import Stack

TABLES = ("checking", "savings")
ACCOUNTS = 40  # in each table
OPENING_BALANCE = 1000
CONSTANT = 2 * ACCOUNTS * OPENING_BALANCE

# Between two transfers of a thread. It sets the pace, so that readers written in Python keep up.
PAUSE_SECONDS_MAX = 0.06

# How long the server may be away.
AWAY_SECONDS_MAX = 90


def create_tables(stack: Stack, database: str) -> None:
    for table in TABLES:
        stack.sql(
            f"CREATE TABLE {database}.{table} (id INT PRIMARY KEY, balance BIGINT NOT NULL, version BIGINT NOT NULL)"
        )


def open_accounts(stack: Stack, database: str) -> None:
    """All accounts of both tables in one transaction."""
    with stack.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for table in TABLES:
            rows = ", ".join(f"({account}, {OPENING_BALANCE}, 1)" for account in range(1, ACCOUNTS + 1))
            cursor.execute(f"INSERT INTO {database}.{table} VALUES {rows}")
        connection.commit()


def read_accounts(stack: Stack, database: str) -> dict[Account, tuple[int, int]]:
    return {
        (table, row[0]): (row[1], row[2])
        for table in TABLES for row in stack.sql(f"SELECT id, balance, version FROM {database}.{table}")
    }


class Workload:
    """Transfers in several threads until stopped. What was committed only the server knows: a connection may
    be lost between a commit and its answer."""

    def __init__(
        self, stack: Stack, database: str, seed: int, threads: int = 4, away_seconds_max: float = AWAY_SECONDS_MAX
    ) -> None:
        self.stack, self.database, self.away_seconds_max = stack, database, away_seconds_max
        self.stopping = threading.Event()
        self.problems: list[BaseException] = []
        self.answered = [0] * threads
        self.threads = [threading.Thread(target=self.run, args=(n, random.Random(seed * 1000 + n))) for n in range(threads)]

    def __enter__(self) -> "Workload":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(self.away_seconds_max + 30)

    def check(self) -> None:
        if self.problems:
            raise self.problems[0]

    def run(self, number: int, chance: random.Random) -> None:
        try:
            lost_at = None
            while not self.stopping.is_set():
                try:
                    with self.stack.connect(autocommit=False) as connection:
                        lost_at = None
                        self.transfer_until_stopped(number, chance, connection)
                except (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.InternalError, OSError) as error:
                    lost_at = lost_at or time.monotonic()
                    if time.monotonic() - lost_at > self.away_seconds_max:
                        raise AssertionError(f"MySQL stayed away for {self.away_seconds_max:g} s") from error
                    self.stopping.wait(0.1)
        except BaseException as problem:
            self.problems.append(problem)

    def transfer_until_stopped(self, number: int, chance: random.Random, connection: pymysql.Connection) -> None:
        with connection.cursor() as cursor:
            while not self.stopping.wait(chance.random() * PAUSE_SECONDS_MAX):
                self.transfer(chance, cursor)
                connection.commit()
                self.answered[number] += 1

    def transfer(self, chance: random.Random, cursor: pymysql.cursors.Cursor) -> None:
        """Always first checking, then savings, so that two transfers never wait for each other in a circle."""
        amount = chance.randint(-50, 50)
        for table, change in zip(TABLES, (amount, -amount)):
            cursor.execute(
                f"UPDATE {self.database}.{table} SET balance = balance + %s, version = version + 1 WHERE id = %s",
                (change, chance.randint(1, ACCOUNTS)),
            )
