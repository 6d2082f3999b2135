"""Independent consumers: confluent-kafka with its Avro deserializer, read_committed."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from .stack import Stack

# Errors that a consumer reports while a broker is away, and gets over by itself.
PASSING = {
    KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE,
    KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError._MAX_POLL_EXCEEDED,
}


@dataclass(frozen=True)
class Event:
    """One record, decoded, and the bytes it was decoded from."""

    topic: str
    partition: int
    offset: int
    timestamp_type: int
    timestamp_ms: int
    key: Any
    value: Any
    key_bytes: bytes | None
    value_bytes: bytes | None


def consumer(stack: Stack, **settings: Any) -> Consumer:
    return Consumer({
        "bootstrap.servers": stack.kafka, "group.id": "none", "enable.auto.commit": False,
        "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "error",
        "fetch.wait.max.ms": 50, "fetch.error.backoff.ms": 50, "reconnect.backoff.max.ms": 200,
        "topic.metadata.refresh.interval.ms": 1000, "log_level": 0, "error_cb": lambda error: None, **settings,
    })


class AvroDecoder:
    """Decodes with the schema that the record names in its header, fetched from the registry."""

    def __init__(self, stack: Stack) -> None:
        self.deserialize = AvroDeserializer(SchemaRegistryClient({"url": stack.registry}))

    def __call__(self, topic: str, field: MessageField, data: bytes | None) -> Any:
        return self.deserialize(data, SerializationContext(topic, field))


def json_decoder(topic: str, field: MessageField, data: bytes | None) -> Any:
    return None if data is None else json.loads(data)


def raw_decoder(topic: str, field: MessageField, data: bytes | None) -> None:
    return None


class Follower:
    """Reads topics from their beginning, or where `begin` says, and keeps all it has read, in the order of each partition.

    A topic need not exist yet. Partitions that are added are found.
    """

    def __init__(
        self, stack: Stack, topics: Iterable[str], decode: Callable[..., Any] | None = None,
        begin: dict[tuple[str, int], int] | None = None, **settings: Any,
    ) -> None:
        self.stack, self.topics, self.begin = stack, list(topics), begin or {}
        self.decode = decode or AvroDecoder(stack)
        self.consumer = consumer(stack, **settings)
        self.events: list[Event] = []
        self.reached: dict[tuple[str, int], int] = {}  # offset up to which everything committed was read
        self.looked_at = 0.0

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.consumer.close()

    def look_for_partitions(self) -> None:
        try:
            known = self.stack.admin.list_topics(timeout=5).topics
        except KafkaException:
            return
        self.looked_at = time.monotonic()
        new = [
            (topic, partition)
            for topic in self.topics if topic in known
            for partition in known[topic].partitions if (topic, partition) not in self.reached
        ]
        if new:
            self.consumer.incremental_assign([TopicPartition(*at, self.begin.get(at, OFFSET_BEGINNING)) for at in new])
            self.reached.update({at: self.begin.get(at, 0) for at in new})

    def step(self, seconds: float = 0.05) -> bool:
        """Takes what has arrived; false if that was nothing."""
        first = self.consumer.poll(seconds)
        if first is None:
            return False
        self.take(first)
        for message in self.consumer.consume(500, 0):
            self.take(message)
        return True

    def take(self, message: Message) -> None:
        at = (message.topic(), message.partition())
        error = message.error()
        if error is None:
            self.events.append(self.to_event(message))
            self.reached[at] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self.reached[at] = max(self.reached[at], message.offset())
        elif error.code() not in PASSING:
            raise KafkaException(error)

    def to_event(self, message: Message) -> Event:
        topic, (kind, milliseconds) = message.topic(), message.timestamp()
        key, value = message.key(), message.value()
        return Event(
            topic, message.partition(), message.offset(), kind, milliseconds,
            self.decode(topic, MessageField.KEY, key), self.decode(topic, MessageField.VALUE, value), key, value,
        )

    def until(self, condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = 30) -> None:
        """Reads until the condition on what was read is true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"not within {seconds:g} s: {what() if callable(what) else what}; read so far: {self.counts()}"
            )
            if time.monotonic() - self.looked_at > 0.3:
                self.look_for_partitions()
            self.step()

    def drain(self, seconds: float = 30) -> "Follower":
        """Reads all that is committed now: to the true end of each partition, open transactions waited for."""
        self.look_for_partitions()
        ends = self.stack.end_offsets(list(self.reached))
        self.read_to(ends, seconds)
        return self

    def read_to(self, ends: dict[tuple[str, int], int], seconds: float = 30) -> None:
        """Fails if nothing comes for so long: how much there is to be read is not known."""
        deadline = time.monotonic() + seconds
        while behind := {at: end for at, end in ends.items() if self.reached[at] < end}:
            assert time.monotonic() < deadline, f"committed records do not reach these ends, none for {seconds:g} s: {behind}"
            reached = sum(self.reached[at] for at in behind)
            self.step()
            if sum(self.reached[at] for at in behind) > reached:
                deadline = time.monotonic() + seconds

    def of(self, topic: str) -> list[Event]:
        return [event for event in self.events if event.topic == topic]

    def counts(self) -> dict[str, int]:
        return {topic: len(self.of(topic)) for topic in self.topics}


def read_all(stack: Stack, *topics: str, decode: Callable[..., Any] | None = None) -> list[Event]:
    """All committed records of topics, as of now."""
    with Follower(stack, topics, decode) as follower:
        return follower.drain().events


def state_topic(task: str) -> str:
    return f"binlog-bridge.{task}.state"


def read_state(stack: Stack, task: str) -> dict[tuple[str, ...], Any]:
    """The latest value of each key of the state topic; deleted ones are left out."""
    state = {}
    for event in read_all(stack, state_topic(task), decode=json_decoder):
        state[tuple(event.key)] = event.value
    return {key: value for key, value in state.items() if value is not None}


def read_checkpoint(stack: Stack, task: str) -> dict[str, Any] | None:
    return read_state(stack, task).get(("checkpoint",))
