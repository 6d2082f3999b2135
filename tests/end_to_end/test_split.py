"""A source transaction that one Kafka transaction cannot hold is published in parts, and a restart in its middle goes
on after the last one."""

from typing import Any

import pytest
from confluent_kafka.serialization import MessageField

from harness.reader import AvroDecoder, Follower, json_decoder, read_all
from harness.task import Task

KILLS = 20
TABLES = ("left_hand", "right_hand")
TURNS = 40  # statements for each table
ROWS_PER_TURN = 250
ROWS = TURNS * ROWS_PER_TURN  # of each table
ROW_BYTES = 4096
TRANSACTION_BYTES_MAX = 256 * 1024


@pytest.mark.timeout(400)
def test_a_split_transaction_killed_in_its_middle_twenty_times_arrives_once_and_its_marks_say_so(task: Task, say):
    for table in TABLES:
        task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, payload MEDIUMTEXT NOT NULL)")
    connector = task.connector(
        kafka={"partitions": 1}, limits={"transaction_bytes_max": TRANSACTION_BYTES_MAX, "batch_bytes_max": 65536}
    ).start(ready_within=30)
    write_transaction(task)
    killed_after = []
    with Follower(task.stack, [task.transactions_topic]) as marks:
        for kill in range(KILLS):
            connector.wait_ready()
            seen = len(marks.events)
            # Some runs are killed at their first part, others get further.
            marks.until(lambda: len(marks.events) > seen + 2 * (kill % 10), "more marks", 60)
            ends = [event for event in marks.events if event.value["status"] != "SPLIT"]
            assert not ends, f"the transaction had ended before kill {kill + 1}"
            connector.kill()
            killed_after.append(marks.events[-1].value["part"])
            connector.start()
        marks.until(lambda: marks.events[-1].value["status"] == "END", "the END record", 120)
        records = [event.value for event in marks.drain().events]
    say(f"{len(records)} parts; killed after parts {killed_after}; the END record: {records[-1]}")
    connector.check_running()
    check_marks(task, records)
    check_checkpoints(task, records)
    check_rows(task)


def write_transaction(task: Task) -> None:
    """The tables take turns."""
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for turn in range(TURNS):
            first = turn * ROWS_PER_TURN + 1
            for table in TABLES:
                rows = ", ".join(f"({n}, REPEAT('-', {ROW_BYTES}))" for n in range(first, first + ROWS_PER_TURN))
                cursor.execute(f"INSERT INTO {table} VALUES {rows}")
        connection.commit()


def check_marks(task: Task, records: list[dict[str, Any]]) -> None:
    """Parts are numbered from 1, counts rise, and the last record has all."""
    assert [record["status"] for record in records] == ["SPLIT"] * (len(records) - 1) + ["END"]
    assert [record["part"] for record in records] == list(range(1, len(records) + 1))
    assert len({record["id"] for record in records}) == 1
    counts = [record["event_count"] for record in records]
    assert counts == sorted(counts) and len(set(counts[:-1])) == len(counts) - 1
    for record in records:
        assert sum(counts_by_table(record).values()) == record["event_count"]
    assert counts_by_table(records[-1]) == {f"{task.database}.{table}": ROWS for table in TABLES}


def counts_by_table(record: dict[str, Any]) -> dict[str, int]:
    return {each["data_collection"]: each["event_count"] for each in record["data_collections"]}


def check_checkpoints(task: Task, records: list[dict[str, Any]]) -> None:
    """Each part has a checkpoint that counts the same rows, and the one after END counts none."""
    values = [event.value for event in read_all(task.stack, task.state_topic, decode=json_decoder) if event.key == ["checkpoint"]]
    splits = [value["split"] for value in values if value["split"] is not None]
    assert [split["parts"] for split in splits] == [record["part"] for record in records[:-1]]
    for split, record in zip(splits, records):
        rows = {f"{table['database']}.{table['table']}": table["rows"] for table in split["tables"]}
        assert split["id"] == record["id"] and rows == counts_by_table(record)
    assert values[-1]["split"] is None and values[-1]["skip_rows"] == 0


def check_rows(task: Task) -> None:
    """Each row once, in order. Only keys are decoded; the values are large."""
    avro = AvroDecoder(task.stack)
    topics = [task.topic(table) for table in TABLES]
    with Follower(task.stack, topics, lambda topic, field, data: field == MessageField.KEY and avro(topic, field, data)) as follower:
        follower.drain(60)
        for topic in topics:
            assert [event.key["id"] for event in follower.of(topic)] == list(range(1, ROWS + 1))
