"""Every column type with its edge values: insert, update and delete on a real server, compared with what SELECT returns."""

import datetime
import json
import re
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from harness.reader import Event
from harness.task import Task


@dataclass(frozen=True)
class Column:
    """A column type, the values that go through it, and how SELECT shows one exactly."""

    sql: str
    values: list[str]
    select: str = "CAST({} AS CHAR)"


NUMBER = "CAST({} AS CHAR)"
BYTES = "HEX({})"
TEXT = "CONVERT({} USING utf8mb4)"
# SELECT shows six digits of a FLOAT.
FLOAT = "CAST({} AS DOUBLE)"
BITS = "CAST({} + 0 AS CHAR)"


def integer(name: str, bits: int) -> list[Column]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    signed = [str(value) for value in (low, high, 0, -1, 1, low + 1)]
    unsigned = [str(value) for value in (0, 2**bits - 1, high, high + 1, 1)]
    return [
        Column(name, signed), Column(f"{name} UNSIGNED", unsigned),
        Column(f"{name}(9) ZEROFILL", unsigned, "CAST({} + 0 AS CHAR)"),
    ]


def decimals() -> list[Column]:
    nines = "9" * 35 + "." + "9" * 30
    return [
        Column("DECIMAL(65,30)", [nines, f"-{nines}", "0", "-0." + "0" * 29 + "1", "1", "-128", "255.5"]),
        Column("DECIMAL(65,0)", ["9" * 65, "-" + "9" * 65, "0", "-1", "256"]),
        Column("DECIMAL(30,30)", ["0." + "9" * 30, "-0." + "9" * 30, "0", "0.5"]),
        Column("DECIMAL(1,0)", ["9", "-9", "0"]),
        Column("DECIMAL(9,9)", ["0.999999999", "-0.000000001"]),
        Column("NUMERIC(18,9) UNSIGNED", ["0", "999999999.999999999", "128.000000001"]),
        Column("DECIMAL(10,2) ZEROFILL", ["0", "12345678.91"], "CAST({} + 0 AS CHAR)"),
    ]


def floats() -> list[Column]:
    singles = ["0", "-0e0", "1.5", "-1.1", "3.402823466e38", "-3.402823466e38", "1.175494351e-38", "1e-45", "16777217", "0.1"]
    doubles = ["0", "-0e0", "0.1", "-2.5", "1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324"]
    return [
        Column("FLOAT", singles, FLOAT), Column("FLOAT UNSIGNED", singles[:1] + ["7.25"], FLOAT),
        Column("FLOAT(7,4)", ["999.9999", "-1.25"], FLOAT), Column("FLOAT(53)", doubles, FLOAT),
        Column("DOUBLE", doubles, FLOAT), Column("REAL", doubles, FLOAT), Column("DOUBLE(20,10) UNSIGNED", ["0", "1.5"], FLOAT),
    ]


def bits() -> list[Column]:
    return [
        Column(f"BIT({count})", ["0", "1", str(2**count - 1), str(2 ** (count - 1))], BITS) for count in (1, 2, 7, 8, 9, 31, 32, 63, 64)
    ] + [Column("BOOL", ["TRUE", "FALSE"])]


SNAIL, CROSSING = "🐌", "ä€\U0010ffff"
CHARSETS = {
    "utf8mb4": ["", "a", SNAIL, CROSSING, "tail  ", "\x00\x7f", "日本語"],
    "utf8mb3": ["", "ä€日本語"],
    "ascii": ["", "plain"],
    "latin1": ["", "äöüß€\x81ÿ"],
    "latin2": ["łódź"],
    "cp1251": ["Привет"],
    "koi8r": ["Привет"],
    "greek": ["αβγ"],
    "hebrew": ["שלום"],
    "tis620": ["ไทย"],
    "gbk": ["a你好", "丂"],
    "gb2312": ["你好"],
    "gb18030": ["你\x80\uffff" + SNAIL],
    "big5": ["你好"],
    "sjis": ["あｱ\\", "表"],
    "cp932": ["①＼表"],
    "ujis": ["あｱ丂"],
    "eucjpms": ["①ⅰ"],
    "euckr": ["안녕"],
    "ucs2": ["", "aä€"],
    "utf16": ["a" + SNAIL],
    "utf16le": ["a" + SNAIL],
    "utf32": ["a" + SNAIL],
}


