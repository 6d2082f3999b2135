"""What somebody with every right does to a cluster: topics, their settings, what is in them."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, OffsetSpec

from .stack import Stack
from .wait import wait_until


def done(futures: dict[Any, Any]) -> list[Any]:
    """The results of a request for several things, once all are there."""
    return [future.result(30) for future in futures.values()]


def set_topic(stack: Stack, topic: str, **settings: Any) -> None:
    """Changes settings of a topic; underscores stand for dots."""
    alter(stack, ConfigResource.Type.TOPIC, topic, settings)


@contextmanager
def broker_settings(stack: Stack, **settings: Any) -> Iterator[None]:
    """Settings of the one broker that there is; afterwards they are what its file says."""
    alter(stack, ConfigResource.Type.BROKER, "1", settings)
    try:
        yield
    finally:
        alter(stack, ConfigResource.Type.BROKER, "1", settings, AlterConfigOpType.DELETE)


def alter(
    stack: Stack, kind: ConfigResource.Type, name: str, settings: dict[str, Any], operation: AlterConfigOpType = AlterConfigOpType.SET
) -> None:
    entries = [ConfigEntry(key.replace("_", "."), str(value), incremental_operation=operation) for key, value in settings.items()]
    done(stack.admin.incremental_alter_configs([ConfigResource(kind, name, incremental_configs=entries)]))


def topic_settings(stack: Stack, topic: str) -> dict[str, str]:
    [found] = done(stack.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))
    return {name: entry.value for name, entry in found.items()}


def make_topic(stack: Stack, topic: str, partitions: int = 1, **settings: Any) -> None:
    config = {name.replace("_", "."): str(value) for name, value in settings.items()}
    done(stack.admin.create_topics([NewTopic(topic, num_partitions=partitions, config=config)]))
    wait_until(lambda: len(stack.partitions(topic)) == partitions, f"there is a topic {topic}")


def delete_topic(stack: Stack, topic: str) -> None:
    done(stack.admin.delete_topics([topic]))
    wait_until(lambda: not stack.partitions(topic), f"there is no topic {topic} any more")


def delete_records(stack: Stack, topic: str, before: int) -> None:
    """Partition 0 begins with this offset afterwards. Of a compacted topic a broker deletes none."""
    policy = topic_settings(stack, topic)["cleanup.policy"]
    set_topic(stack, topic, cleanup_policy="delete")

    def deleted() -> bool:
        try:
            done(stack.admin.delete_records([TopicPartition(topic, 0, before)]))
        except KafkaException as refused:
            # The broker hears of the other policy a moment after it was set.
            if refused.args[0].code() != KafkaError.POLICY_VIOLATION:
                raise
            return False
        return True

    wait_until(deleted, f"records of {topic} are deleted")
    set_topic(stack, topic, cleanup_policy=policy)


def write(stack: Stack, topic: str, key: str, value: str) -> None:
    """A record of a program that is not ours."""
    producer = Producer({"bootstrap.servers": stack.kafka, "log_level": 0})
    producer.produce(topic, key=key, value=value)
    assert producer.flush(30) == 0


def end(stack: Stack, topic: str) -> int:
    """The high watermark of partition 0."""
    return stack.end_offsets([(topic, 0)])[(topic, 0)]


def stable_end(stack: Stack, topic: str) -> int:
    """How far readers of committed records get in partition 0: its last stable offset."""
    asked = {TopicPartition(topic, 0): OffsetSpec.latest()}
    [answer] = done(stack.admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=10))
    return answer.offset


def has_feature(stack: Stack, name: str) -> bool:
    """Whether a broker names a feature when it says what it speaks (version 3 of that answer): one that may be at level 0
    is there only if the cluster has it at another."""
    client, no_tags, program = b"tests", b"\0", b"\x06tests\x021"  # compact strings: their length and one, then bytes
    header = struct.pack(">hhih", 18, 3, 0, len(client)) + client + no_tags
    request = header + program + no_tags
    host, _, port = stack.kafka.split(",")[0].partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(request)) + request)
        [length] = struct.unpack(">i", answers.read(4))
        return name.encode() in answers.read(length)
