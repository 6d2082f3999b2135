"""Records of the state topic that this version did not write: it guesses nothing and publishes nothing."""

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from harness.connector import Connector
from harness.ending import REFUSED, refused
from harness.reader import read_state
from harness.task import Task

NEWER_FORMAT = 2


@pytest.fixture
def followed(task: Task) -> Connector:
    """A connector that has published a row, and was ended."""
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    task.read("orders", 1)
    connector.terminate()
    task.sql("INSERT INTO orders VALUES (2)")
    return connector


def write(task: Task, key: str, value: str) -> None:
    producer = Producer({"bootstrap.servers": task.stack.kafka, "acks": "all"})
    errors: list[Any] = []
    producer.produce(task.state_topic, value, key, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(30) == 0 and errors == [None]


def ends(task: Task) -> dict[tuple[str, int], int]:
    """How much each topic of the task holds, markers of transactions included."""
    topics = [task.state_topic, task.transactions_topic, task.topic("orders")]
    return task.stack.end_offsets([(topic, 0) for topic in topics])


@pytest.mark.parametrize("key, value", [
    ("greeting", "hello"), ('["greeting"]', "{}"), ('["checkpoint"]', "hello"),
    ('["checkpoint"]', '{"format": 1}'), ('["owner"]', "[]"),
])
def test_fault_82_a_record_of_somebody_else_in_the_state_topic_is_refused(task: Task, followed: Connector, key: str, value: str):
    write(task, key, value)
    before = ends(task)
    refused(followed, REFUSED, "state", "nothing else writes to the state topic")
    assert ends(task) == before


@pytest.mark.parametrize("kind", ["checkpoint", "table"])
def test_fault_94_state_of_a_newer_format_is_refused_and_left_as_it_is(task: Task, followed: Connector, kind: str):
    """The newer one may have fields that this version does not know, and lack some that it does."""
    key = next(key for key in read_state(task.stack, task.name) if key[0] == kind)
    write(task, json.dumps(key), json.dumps({"format": NEWER_FORMAT, "something": "new"}))
    before = ends(task)
    refused(followed, REFUSED, f"format {NEWER_FORMAT}", "Use the version that wrote the state, or a newer one")
    assert ends(task) == before
