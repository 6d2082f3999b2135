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