def quoted(text: str) -> str:
    return f"CONVERT(x'{text.encode().hex()}' USING utf8mb4)"


def texts() -> list[Column]:
    types = ["CHAR(10)", "VARCHAR(20)", "VARCHAR(300)", "TEXT"]
    columns = [
        Column(f"{each} CHARACTER SET {charset}", [quoted(value) for value in values], TEXT)
        for charset, values in CHARSETS.items()
        for each in (types if charset == "utf8mb4" else ["CHAR(10)", "VARCHAR(20)", "TINYTEXT"])
    ]
    long = [f"REPEAT('ä', {count})" for count in (0, 127, 128, 30000)]
    return columns + [
        Column("CHAR(255)", [f"REPEAT('🐌', {count})" for count in (0, 63, 64, 255)], TEXT),
        Column("MEDIUMTEXT", [*long, "REPEAT('x', 70000)"], TEXT), Column("LONGTEXT", [*long, "REPEAT('x', 200000)"], TEXT),
        Column("VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", [quoted("straße")], TEXT),
        Column("VARCHAR(20) COLLATE utf8mb4_bin", [quoted(SNAIL)], TEXT),
    ]


def binaries() -> list[Column]:
    values = ["''", "x'00'", "x'ff00'", "x'610000'", "x'20'"]
    return [
        Column("BINARY(1)", ["x'00'", "x'ff'", "''"], BYTES), Column("BINARY(5)", values, BYTES),
        Column("BINARY(255)", [*values, "REPEAT(x'ff', 255)"], BYTES), Column("VARBINARY(5)", values, BYTES),
        Column("VARBINARY(3000)", [*values, "REPEAT(x'fe', 3000)"], BYTES), Column("TINYBLOB", [*values, "REPEAT(x'fe', 255)"], BYTES),
        Column("BLOB", [*values, "REPEAT(x'fe', 65535)"], BYTES), Column("MEDIUMBLOB", [*values, "REPEAT(x'00', 65536)"], BYTES),
        Column("LONGBLOB", values, BYTES), Column("CHAR(5) CHARACTER SET binary", values, BYTES),
    ]


def temporals() -> list[Column]:
    dates = ["'1970-01-01'", "'1969-12-31'", "'1000-01-01'", "'0001-01-01'", "'9999-12-31'", "'2000-02-29'", "'0000-00-00'", "'2021-02-30'", "'2021-00-10'"]
    times = ["'00:00:00'", "'838:59:59'", "'-838:59:59'", "'-00:00:01'", "'24:00:00'", "'23:59:59'", "'-33:00:01'"]
    columns = [Column("DATE", dates), Column("YEAR", ["0", "1901", "2155", "1970"])]
    for digits in range(7):
        fraction = "." + "9" * digits if digits else ""
        columns += [
            Column(f"TIME({digits})", [*times, f"'838:59:58{fraction}'", f"'-838:59:58{fraction}'", f"'-00:00:00{fraction}'"]),
            Column(f"DATETIME({digits})", [*dates, f"'9999-12-31 23:59:59{fraction}'", f"'1969-12-31 23:59:59{fraction}'"]),
            Column(f"TIMESTAMP({digits})", ["'1970-01-01 00:00:01'", f"'2038-01-19 03:14:07{fraction}'", "'0000-00-00'", f"'2024-02-29 01:02:03{fraction}'"]),
        ]
    return columns


