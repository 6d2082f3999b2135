"""Events of before a table was changed, read with the schema of after by fastavro.

The cases are made, and read by the Avro library for Rust, in `connector/core/src/encode/tests/evolution.rs`.
"""

import datetime
import decimal
import io
import json
import pathlib
import struct
from typing import Any

import fastavro
import pytest

from harness.stack import Stack
from harness.task import Task

CASES = pathlib.Path(__file__).resolve().parents[1] / "evolution" / "cases.jsonl"
EPOCH = datetime.datetime(1970, 1, 1)


def cases() -> dict[str, Any]:
    return {case["rule"]: case for case in map(json.loads, CASES.read_text(encoding="utf-8").splitlines())}


def fields(schema: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row, by name."""
    return {field["name"]: field for field in schema["fields"][0]["type"][1]["fields"]}


def plain(value: Any, field_type: Any, is_default: bool) -> Any:
    """A value as the cases have it. Where fastavro takes a field's default, it gives the JSON of it as it is."""
    if isinstance(field_type, list):
        field_type = next(branch for branch in field_type if branch != "null")
    logical = field_type.get("logicalType") if isinstance(field_type, dict) else None
    name = field_type["type"] if isinstance(field_type, dict) else field_type
    if value is None:
        return None
    if name == "bytes" and is_default:
        value = value.encode("latin-1")
        if logical == "decimal":
            number = int.from_bytes(value, "big", signed=True)
            value = decimal.Decimal((int(number < 0), [int(digit) for digit in str(abs(number))], -field_type["scale"]))
    if name == "record":
        return {field["name"]: plain(value[field["name"]], field["type"], is_default) for field in field_type["fields"]}
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, datetime.datetime):
        return (value.replace(tzinfo=None) - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if name == "float":
        return struct.unpack("f", struct.pack("f", value))[0]
    return value


def expected(value: Any, field_type: Any) -> Any:
    is_float = field_type == "float" or "float" in field_type
    return struct.unpack("f", struct.pack("f", value))[0] if is_float and value is not None else value


@pytest.mark.parametrize("rule", cases())
def test_old_events_are_read_with_the_new_schema(rule: str):
    case = cases()[rule]
    old, new = fields(case["writer"]), fields(case["reader"])
    data = io.BytesIO(bytes.fromhex(case["event"]))
    event = fastavro.schemaless_reader(data, fastavro.parse_schema(case["writer"]), fastavro.parse_schema(case["reader"]))
    assert data.read() == b""
    for image in ("before", "after"):
        row = event[image]
        assert list(row) == list(new)
        found = {name: plain(value, new[name]["type"], name not in old) for name, value in row.items()}
        wanted = dict(zip(new, case[image], strict=True))
        assert found == {name: expected(value, new[name]["type"]) for name, value in wanted.items()}


# Of each kind that readers of the new schema can follow.
ALTERS = [
    "ADD a1 INT", "ADD a2 INT NOT NULL DEFAULT 7", "ADD a3 VARCHAR(9) NOT NULL DEFAULT 'x' FIRST", "DROP gone",
    "MODIFY grows BIGINT", "ADD a4 DECIMAL(9,2) NOT NULL", "MODIFY word VARCHAR(99) CHARACTER SET utf8mb4", "ADD a5 ENUM('s','m') NOT NULL",
    "MODIFY maybe INT NULL", "ADD a6 DATETIME(6), ADD INDEX (a1)",
]


def test_fault_55_a_python_consumer_reads_a_topic_across_ten_alters(stack: Stack, task: Task):
    """Each record with its own schema, and all of them with the last one."""
    task.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, gone INT, grows INT NOT NULL, word VARCHAR(9) CHARACTER SET latin1, maybe INT NOT NULL)"
    )
    connector = task.connector().start(ready_within=30)
    shapes = []
    for number in range(len(ALTERS) + 1):
        if number:
            task.sql(f"ALTER TABLE t {ALTERS[number - 1]}")
        if number % 4 == 3:
            connector.kill()
            connector.start(ready_within=30)
        task.sql("INSERT INTO t (id, grows, word, maybe) VALUES (%s, %s, 'ä', 5)", number, number)
        shapes.append([row[0] for row in task.sql("SHOW COLUMNS FROM t")])
    events = task.read("t", len(shapes))
    ids = [int.from_bytes(event.value_bytes[1:5], "big") for event in events]
    assert len(set(ids)) == len(shapes), "each ALTER but the index changes the schema"
    for event, shape, number in zip(events, shapes, range(len(shapes)), strict=True):
        row = event.value["after"]
        assert sorted(row) == sorted(shape), "its own schema has the columns of then"
        assert (row["id"], row["grows"], row["word"], row["maybe"]) == (number, number, "ä", 5)
    schemas = [fastavro.parse_schema(json.loads(stack.registry_get(f"schemas/ids/{id}")["schema"])) for id in ids]
    wanted = {"a1": None, "a2": 7, "a3": "x", "a4": decimal.Decimal("0.00"), "a5": "s", "a6": None}
    for event, writer, shape, number in zip(events, schemas, shapes, range(len(shapes))):
        data = io.BytesIO(event.value_bytes[5:])
        after = fastavro.schemaless_reader(data, writer, schemas[-1])["after"]
        assert data.read() == b"" and sorted(after) == sorted(shapes[-1])
        added = {name: plain(after[name], fields(schemas[-1])[name]["type"], name not in shape) for name in wanted}
        assert added == {name: plain(value, "null", False) for name, value in wanted.items()}, number
        assert (after["id"], after["grows"], after["word"], after["maybe"]) == (number, number, "ä", 5)

