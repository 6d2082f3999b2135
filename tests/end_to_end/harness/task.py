"""What nearly every test has: one task of the connector and a database that it follows."""

import pathlib
from typing import Any

from .connector import Connector, free_address
from .reader import Follower, read_all, read_checkpoint, state_topic
from .stack import PASSWORD, USER, Stack

# Stands in rows of tests; nothing the connector prints may hold it.
ROW_CANARY = "canary-of-a-row-5e1f08"


class Task:
    """A task's name, its database, and its connectors (usually one)."""

    def __init__(self, stack: Stack, name: str, database: str, directory: pathlib.Path) -> None:
        self.stack, self.name, self.database, self.directory = stack, name, database, directory
        self.connectors: list[Connector] = []
        stack.sql(f"CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4")

    def sql(self, statement: str, *arguments: Any) -> tuple[tuple[Any, ...], ...]:
        """Runs a statement in the task's database."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return cursor.fetchall()

    def connect(self, **options: Any):
        return self.stack.connect(database=self.database, **options)

    def config(self, **changes: Any) -> dict[str, Any]:
        """A configuration that follows the task's database. A change is merged into its section."""
        config = {
            "task": self.name,
            "source": {
                "host": "127.0.0.1", "port": self.stack.mysql_port, "user": USER, "password": PASSWORD,
                "tls": {"mode": "off"}, "start": "latest", "heartbeat_interval_ms": 500, "silence_timeout_ms": 10000,
            },
            "select": {"databases": [self.database]},
            "kafka": {"bootstrap_servers": self.stack.kafka},
            "registry": {"url": self.stack.registry},
            "http": {"health": free_address()},
        }
        for section, change in changes.items():
            config[section] = {**config.get(section, {}), **change} if isinstance(change, dict) else change
        return config

    def connector(self, name: str = "connector", **changes: Any) -> Connector:
        """A connector with that configuration, not started yet."""
        return self.connector_with(self.config(**changes), name)

    def connector_with(self, config: dict[str, Any] | str, name: str = "connector") -> Connector:
        self.connectors.append(Connector(self.directory, config, name))
        return self.connectors[-1]

    def topic(self, table: str) -> str:
        return f"{self.name}.{self.database}.{table}"

    @property
    def transactions_topic(self) -> str:
        return f"{self.name}.transactions"

    @property
    def state_topic(self) -> str:
        return state_topic(self.name)

    @property
    def namespace(self) -> str:
        return f"{self.name}.{self.database}".replace("-", "_")

    def follower(self, *tables: str) -> Follower:
        return Follower(self.stack, [self.topic(table) for table in tables])

    def read(self, table: str, count: int, seconds: float = 30) -> list:
        """All events of a table, which must be `count` and stay so up to what is committed then."""
        with self.follower(table) as follower:
            follower.until(lambda: len(follower.events) >= count, f"{count} events in {self.topic(table)}", seconds)
            events = follower.drain().events
        assert len(events) == count, f"{len(events)} events instead of {count}: {[summary(e) for e in events]}"
        return events

    def read_ends(self) -> list[dict[str, Any]]:
        """The values of all records in the transactions topic."""
        return [event.value for event in read_all(self.stack, self.transactions_topic)]

    def checkpoint(self) -> dict[str, Any] | None:
        return read_checkpoint(self.stack, self.name)


def summary(event: Any) -> str:
    """An event in a few words, without the row."""
    op = event.value["op"] if event.value else None
    return f"{op} {event.key} @ {event.partition}/{event.offset}"


def ids_of(events: list) -> list[Any]:
    return [event.value["after"]["id"] for event in events]


def insert(task: Task, *ids: int) -> None:
    """Rows of `orders`, each by itself."""
    for number in ids:
        task.sql("INSERT INTO orders (id) VALUES (%s)", number)


def published(task: Task, *ids: int) -> None:
    """These rows of `orders` and no others, in this order."""
    assert ids_of(task.read("orders", len(ids), seconds=60)) == list(ids)