def members() -> list[Column]:
    small = "'small','it''s','ä🐌','x y'"
    many = ",".join(f"'member {number}'" for number in range(1, 301))
    flags = ",".join(f"'f{number}'" for number in range(1, 65))
    return [
        Column(f"ENUM({small})", ["'small'", "'it''s'", quoted("ä🐌"), "'no member'", "4"], TEXT),
        Column(f"ENUM({many})", ["1", "255", "256", "300"], TEXT),
        Column("ENUM('ä','ö') CHARACTER SET latin1", ["1", "2"], TEXT), Column("ENUM('あ') CHARACTER SET sjis", ["1"], TEXT),
        Column("SET('a','b','c')", ["''", "'a'", "'a,c'", "7"], TEXT), Column(f"SET({flags})", ["0", "1", "18446744073709551615", "9223372036854775808"], TEXT),
        Column("ENUM('ä','🐌') CHARACTER SET utf16", ["1", "2"], TEXT), Column("SET('ä','🐌') CHARACTER SET utf32", ["3"], TEXT),
        Column("ENUM('a','') CHARACTER SET binary", ["1", "2"], TEXT), Column("ENUM('ä') CHARACTER SET utf8mb3", ["1"], TEXT),
        Column("SET('你','好') CHARACTER SET gbk", ["3", "2"], TEXT), Column("SET('a','b','c','d','e','f','g','h','i')", ["256", "511"], TEXT),
    ]


def json_values() -> list[Column]:
    deep = "[" * 99 + "1" + "]" * 99
    big = json.dumps({f"key {number}": "x" * number for number in range(400)})
    texts = [
        "null", "true", "false", "0", "-1", "32767", "-32769", "2147483648", "-9223372036854775808", "18446744073709551615", "1e400".replace("400", "300"),
        "1.5", "-0.0", "1e-7", "123456789012345678901234567890", '""', '"\\u0001\\u0000\\u001f\\"\\\\\\/\\b\\f\\n\\r\\t\u007f ä🐌"', "[]", "{}", "[[], {}, [1, [2, {\"a\": null}]]]",
        '{"b": 1, "a": 2, "aa": 3, "": 4, "ä": 5}', deep, big, json.dumps(list(range(30000))), json.dumps("y" * 70000),
    ]
    built = [
        "JSON_ARRAY(1.50, -0.05, 12345678901234567890.123456789, 99999999999999999999999999999999999.999999999999999999999999999999)",
        "JSON_ARRAY(CAST('2015-01-15' AS DATE), CAST('2015-01-15 23:24:25.12' AS DATETIME(2)), CAST('0000-00-00' AS DATETIME))",
        "JSON_ARRAY(CAST('-12:01:02.5' AS TIME(1)), CAST('838:59:59' AS TIME), CAST('-33:00:00.000001' AS TIME(6)), CAST('31:00:00' AS TIME))",
        "JSON_ARRAY(CAST('2015-01-15 23:24:25' AS DATETIME), x'0102ff', REPEAT(x'00ff10', 60), b'101', 1e0, 0.1e0, 1e15, 1e16, 1.25e-16)",
        "JSON_OBJECT('point', ST_GeomFromText('POINT(1 2)'), 'year', CAST(2020 AS YEAR), 'bytes', CAST('ä' AS BINARY))",
        "JSON_ARRAY(CAST(TIMESTAMP'2015-01-15 23:24:25.000001' AS JSON), CAST(x'7e' AS JSON), CAST(CAST(18446744073709551615 AS UNSIGNED) AS JSON))",
    ]
    return [Column("JSON", [quoted(text) for text in texts] + built)]


def geometries() -> list[Column]:
    shapes = {
        "POINT": "POINT(1 2)", "LINESTRING": "LINESTRING(0 0,1 1,2 -2)", "POLYGON": "POLYGON((0 0,10 0,10 10,0 10,0 0),(5 5,7 5,7 7,5 7,5 5))",
        "MULTIPOINT": "MULTIPOINT((0 0),(1 1))", "MULTILINESTRING": "MULTILINESTRING((0 0,1 1),(2 2,3 3))",
        "MULTIPOLYGON": "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))", "GEOMETRYCOLLECTION": "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))",
    }
    columns = [
        Column(name, [f"ST_GeomFromText('{text}')", f"ST_GeomFromText('{text}', 4326)"], BYTES) for name, text in shapes.items()
    ]
    values = [f"ST_GeomFromText('{text}', 3857)" for text in shapes.values()]
    return [*columns, Column("GEOMETRY", [*values, "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"], BYTES), Column("POINT SRID 4326", ["ST_GeomFromText('POINT(-90 180)', 4326)"], BYTES)]


