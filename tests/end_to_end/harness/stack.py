"""A set of real servers: Kafka, MySQL and a schema registry, driven by the scripts in tests/stack."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pymysql
import requests
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from pymysql.constants import ER

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "stack"

# The connector's account. Nothing the connector prints may hold the password.
USER = "bridge"
PASSWORD = "canary-of-the-password-7f3a9c"

# Options of a server that names positions by file and offset alone.
WITHOUT_GTIDS = ("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")


class Stack:
    """One set of servers. `up` starts it afresh; `down` ends it and removes its data."""

    kind = "mysql80"  # of the MySQL server, as tests/stack/fetch names it

    def __init__(self, name: str) -> None:
        self.name = name
        self.env: dict[str, str] = {}
        self.stopped: dict[str, str] = {}  # services that do not run, and the signal they got

    def up(self, *options: str) -> "Stack":
        kinds = [option.partition("=")[2] for option in options if option.startswith("--server=")]
        self.kind = kinds[-1] if kinds else Stack.kind
        self.env = parse_env(script("up", self.name, *options))
        self.admin = AdminClient({
            "bootstrap.servers": self.kafka, "reconnect.backoff.max.ms": 200, "log_level": 0, "error_cb": lambda error: None,
        })
        self.create_user()
        return self

    def create_user(self) -> None:
        try:
            self.sql(f"CREATE USER {USER} IDENTIFIED BY %s", PASSWORD)
        except pymysql.OperationalError as error:  # old servers have no IF NOT EXISTS here
            if error.args[0] != ER.CANNOT_USER:
                raise
        self.sql(f"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {USER}")

    def down(self) -> None:
        script("down", self.name)

    def stop(self, service: str, signal: str = "TERM") -> None:
        script("stop", self.name, service, signal)
        self.stopped[service] = signal
        if signal == "CONT":
            del self.stopped[service]

    def start(self, service: str, *options: str) -> None:
        """Options are of mysqld; or they name more servers, which are started at the same time."""
        if service == "mysql":
            # After SIGKILL the lock of the socket stays, and mysqld refuses to start as long as the pid in it is
            # known to the system, also as a process that has ended but was not collected yet.
            (self.mysql_data / "mysql.sock.lock").unlink(missing_ok=True)
        self.env = {**self.env, **parse_env(script("start", self.name, service, *options))}
        for each in (service, *options):
            self.stopped.pop(each, None)

    def restore(self) -> None:
        """Lets run what a test that failed has left stopped."""
        for service in [service for service, signal in self.stopped.items() if signal == "STOP"]:
            self.stop(service, "CONT")
        if self.stopped:
            self.start(*self.stopped)

    def lives(self, service: str) -> bool:
        """False for a server that ended, by itself or not."""
        process = pathlib.Path("/proc") / self.env[f"{service.replace('-', '_').upper()}_PID"] / "cmdline"
        return process.is_file() and bool(process.read_bytes())

    def log(self, service: str) -> str:
        return (self.directory / f"{service}.log").read_text(errors="replace")

    @property
    def directory(self) -> pathlib.Path:
        """Where the set's servers have their data and their logs."""
        return self.mysql_data.parent

    @property
    def kafka(self) -> str:
        return self.env["KAFKA_BOOTSTRAP"]

    @property
    def mysql_port(self) -> int:
        return int(self.env["MYSQL_PORT"])

    @property
    def registry(self) -> str:
        return self.env["REGISTRY_URL"]

    @property
    def mysql_data(self) -> pathlib.Path:
        return pathlib.Path(self.env["MYSQL_SOCKET"]).parent

    def connect(self, **options: Any) -> pymysql.Connection:
        """A connection as root, in UTC and, unless told otherwise, with every date allowed and autocommit."""
        options = {"autocommit": True, "sql_mode": "", "init_command": "SET time_zone = '+00:00'", **options}
        return pymysql.connect(
            host="127.0.0.1", port=self.mysql_port, user="root", charset="utf8mb4",
            connect_timeout=5, read_timeout=120, **options,
        )

    def sql(self, statement: str, *arguments: Any) -> tuple[tuple[Any, ...], ...]:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return cursor.fetchall()

    def variable(self, name: str) -> Any:
        return self.sql(f"SELECT @@GLOBAL.{name}")[0][0]

    def has_variable(self, name: str) -> bool:
        return bool(self.sql("SHOW GLOBAL VARIABLES LIKE %s", name))

    def has_gtids(self) -> bool:
        """MySQL's; those of MariaDB are others."""
        return self.has_variable("gtid_mode") and self.variable("gtid_mode") == "ON"

    @contextmanager
    def set_global(self, name: str, value: str | int) -> Iterator[None]:
        """A setting of MySQL, for connections that are made now. Afterwards it is what it was."""
        before = self.variable(name)
        self.sql(f"SET GLOBAL {name} = %s", value)
        try:
            yield
        finally:
            self.sql(f"SET GLOBAL {name} = %s", before)

    def metadata(self, value: str) -> AbstractContextManager[None]:
        """What table maps have: `binlog_row_metadata`. MySQL 5.5 to 5.7 have no such setting: always the least."""
        assert self.has_variable("binlog_row_metadata"), f"{self.kind} has no binlog_row_metadata"
        return self.set_global("binlog_row_metadata", value)

    def binlog_end(self) -> tuple[str, int]:
        row = self.sql("SHOW BINARY LOG STATUS" if self.kind == "mysql9" else "SHOW MASTER STATUS")[0]
        return str(row[0]), int(row[1])

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic; none if there is no such topic."""
        # Asking for all topics, as asking for one that does not exist may be answered from a cache of errors.
        metadata = self.admin.list_topics(timeout=10).topics.get(topic)
        return sorted(metadata.partitions) if metadata is not None else []

    def end_offsets(
        self, partitions: list[tuple[str, int]], seconds: float = 10,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> dict[tuple[str, int], int]:
        """The true ends, aborted and open transactions included, unless told otherwise. No answer is a KafkaException."""
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in partitions}
        if not asked:
            return {}
        answers = self.admin.list_offsets(asked, isolation_level=isolation, request_timeout=seconds)
        ends = {(at.topic, at.partition): future.result().offset for at, future in answers.items()}
        # While a broker shuts down, its answer is no error, but an offset that is none.
        if min(ends.values()) < 0:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return ends

    def registry_get(self, path: str) -> Any:
        answer = requests.get(f"{self.registry}/{path}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def copy_mysql(self, to: pathlib.Path) -> None:
        """A copy of all its files, for which it must not run."""
        copy_tree(self.mysql_data, to)

    def put_mysql_back(self, copy: pathlib.Path) -> None:
        """All its files are those of the copy again; it must not run."""
        shutil.rmtree(self.mysql_data)
        copy_tree(copy, self.mysql_data)

    def forget_uuid(self) -> None:
        """The server, which must not run, has another uuid when it starts, as any other server would."""
        (self.mysql_data / "auto.cnf").unlink()


class Server(Stack):
    """A set of one server alone."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name)
        self.kind = kind

    def up(self, *options: str) -> "Server":
        self.env = parse_env(script("up-server", self.name, self.kind, *options))
        return self


def copy_tree(source: pathlib.Path, to: pathlib.Path) -> None:
    """Sparse, as a server's logs are large and empty."""
    subprocess.run(["cp", "-r", "--sparse=always", source, to], check=True, timeout=60)


def parse_env(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def script(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [SCRIPTS / name, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, f"tests/stack/{name} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def remove_left_overs() -> None:
    """Takes down sets of test runs that ended without doing so: the pid in the set's name lives no more."""
    for line in script("list").splitlines():
        name = line.split()[0]
        parts = name.split("-")
        if parts[0] == "e2e" and len(parts) == 3 and parts[1].isdigit() and not os.path.exists(f"/proc/{parts[1]}"):
            script("down", name)
