"""Random rows of random tables: what an independent client decodes equals what SELECT returns."""

import datetime
import json
import os
import random
import struct
from collections.abc import Callable

import pytest

from harness.columns import BITS, BYTES, CHARSETS, FLOAT, NUMBER, TEXT, Column, quoted
from harness.images import expected, shown
from harness.task import Task

SEED = int(os.environ.get("BINLOG_BRIDGE_TEST_SEED", "20261127"))
ROWS = int(os.environ.get("BINLOG_BRIDGE_TEST_ROWS", "20000"))
TABLES = 40
COLUMNS_MAX = 24
ROWS_IN_STATEMENT = 50

Random = random.Random
# A type, how SELECT shows it exactly, and a random value as a literal.
Kind = tuple[str, str, Callable[[Random], str]]


def kind(chance: Random) -> Kind:
    return chance.choice([integer, decimal, floating, bit, text, binary, moment, time, year, enum, flags, document, geometry])(chance)


def integer(chance: Random) -> Kind:
    name, bits = chance.choice([("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)])
    if chance.random() < 0.5:
        return f"{name} UNSIGNED", NUMBER, lambda r: str(r.choice([0, 2**bits - 1, r.randrange(2**bits), r.randrange(300) % 2**bits]))
    low = -(2 ** (bits - 1))
    return name, NUMBER, lambda r: str(r.choice([low, -low - 1, r.randrange(low, -low), r.randrange(-100, 100)]))


def decimal(chance: Random) -> Kind:
    precision = chance.randint(1, 65)
    scale = chance.randint(0, min(30, precision))

    def value(r: Random) -> str:
        digits = "".join(r.choice("0123456789" if r.random() < 0.7 else "09") for _ in range(precision))
        sign = r.choice(["", "-"])
        return f"{sign}{digits[: precision - scale] or '0'}{'.' if scale else ''}{digits[precision - scale:]}"

    return f"DECIMAL({precision},{scale})", NUMBER, value


def floating(chance: Random) -> Kind:
    if chance.random() < 0.5:
        return "FLOAT", FLOAT, lambda r: repr(finite(r, "<f", 4))
    return "DOUBLE", FLOAT, lambda r: repr(finite(r, "<d", 8)) + ("e0" if r.random() < 0 else "")


def finite(r: Random, form: str, size: int) -> float:
    while True:
        number = struct.unpack(form, r.randbytes(size))[0]
        if number == number and abs(number) not in (float("inf"),):
            return number


def bit(chance: Random) -> Kind:
    count = chance.randint(1, 64)
    return f"BIT({count})", BITS, lambda r: str(r.getrandbits(count))


def text(chance: Random) -> Kind:
    charset, samples = chance.choice(list(CHARSETS.items()))
    letters = "".join(samples) + "abc 0"
    name = chance.choice(["CHAR(20)", "VARCHAR(40)", "VARCHAR(400)", "TEXT", "TINYTEXT", "MEDIUMTEXT"])
    longest = 20 if name == "CHAR(20)" else 40
    return f"{name} CHARACTER SET {charset}", TEXT, lambda r: quoted("".join(r.choices(letters, k=r.randint(0, longest))))


def binary(chance: Random) -> Kind:
    length = chance.randint(1, 255)
    name = chance.choice([f"BINARY({length})", f"VARBINARY({length})", f"VARBINARY({length * 10})", "BLOB", "TINYBLOB"])
    return name, BYTES, lambda r: f"x'{r.randbytes(r.randint(0, length)).hex()}'" if r.random() < 0.9 else "''"


def moment(chance: Random) -> Kind:
    digits = chance.randint(0, 6)
    name = chance.choice(["DATE", f"DATETIME({digits})", f"TIMESTAMP({digits})"])
    first, last = (0, 2**31 - 1) if name.startswith("TIMESTAMP") else (-62_135_596_800, 253_402_300_799)

    def value(r: Random) -> str:
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=r.randint(first + 1, last), microseconds=0)
        fraction = f".{r.randrange(10**digits):0{digits}}" if digits and name != "DATE" else ""
        day = at.strftime("%m-%d %H:%M:%S")
        return r.choice([f"'{at.year:04}-{day}{fraction}'"] * 9 + ["'0000-00-00'"])

    return name, NUMBER, value


def time(chance: Random) -> Kind:
    digits = chance.randint(0, 6)

    def value(r: Random) -> str:
        fraction = f".{r.randrange(10**digits):0{digits}}" if digits else ""
        return f"'{r.choice(['', '-'])}{r.randint(0, 837)}:{r.randint(0, 59):02}:{r.randint(0, 59):02}{fraction}'"

    return f"TIME({digits})", NUMBER, value


def year(chance: Random) -> Kind:
    return "YEAR", NUMBER, lambda r: str(r.choice([0, r.randint(1901, 2155)]))


def enum(chance: Random) -> Kind:
    count = chance.choice([1, 3, 255, 256, 400])
    return f"ENUM({names(count)})", TEXT, lambda r: str(r.randint(1, count))


def flags(chance: Random) -> Kind:
    count = chance.randint(1, 64)
    return f"SET({names(count)})", TEXT, lambda r: str(r.getrandbits(count))


def names(count: int) -> str:
    return ",".join(f"'ä {number}'" for number in range(count))


def document(chance: Random) -> Kind:
    return "JSON", NUMBER, lambda r: quoted(json.dumps(node(r, 4), ensure_ascii=r.random() < 0.5))


def node(r: Random, depth: int):
    match r.randrange(9 if depth else 6):
        case 0:
            return r.choice([None, True, False])
        case 1:
            return r.choice([r.randrange(-40000, 40000), r.getrandbits(31), -r.getrandbits(62), r.getrandbits(64)])
        case 2:
            return finite(r, "<d", 8)
        case 3:
            return r.choice([r.random(), r.randrange(10**6) / 1000, float(r.randrange(10**17)), 10.0 ** r.randrange(-20, 25)])
        case 4 | 5:
            return "".join(r.choices("aä🐌\"\\\n\x01 ", k=r.choice([0, 3, 20, 200])))
        case 6 | 7:
            return [node(r, depth - 1) for _ in range(r.randrange(6))]
        case 8:
            return {"".join(r.choices("abcä", k=r.randint(0, 4))): node(r, depth - 1) for _ in range(r.randrange(6))}


def geometry(chance: Random) -> Kind:
    def value(r: Random) -> str:
        points = ", ".join(f"{r.randint(-80, 80)} {r.randint(-80, 80)}" for _ in range(r.randint(2, 5)))
        shape = r.choice([f"LINESTRING({points})", f"POINT({r.random()} {r.random()})", f"MULTIPOINT({points})"])
        return f"ST_GeomFromText('{shape}', {r.choice([0, 4326, 3857])})"

    return "GEOMETRY", BYTES, value


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_random_rows_are_what_select_returns(task: Task, metadata: str, say):
    with task.stack.metadata(metadata):
        follow_random_rows(task, say)


def follow_random_rows(task: Task, say) -> None:
    chance = Random(SEED)
    connector = task.connector().start(ready_within=30)
    tables = {f"t{number}": [kind(chance) for _ in range(chance.randint(1, COLUMNS_MAX))] for number in range(TABLES)}
    selected = {table: fill(task, table, kinds, chance) for table, kinds in tables.items()}
    problems = []
    with task.follower(*tables) as follower:
        follower.until(
            lambda: connector.check_running() or all(len(follower.of(task.topic(table))) >= len(selected[table]) for table in tables), "all rows", 900
        )
        for table, kinds in tables.items():
            columns = [Column(sql, [], select) for sql, select, _ in kinds]
            for event in follower.of(task.topic(table)):
                row, after = selected[table][event.value["after"]["id"]], event.value["after"]
                for number, column in enumerate(columns):
                    found, wanted = shown(column, after[f"c{number}"]), expected(column, row[number])
                    if str(found) != str(wanted):
                        problems.append(f"{table}.{after['id']} {column.sql[:50]}: {str(found)[:120]!r} instead of {str(wanted)[:120]!r}")
    assert not problems, f"seed {SEED}: {len(problems)} problems:\n" + "\n".join(problems[:20])
    say(f"seed {SEED}: {sum(map(len, selected.values()))} rows of {TABLES} tables, {sum(map(len, tables.values()))} columns")


def fill(task: Task, table: str, kinds: list[Kind], chance: Random) -> dict[int, tuple]:
    columns = ", ".join(f"c{number} {sql} NULL" for number, (sql, _, _) in enumerate(kinds))
    task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, {columns}) CHARACTER SET utf8mb4")
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        count = ROWS // TABLES
        for first in range(0, count, ROWS_IN_STATEMENT):
            rows = [
                f"({id}, {', '.join('NULL' if chance.random() < 0.1 else value(chance) for _, _, value in kinds)})"
                for id in range(first, min(first + ROWS_IN_STATEMENT, count))
            ]
            cursor.execute(f"INSERT INTO {table} VALUES {', '.join(rows)}")
        connection.commit()
        select = ", ".join(show.format(f"c{number}") for number, (_, show, _) in enumerate(kinds))
        cursor.execute(f"SELECT id, {select} FROM {table}")
        return {row[0]: row[1:] for row in cursor.fetchall()}
