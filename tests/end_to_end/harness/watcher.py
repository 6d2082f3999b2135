"""Checks the bank while it is open: at each checkpoint seen in the state topic, once, without retry."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError

from .ledger import Account, Ledger, Problem, State, change_of
from .reader import AvroDecoder, Follower, json_decoder, state_topic
from .stack import Stack
from .wait import wait_until

PROBLEMS_MAX = 20
# How long a server may be away.
AWAY_SECONDS_MAX = 90


class PatientDecoder:
    """The registry may be away when a schema is seen first."""

    def __init__(self, stack: Stack, away_seconds_max: float) -> None:
        self.decode, self.away_seconds_max = AvroDecoder(stack), away_seconds_max

    def __call__(self, *arguments: Any) -> Any:
        deadline = time.monotonic() + self.away_seconds_max
        while True:
            try:
                return self.decode(*arguments)
            except (httpx2.HTTPError, SchemaRegistryError):
                if time.monotonic() > deadline:
                    raise


class Watcher:
    """A thread that, on seeing a checkpoint, takes each data partition's true end, reads committed records to it,
    and compares those before the checkpoint's position with the constant.

    Afterwards it reads the state topic to its end: the checkpoint there must cover every row seen before."""

    def __init__(
        self, stack: Stack, task: str, topics: list[str], constant: int,
        start: dict[Account, State] | None = None, begin: dict[tuple[str, int], int] | None = None,
        away_seconds_max: float = AWAY_SECONDS_MAX,
    ) -> None:
        """From the beginning of the topics; or, where the tables had the content `start`, from the offsets `begin`."""
        self.stack, self.away_seconds_max = stack, away_seconds_max
        self.state_at = (state_topic(task), 0)
        self.state = Follower(stack, [state_topic(task)], json_decoder, begin)
        self.data = Follower(stack, topics, PatientDecoder(stack, away_seconds_max), begin)
        self.ledger = Ledger(constant, start)
        self.checks = 0
        self.problems: list[Problem] = []
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Watcher":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()

    def check(self) -> None:
        """Fails with what was found wrong so far."""
        if self.failure is not None:
            raise self.failure
        assert not self.problems, f"after {self.checks} checks:\n" + "\n".join(map(str, self.problems))

    def wait_for_a_check(self) -> None:
        """Returns once a check was begun and ended since now."""
        before = self.checks
        wait_until(lambda: self.checks > before + 1 or self.failure or self.problems, "checks at checkpoints", self.away_seconds_max)
        self.check()

    def run(self) -> None:
        try:
            while not self.stopping.is_set() and len(self.problems) < PROBLEMS_MAX:
                checkpoint = self.next_checkpoint()
                if checkpoint is not None:
                    self.check_at(checkpoint)
        except BaseException as failure:
            self.failure = failure
        finally:
            self.state.close()
            self.data.close()

    def next_checkpoint(self) -> dict | None:
        """The newest one of those that have just arrived."""
        self.state.look_for_partitions() if not self.state.reached else None
        self.state.step()
        checkpoint = self.newest_read()
        self.state.events.clear()
        return checkpoint

    def newest_read(self) -> dict | None:
        """The newest checkpoint of the state records read and not looked at yet."""
        return next((event.value for event in reversed(self.state.events) if event.key == ["checkpoint"]), None)

    def check_at(self, checkpoint: dict) -> None:
        self.data.look_for_partitions()
        ends = self.until_answered(lambda: self.stack.end_offsets(list(self.data.reached)))
        self.data.read_to(ends, self.away_seconds_max)
        for event in self.data.events:
            self.ledger.add(change_of(event))
        self.data.events.clear()
        self.problems += self.ledger.compare(checkpoint)
        ends = self.until_answered(lambda: self.stack.end_offsets([self.state_at]))
        self.state.read_to(ends, self.away_seconds_max)
        self.problems += self.ledger.uncovered(self.newest_read() or checkpoint)
        self.checks += 1

    def until_answered(self, request: Callable[[], dict]) -> dict:
        """The broker may be away for a while: then there is no answer, so nothing to compare with yet."""
        deadline = time.monotonic() + self.away_seconds_max
        while True:
            try:
                return request()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                # The client goes on with what it knows about leaders until it is told to look again.
                self.data.look_for_partitions()
