"""What a fault is applied to: the bank under load, the connector that follows it, the servers and the ways to them.

A scene lasts for many rows of the table of faults. Between two rows there is no load, everything was published and
judged, so each row begins at a known content of the tables and known ends of the topics, and is judged by itself.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from confluent_kafka import IsolationLevel

from .bank import CONSTANT, TABLES, Workload, create_tables, open_accounts, read_accounts
from .connector import Connector
from .faults import Fault, Settings
from .ledger import Account, Change, Kind, Position, Problem, State, change_of, check_history, counted, file_number
from .proxy import Proxy
from .pulse import Pulse
from .reader import Follower
from .task import Task
from .wait import wait_until
from .watcher import Watcher

PARTITIONS = 4
READY_SECONDS_MAX = 60
# What recovering may take at most; how long it takes is what the table is for.
RECOVERY_SECONDS_MAX = 120
# How long a server may be away, at most.
AWAY_SECONDS_MAX = 240
# Under load between two faults, at most.
LOAD_SECONDS_MAX = 0.3


@dataclass(frozen=True)
class Proxies:
    mysql: Proxy
    kafka: Proxy
    registry: Proxy

    def reset(self) -> None:
        for each in (self.mysql, self.kafka, self.registry):
            each.reset()


@dataclass
class Row:
    """What was measured and found."""

    fault: Fault
    seed: int
    count: int = 0
    checks: int = 0
    recoveries: list[float] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)  # of what was published in the course of it, read afresh
    problems_at_checkpoints: list[Problem] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    start: dict[Account, State] = field(default_factory=dict)
    final: dict[Account, State] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Kind]:
        """Both checks may find the same."""
        return counted(self.problems) | counted(self.problems_at_checkpoints)


class Scene:
    def __init__(self, task: Task, proxies: Proxies, is_long: bool) -> None:
        self.task, self.stack, self.proxies, self.is_long = task, task.stack, proxies, is_long
        self.connectors: dict[tuple[Settings, str], Connector] = {}
        self.settings: Settings | None = None
        self.connector: Connector | None = None
        self.chance = random.Random()
        self.applied = 0  # faults of the row before this one
        self.remembered = 0  # faults that the connector's process remembers
        self.columns = 0  # added in the course of the scene
        self.workload: Workload | None = None
        self.watcher: Watcher | None = None
        self.pulse: Pulse | None = None

    def open(self, settings: Settings) -> None:
        create_tables(self.stack, self.task.database)
        self.use(settings)
        with Pulse(self.stack, self.task.name) as self.pulse:
            open_accounts(self.stack, self.task.database)
            self.wait_covered(self.end_of_binlog())

    def use(self, settings: Settings) -> None:
        """Lets a connector with these settings run, and no other."""
        if self.settings != settings:
            if self.connector is not None:
                self.connector.terminate()
            self.settings, self.connector = settings, self.connector_of(settings, "first")
            self.connector.start()
            self.remembered = 0
        self.connector.wait_ready(READY_SECONDS_MAX)

    def renew_if_remembered(self) -> None:
        """Before a fault that a process remembers for ten minutes: the third fencing in that time ends it, by design, and
        each silence doubles its patience. So each process meets two at most."""
        if self.remembered == 2:
            self.connector.terminate()
            self.connector.start(ready_within=READY_SECONDS_MAX)
            self.wait_covered(self.end_of_binlog())
            self.remembered = 0
        self.remembered += 1

    def let_another_stand_by(self) -> None:
        """In place of the one that took over before, if there was one."""
        other = self.other_connector()
        other.start()
        wait_until(
            lambda: other.check_running() or other.is_standby(), lambda: f"it stands by; it printed:\n{other.tail()}",
            READY_SECONDS_MAX)

    def connector_of(self, settings: Settings, name: str) -> Connector:
        """One of several connectors of the same task."""
        if (settings, name) not in self.connectors:
            config = settings.changes(self.stack, self.proxies)
            config["kafka"]["partitions"] = PARTITIONS
            self.connectors[settings, name] = self.task.connector(f"{name}-{len(self.connectors) + 1}", **config)
        return self.connectors[settings, name]

    def other_connector(self) -> Connector:
        first, second = (self.connector_of(self.settings, name) for name in ("first", "second"))
        return second if self.connector is first else first

    def run(self, row: Row) -> None:
        fault = row.fault
        self.chance = random.Random(f"{row.seed} {fault.name}")
        if self.connector is None:
            self.open(fault.settings)
        self.use(fault.settings)
        with self.under_load(row):
            self.wait_covered(self.end_of_binlog())
            for self.applied in range(fault.times(self.is_long)):
                # The moment is by chance, not a condition: anything may be going on in the connector.
                time.sleep(self.chance.random() * LOAD_SECONDS_MAX)
                row.recoveries.append(self.apply(fault))
                row.count += 1

    @contextmanager
    def under_load(self, row: Row) -> Iterator[None]:
        row.start = read_accounts(self.stack, self.task.database)
        begin = self.stack.end_offsets(self.data_partitions() + [(self.task.state_topic, 0)])
        topics = [self.task.topic(table) for table in TABLES]
        with ExitStack() as open_now:
            self.pulse = open_now.enter_context(Pulse(self.stack, self.task.name))
            self.watcher = open_now.enter_context(
                Watcher(self.stack, self.task.name, topics, CONSTANT, row.start, begin, AWAY_SECONDS_MAX))
            self.workload = open_now.enter_context(
                Workload(self.stack, self.task.database, self.chance.randrange(1_000_000), away_seconds_max=AWAY_SECONDS_MAX))
            yield
            self.workload.stop()
            self.check()
            self.judge(row, begin)

    def judge(self, row: Row, begin: dict[tuple[str, int], int]) -> None:
        """Everything that was published in the course of the row, read afresh."""
        row.final = read_accounts(self.stack, self.task.database)
        self.wait_covered(self.end_of_binlog())
        with Follower(self.stack, [self.task.topic(table) for table in TABLES], begin=begin) as follower:
            row.changes = [change_of(event) for event in follower.drain().events]
        self.watcher.stop()
        self.check()
        row.checks = self.watcher.checks + len(row.changes)
        row.problems = check_history(row.changes, row.final, row.start)
        row.problems_at_checkpoints = self.watcher.problems

    def apply(self, fault: Fault) -> float:
        """Returns the seconds from the end of the fault until a checkpoint covers all that was written by then."""
        if fault.is_remembered:
            self.renew_if_remembered()
        if fault.settings.standby:
            self.let_another_stand_by()
        restarts, checkpoints = self.restarts(), self.pulse.checkpoints
        began = time.monotonic()
        fault.begin(self)
        if fault.adds_column:
            self.add_column()
        time.sleep(fault.seconds(self.is_long))
        if fault.is_slow_only:
            assert self.pulse.checkpoints > checkpoints, f"no checkpoint in {fault.seconds(self.is_long)} s of {fault.name}"
        fault.end(self)
        ended = time.monotonic()
        self.wait_covered(self.end_of_binlog())
        covered = time.monotonic()
        if fault.seconds_max is not None:
            seconds = self.pulse.first_commit_at - began
            assert 0 < seconds <= fault.seconds_max, f"the first commit after {seconds:.1f} s of {fault.seconds_max} s at most"
        if fault.restarts is not None:
            assert (self.restarts() > restarts) == fault.restarts, (
                f"restarts were {restarts}, are {self.restarts()}; it printed:\n{self.connector.tail()}")
        return covered - ended

    def wait_covered(self, position: Position) -> None:
        def covered() -> bool:
            self.check()
            return self.pulse.newest >= position

        def what() -> str:
            return f"a checkpoint covers {position}, the newest is at {self.pulse.newest}; it printed:\n{self.connector.tail()}"

        wait_until(covered, what, RECOVERY_SECONDS_MAX, every=0.01)

    def check(self) -> None:
        """Fails with what keeps the row from going on. What is wrong with the changes is judged at the end."""
        self.connector.check_running()
        self.pulse.check()
        if self.workload is not None:
            self.workload.check()
        if self.watcher is not None and self.watcher.failure is not None:
            raise self.watcher.failure

    def end_of_binlog(self) -> Position:
        file, offset = self.stack.binlog_end()
        return file_number(file), offset

    def data_partitions(self) -> list[tuple[str, int]]:
        return [(self.task.topic(table), partition) for table in TABLES for partition in range(PARTITIONS)]

    def has_open_transaction(self) -> bool:
        """Whether Kafka holds back records that are not committed yet."""
        partitions = self.data_partitions()
        ends = self.stack.end_offsets(partitions)
        stable = self.stack.end_offsets(partitions, isolation=IsolationLevel.READ_COMMITTED)
        return any(stable[at] < ends[at] for at in partitions)

    def restarts(self) -> float | None:
        """How often the connector's process has begun anew by itself; None where it does not answer."""
        return self.connector.metric("restarts_total")

    def add_column(self) -> None:
        """From now on both tables need a new schema."""
        self.columns += 1
        for table in TABLES:
            self.task.sql(f"ALTER TABLE {table} ADD COLUMN note{self.columns} INT")
