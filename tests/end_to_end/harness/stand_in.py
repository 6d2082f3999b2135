"""A stand-in for server and connector together, for testing the checkers: it writes the events of a bank to Kafka.

It makes up the binlog and publishes as the connector must, or, if told so, with one defect.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from .bank import ACCOUNTS, OPENING_BALANCE, TABLES
from .partitioner import partition_of
from .reader import state_topic
from .stack import Stack

PARTITIONS = 4
FILE = "binlog.000001"

KEY_SCHEMA = {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "int"}]}
ROW_SCHEMA = {"type": "record", "name": "Value", "fields": [
    {"name": "id", "type": "int"}, {"name": "balance", "type": "long"}, {"name": "version", "type": "long"},
]}
SOURCE_SCHEMA = {"type": "record", "name": "Source", "fields": [
    {"name": "table", "type": "string"}, {"name": "file", "type": "string"},
    {"name": "pos", "type": "long"}, {"name": "row", "type": "int"},
]}
TRANSACTION_SCHEMA = {"type": "record", "name": "block", "fields": [{"name": "id", "type": "string"}]}
ENVELOPE_SCHEMA = {"type": "record", "name": "Envelope", "fields": [
    {"name": "before", "type": ["null", ROW_SCHEMA]}, {"name": "after", "type": ["null", "Value"]},
    {"name": "source", "type": SOURCE_SCHEMA}, {"name": "transaction", "type": TRANSACTION_SCHEMA},
    {"name": "op", "type": "string"},
]}

Transaction = list[tuple[dict[str, Any], dict[str, Any]]]


def transactions(seed: int, count: int) -> Iterator[Transaction]:
    """Opens all accounts, then transfers; each transaction is a list of (key, envelope)."""
    chance, offset = random.Random(seed), 200
    accounts = {(table, n): [OPENING_BALANCE, 1] for table in TABLES for n in range(1, ACCOUNTS + 1)}
    for number in range(count + 1):
        opening = number == 0
        amount = chance.randint(-50, 50)
        transaction: Transaction = []
        for table, change in zip(TABLES, (amount, -amount)):
            touched = range(1, ACCOUNTS + 1) if opening else [chance.randint(1, ACCOUNTS)]
            for row, account in enumerate(touched):
                balance, version = accounts[table, account]
                before = None if opening else {"id": account, "balance": balance, "version": version}
                if not opening:
                    accounts[table, account] = [balance + change, version + 1]
                balance, version = accounts[table, account]
                transaction.append(({"id": account}, {
                    "before": before, "after": {"id": account, "balance": balance, "version": version},
                    "source": {"table": table, "file": FILE, "pos": offset, "row": row},
                    "transaction": {"id": f"stand-in:{number + 1}"}, "op": "c" if opening else "u",
                }))
            offset += 100
        yield transaction


def checkpoint(offset: int, skip_rows: int = 0) -> dict[str, Any]:
    return {"format": 1, "position": {"kind": "file", "file": FILE, "offset": offset}, "skip_rows": skip_rows, "split": None}


class StandIn:
    """Publishes source transactions, each in one Kafka transaction with its checkpoint."""

    def __init__(self, stack: Stack, task: str, database: str) -> None:
        self.task, self.database = task, database
        self.topics = [f"{task}.{database}.{table}" for table in TABLES]
        new = [NewTopic(topic, PARTITIONS, 1) for topic in self.topics] + [NewTopic(state_topic(task), 1, 1)]
        for future in stack.admin.create_topics(new).values():
            future.result()
        registry = SchemaRegistryClient({"url": stack.registry})
        self.key = AvroSerializer(registry, json.dumps(KEY_SCHEMA))
        self.value = AvroSerializer(registry, json.dumps(ENVELOPE_SCHEMA))
        self.producer = Producer({"bootstrap.servers": stack.kafka, "transactional.id": task, "linger.ms": 0})
        self.producer.init_transactions(30)

    def commit(self, rows: Transaction, then: dict[str, Any] | None) -> None:
        """One Kafka transaction: rows, and their checkpoint if there is one."""
        self.producer.begin_transaction()
        for key, envelope in rows:
            topic = f"{self.task}.{self.database}.{envelope['source']['table']}"
            key_bytes = self.key(key, SerializationContext(topic, MessageField.KEY))
            value_bytes = self.value(envelope, SerializationContext(topic, MessageField.VALUE))
            self.producer.produce(topic, value_bytes, key_bytes, partition_of(key_bytes, PARTITIONS))
        if then is not None:
            self.producer.produce(state_topic(self.task), json.dumps(then), json.dumps(["checkpoint"]), 0)
        self.producer.commit_transaction(30)

    def publish(self, transaction: Transaction) -> None:
        self.commit(transaction, checkpoint(transaction[-1][1]["source"]["pos"] + 50))

    def publish_first_half(self, transaction: Transaction) -> None:
        """The defect: a checkpoint that covers the first half, committed without the second."""
        half = len(transaction) // 2
        self.commit(transaction[:half], checkpoint(transaction[half - 1][1]["source"]["pos"] + 50))