FAMILIES = {
    "integers": [column for name, size in [("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)] for column in integer(name, size)],
    "decimals": decimals(), "floats": floats(), "bits": bits(), "texts": texts(), "binaries": binaries(),
    "temporals": temporals(), "members": members(), "json": json_values(), "geometries": geometries(),
}


@dataclass(frozen=True)
class Published:
    """The events of each family, and what SELECT returned after each of the steps."""

    families: dict[str, list[Column]]
    events: dict[str, list[Event]]
    selected: dict[str, list[list[list[Any]]]]


@pytest.fixture(scope="module", params=["FULL", "MINIMAL"])
def published(request, stack, tmp_path_factory) -> Iterator[Published]:
    with stack.metadata(request.param):
        yield publish(stack, request.param.lower(), tmp_path_factory.mktemp("types"))


def publish(stack, name: str, directory) -> Published:
    task = Task(stack, f"types-{name}", f"types_{name}", directory)
    # The server does not describe the snail.
    families = {
        family: [column for column in columns if name == "full" or family != "members" or SNAIL not in column.sql]
        for family, columns in FAMILIES.items()
    }
    for family, columns in families.items():
        task.sql(f"CREATE TABLE {family} (id INT PRIMARY KEY, {', '.join(f'c{n} {c.sql} NULL' for n, c in enumerate(columns))}) CHARACTER SET utf8mb4")
    connector = task.connector().start(ready_within=30)
    try:
        selected = {family: run(task, family, columns) for family, columns in families.items()}
        with task.follower(*FAMILIES) as follower:
            def all_rows_read() -> bool:
                connector.check_running()
                return all(deleted(follower.of(task.topic(family))) == len(steps[0]) for family, steps in selected.items())

            follower.until(all_rows_read, "all rows", 60)
            events = {family: follower.of(task.topic(family)) for family in FAMILIES}
    finally:
        connector.close()
    return Published(families, events, selected)


def deleted(events: list[Event]) -> int:
    """How many rows are gone for good: those whose key was changed before."""
    return sum(event.value["op"] == "d" and event.value["before"]["id"] <= 0 for event in events)


def run(task: Task, family: str, columns: list[Column]) -> list[list[list[Any]]]:
    """Inserts a row of NULL and one for each value, moves each column to its next value, and deletes all."""
    count = max(len(column.values) for column in columns)
    steps = []
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        cursor.execute(f"INSERT INTO {family} (id) VALUES (0)")
        for row in range(count):
            values = ", ".join(column.values[row % len(column.values)] for column in columns)
            cursor.execute(f"INSERT INTO {family} VALUES ({row + 1}, {values})")
        steps.append(select(cursor, family, columns))
        for row in range(count):
            changes = ", ".join(f"c{n} = {column.values[(row + 1) % len(column.values)]}" for n, column in enumerate(columns))
            cursor.execute(f"UPDATE {family} SET {changes} WHERE id = {row + 1}")
        # Under another key: a delete and a create.
        cursor.execute(f"UPDATE {family} SET id = -id WHERE id > 0 ORDER BY id DESC")
        steps.append(select(cursor, family, columns))
        cursor.execute(f"DELETE FROM {family}")
    return steps


def select(cursor, family: str, columns: list[Column]) -> list[list[Any]]:
    shown = ", ".join(column.select.format(f"c{n}") for n, column in enumerate(columns))
    cursor.execute(f"SELECT id, {shown} FROM {family} ORDER BY ABS(id)")
    return [list(row) for row in cursor.fetchall()]


def shown(column: Column, value: Any) -> Any:
    """A published value as SELECT shows it."""
    if value is None:
        return None
    kind = column.sql.split("(")[0].split(" ")[0]
    match kind:
        case "FLOAT" if "53" in column.sql:
            return float(value)
        case "FLOAT" | "DOUBLE" | "REAL":
            return float(value)
        case "BIT":
            return str(int(value)) if isinstance(value, bool) else str(int.from_bytes(value))
        case "TIME":
            sign, value = ("-", -value) if value < 0 else ("", value)
            seconds, micros = divmod(value, 1_000_000)
            digits = int(column.sql[5])
            fraction = f".{micros:06}"[: digits + 1] if digits else ""
            return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
        case "DATE":
            return value.isoformat()
        case "DATETIME" | "TIMESTAMP":
            digits = int(re.search(r"\d", column.sql)[0])
            plain = value.replace(tzinfo=None)
            return plain.isoformat(" ", "seconds") + (f".{plain.microsecond:06}"[: digits + 1] if digits else "")
        case "YEAR":
            return f"{value:04}"
        case "SET":
            return ",".join(value)
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, dict):
        return (struct.pack("<I", value["srid"]) + value["wkb"]).hex().upper()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def expected(column: Column, value: Any) -> Any:
    """What SELECT showed, with dates that are none as null."""
    if value is None:
        return None
    if column.sql.startswith(("DATE", "TIMESTAMP")):
        year, month, day = (int(part) for part in value[:10].split("-"))
        try:
            datetime.date(year, month, day)
        except ValueError:
            return None
    if column.select == FLOAT:
        return struct.unpack("<f", struct.pack("<f", value))[0] if is_single(column) else value
    if column.sql.startswith("DECIMAL") and Decimal(value) == 0:
        return f"{abs(Decimal(value)):f}"
    return value


def is_single(column: Column) -> bool:
    return column.sql.startswith("FLOAT") and "53" not in column.sql


@pytest.mark.parametrize("family", FAMILIES)
def test_fault_61_values_are_what_select_returns(published: Published, family: str):
    columns, (inserted, updated) = published.families[family], published.selected[family]
    first = {abs(row[0]): row[1:] for row in inserted}
    second = {abs(row[0]): row[1:] for row in updated}
    problems = []

    def compare(image: dict[str, Any], row: list[Any], what: str) -> None:
        for n, column in enumerate(columns):
            found, wanted = shown(column, image[f"c{n}"]), expected(column, row[n])
            if found != wanted or (isinstance(found, float) and str(found) != str(wanted)):
                problems.append(f"{what} {image['id']}, {column.sql[:60]}: {str(found)[:100]!r} instead of {str(wanted)[:100]!r}")

    for value in (event.value for event in published.events[family]):
        before, after = value["before"], value["after"]
        if before is not None:
            state = first if value["op"] == "u" else second
            compare(before, state[abs(before["id"])], f"before {value['op']} of")
        if after is not None:
            state = first if value["op"] == "c" and after["id"] >= 0 else second
            compare(after, state[abs(after["id"])], f"after {value['op']} of")
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:25])
    ops = Counter(event.value["op"] for event in published.events[family])
    # All but the row of NULL come twice, as their key is changed.
    assert ops["c"] == ops["d"] == 2 * len(inserted) - 1 and ops["u"] > 0


def test_fault_60_dates_that_are_none_are_null_and_named(published: Published):
    for value in (event.value for event in published.events["temporals"]):
        for image in ("before", "after"):
            if value[image] is not None and value[image]["id"] != 0:
                is_date = [n for n, c in enumerate(FAMILIES["temporals"]) if c.sql.startswith(("DATE", "TIMESTAMP"))]
                null = sorted(f"c{n}" for n in is_date if value[image][f"c{n}"] is None)
                assert sorted(value["source"][f"invalid_{image}"]) == null
