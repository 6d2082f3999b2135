"""Tables and names as large and as odd as servers take them, tables without a key, and rows as large as a record may be: on
servers of each kind, compared with what the server itself selects.

The kinds are those in BINLOG_BRIDGE_TEST_SERVERS: all in a long check.
"""

import json
import pathlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from harness.alphabets import NAME_LETTERS_MAX, letters, longest_name, scripts
from harness.columns import BITS, BYTES, FLOAT, TEXT, Column
from harness.ending import HALTED, ended
from harness.images import create, is_whole, problems, run
from harness.kafka_admin import broker_settings, set_topic
from harness.reader import Event, Follower
from harness.replay import check_equals_select
from harness.servers import IS_LONG, KINDS, events_up_to_now, make_marks, metadata_of, row_metadata
from harness.stack import Stack
from harness.task import ROW_CANARY, Task

# InnoDB's limit, and the one before MySQL 5.6.9.
COLUMNS_MAX, COLUMNS_MAX_OF_55 = 1017, 1000
# Of each type few bytes: all columns of a row must have room on half a page.
NARROW = [
    Column("TINYINT", ["-128", "127", "NULL"]), Column("SMALLINT UNSIGNED", ["0", "65535"]), Column("MEDIUMINT", ["NULL", "-8388608"]),
    Column("INT UNSIGNED", ["4294967295", "1", "NULL"]), Column("DECIMAL(3,1)", ["-99.9", "0.1", "NULL"]), Column("FLOAT", ["1.5", "NULL"], FLOAT),
    Column("BIT(9)", ["511", "NULL", "256"], BITS), Column("CHAR(1)", ["'ä'", "NULL", "''"], TEXT), Column("VARCHAR(2)", ["''", "'ab'", "NULL"], TEXT),
    Column("DATE", ["'2024-02-29'", "NULL", "'0001-01-01'"]), Column("TIME", ["'-838:59:59'", "NULL"]), Column("YEAR", ["2155", "NULL"]),
    Column("ENUM('a','b')", ["'b'", "NULL", "'a'"], TEXT), Column("SET('a','b')", ["'a,b'", "''", "NULL"], TEXT), Column("BINARY(2)", ["x'00ff'", "NULL"], BYTES),
]

ODD_NAMES = [
    "it's", 'double"quote', "back`tick", "`", "''", '"', "a.b.c", ".", "back\\slash", "\\", "trailing\\'", "new\nline", "tab\t\rreturn",
    "%", "_%_", "*", "?*", "-- no comment", "/* nor this */", "#", ";--", " leading", "begin", "1e5", "${x}", "\x01\x7f", "ß", "\u202e",
]
# Of 5.5 to MariaDB 11 a table may have so many columns of long names: these stand in a file of 64 KiB.
LONG_NAMED_COLUMNS_MAX = 250

# Of the scripts a usual run takes each sixth; every letter is in the name of a column.
USUAL_STEP = 6
# The letters of five bytes for which there is room in the name of a file: where the search begins.
GUESS = 51

SMALL_RECORD_BYTES_MAX = 256 * 1024
DEFAULT_RECORD_BYTES_MAX = 16 * 1024 * 1024
# What the numbers around a row may take more or less from record to record.
AROUND_BYTES_MAX = 16
# A statement has two characters for each byte.
PACKET_BYTES_MAX, SMALL_PACKET_BYTES = 64 * 1024 * 1024, 1024 * 1024


@pytest.fixture(scope="module", params=KINDS)
def stack(request: pytest.FixtureRequest, stacks) -> Iterator[Stack]:
    # Nothing here is about a server that crashes.
    with stacks(f"shapes{request.param}", f"--server={request.param}", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0") as stack:
        yield stack


@pytest.fixture
def shop(task: Task) -> Task:
    make_marks(task)
    return task


# Columns


def test_a_table_of_as_many_columns_as_innodb_takes_is_what_select_returns(stack: Stack, tasks, tmp_path: pathlib.Path):
    count = COLUMNS_MAX_OF_55 if stack.kind == "mysql55" else COLUMNS_MAX
    columns = [NARROW[number % len(NARROW)] for number in range(count - 1)]
    for metadata in metadata_of(stack.kind):
        with tasks(stack, tmp_path / metadata) as task, row_metadata(stack, metadata):
            create(task, "wide", columns)
            with pytest.raises(pymysql.MySQLError, match="Too many columns|Can't create table"):
                task.sql("ALTER TABLE wide ADD COLUMN one_more INT")
            connector = task.connector().start(ready_within=60)
            steps = run(task, "wide", columns)
            with task.follower("wide") as follower:
                follower.until(
                    lambda: connector.check_running() or is_whole(follower.events, steps), lambda: f"all rows; it printed:\n{connector.tail()}", 60,
                )
                events = follower.drain().events
            found = problems(events, steps, columns, stack.kind)
            assert not found, f"{metadata}: {len(found)} problems:\n" + "\n".join(found[:10])


# Names


@dataclass(frozen=True)
class Name:
    """Of a table, of the database it is in, and of a column in it."""

    database: str
    table: str
    column: str

    def __str__(self) -> str:
        return f"{quoted(self.database)}.{quoted(self.table)}"


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    return f"CONVERT(x'{text.encode().hex()}' USING utf8mb4)"


def test_fault_102_names_as_long_as_the_server_takes_in_each_script_are_followed(shop: Task, say: Callable[[str], None]):
    """A database's name is that of a directory, and a table's that of a file, where a letter takes three or five bytes of the
    255 that Linux gives: so such a name has as many letters as the server finds room for. A column's always has 64."""
    names = {}
    try:
        with shop.connect() as connection, connection.cursor() as cursor:
            for script, letters in list(scripts().items())[:: 1 if IS_LONG else USUAL_STEP]:
                column = longest_name(letters)
                database = longest(column, lambda name: takes_database(cursor, name), GUESS)
                cursor.execute(f"CREATE DATABASE {quoted(database)}")
                names[script] = Name(database, database, column)
                table = longest(column, lambda name: takes_table(cursor, Name(database, name, column)), len(database))
                names[script] = Name(database, table, column)
        with row_metadata(shop.stack, metadata_of(shop.stack.kind)[-1]):
            check_names(shop, names, [name.database for name in names.values()])
    finally:
        for name in names.values():
            shop.stack.sql(f"DROP DATABASE {quoted(name.database)}")
    for what, lengths in ("databases", [len(name.database) for name in names.values()]), ("tables", [len(name.table) for name in names.values()]):
        say(f"names of {what} have " + ", ".join(f"{length} letters in {count} scripts" for length, count in sorted(Counter(lengths).items())))


def longest(name: str, is_taken: Callable[[str], bool], guess: int) -> str:
    """The longest beginning of a name that is taken: shorter ones are, longer ones are not."""
    while guess < len(name) and is_taken(name[: guess + 1]):
        guess += 1
    while not is_taken(name[:guess]):
        guess -= 1
    return name[:guess]


def takes_database(cursor: Any, name: str) -> bool:
    return takes(cursor, f"DATABASE {quoted(name)}", f"CREATE DATABASE {quoted(name)}")


def takes_table(cursor: Any, name: Name) -> bool:
    """Old servers make tables that they cannot change."""
    return takes(cursor, f"TABLE {name}", f"CREATE TABLE {name} (id INT)", f"ALTER TABLE {name} ADD COLUMN more INT FIRST")


def takes(cursor: Any, what: str, *statements: str) -> bool:
    try:
        for statement in statements:
            cursor.execute(statement)
        return True
    except pymysql.MySQLError:
        return False
    finally:
        with suppress(pymysql.MySQLError):
            cursor.execute(f"DROP {what}")


@pytest.mark.parametrize("metadata", ["most", "least"] if IS_LONG else ["least"])
def test_fault_102_names_of_quotes_dots_and_what_else_is_taken_are_followed(shop: Task, metadata: str):
    names = {f"odd{number}": Name(f"{shop.database}-{name}", name, name) for number, name in enumerate(ODD_NAMES)}
    for name in names.values():
        shop.stack.sql(f"CREATE DATABASE {quoted(name.database)}")
    try:
        with row_metadata(shop.stack, metadata_of(shop.stack.kind)[-(metadata == "least")]):
            check_names(shop, names, [f"{shop.database}-*"])
    finally:
        for name in names.values():
            shop.stack.sql(f"DROP DATABASE {quoted(name.database)}")


def test_fault_102_a_name_with_a_line_end_ends_no_line_that_is_printed(shop: Task):
    connector = shop.connector().start(ready_within=60)
    name = f"x\nremedy: trust {ROW_CANARY[::-1]}\r\x1b[2J"
    shop.sql(f"CREATE TABLE {quoted(name)} (id INT)")
    with shop.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute(f"INSERT INTO {quoted(name)} VALUES (1)")
    error, _ = ended(connector, HALTED, "STATEMENT", ROW_CANARY[::-1])
    assert "remedy: trust" in error and error.isprintable()
    logged = connector.stderr().splitlines()[:-2]
    assert all(line.isprintable() and json.loads(line) for line in logged)


def check_names(task: Task, names: dict[str, Name], databases: list[str]) -> None:
    """Follows tables of these names, one half from the statement that makes them and the other as the server describes them,
    and all through statements that change them while nobody looks."""
    # `kafka.tables` takes what is before the first dot for the database.
    topics = {f"{name.database}.{name.table}": {"topic_name": task.topic(topic)} for topic, name in names.items() if "." not in name.database}
    connector = task.connector(select={"databases": [task.database, *databases]}, kafka={"tables": topics})
    with task.connect() as connection, connection.cursor() as cursor:
        for number, name in enumerate(sorted(names.values(), key=str)):
            if number == len(names) // 2:
                connector.start(ready_within=60)
            cursor.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY, {quoted(name.column)} VARCHAR(99)) CHARACTER SET utf8mb4")
        for name in names.values():
            cursor.execute(f"INSERT INTO {name} VALUES (1, {literal(name.column)})")
        events_up_to_now(task, connector)
        connector.kill()
        for name in names.values():
            added = quoted(f"{name.column[:62]}_2")
            cursor.execute(f"ALTER TABLE {name} ADD COLUMN {added} VARCHAR(99) DEFAULT 'x' FIRST")
            cursor.execute(f"INSERT INTO {name} (id, {quoted(name.column)}) VALUES (2, {literal(name.table)})")
            cursor.execute(f"UPDATE {name} SET {quoted(name.column)} = {added} WHERE id = 1")
    connector.start(ready_within=60)
    # A topic that is not named has the names of its table as far as Kafka takes them.
    topics = {topic: task.topic(topic) if "." not in name.database else default_topic(task, name) for topic, name in names.items()}
    events_up_to_now(task, connector)
    with Follower(task.stack, topics.values()) as follower:
        follower.until(lambda: len(follower.events) >= 3 * len(names), "the topics of all tables", 60)
        follower.drain()
    with task.connect() as connection, connection.cursor() as cursor:
        for topic, name in names.items():
            events = follower.of(topics[topic])
            assert [event.value["op"] for event in events] == ["c", "c", "u"], name
            assert {(event.value["source"]["db"], event.value["source"]["table"]) for event in events} == {(name.database, name.table)}
            check_equals_select_by_place(cursor, str(name), events, published_names(task, topics[topic]))


def check_equals_select_by_place(cursor: Any, table: str, events: list[Event], names: list[str]) -> None:
    """Where Avro does not take the names of columns. The last event of each row has what the server selects, in its order."""
    rows = {event.key["id"]: tuple(event.value["after"].values()) for event in events}
    cursor.execute(f"SELECT * FROM {table} ORDER BY id")
    assert list(cursor.fetchall()) == [row for _, row in sorted(rows.items())], table
    assert [column[0] for column in cursor.description] == names


def default_topic(task: Task, name: Name) -> str:
    return f"{task.name}.{taken_by_kafka(name.database)}.{taken_by_kafka(name.table)}"


def taken_by_kafka(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def published_names(task: Task, topic: str) -> list[str]:
    """What the newest schema says that columns are called on the server."""
    schema = json.loads(task.stack.registry_get(f"subjects/{topic}-value/versions/latest")["schema"])
    before = next(field for field in schema["fields"] if field["name"] == "before")
    return [field.get("mysql.name", field["name"]) for field in before["type"][1]["fields"]]


def test_columns_whose_names_have_every_letter_of_the_basic_multilingual_plane_are_followed(stack: Stack, tasks, tmp_path: pathlib.Path):
    every = letters()
    # Numbered, since some letters are the same to the server.
    width = NAME_LETTERS_MAX - len("c0000_")
    columns = [f"c{at // width:04}_{every[at : at + width]}" for at in range(0, len(every), width)]
    tables = {f"t{at}": columns[at : at + LONG_NAMED_COLUMNS_MAX] for at in range(0, len(columns), LONG_NAMED_COLUMNS_MAX)}
    for metadata in metadata_of(stack.kind):
        with tasks(stack, tmp_path / metadata) as task, row_metadata(stack, metadata):
            make_marks(task)
            connector = task.connector().start(ready_within=60)
            for table, names in tables.items():
                task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, {', '.join(f'{quoted(name)} INT' for name in names)})")
                task.sql(f"INSERT INTO {table} VALUES (1, {', '.join(map(str, range(len(names))))})")
                task.sql(f"UPDATE {table} SET {quoted(names[-1])} = -1")
            events = events_up_to_now(task, connector, *tables)
            with task.connect() as connection, connection.cursor() as cursor:
                for table in tables:
                    assert [event.value["op"] for event in events[table]] == ["c", "u"]
                    check_equals_select_by_place(cursor, table, events[table], published_names(task, task.topic(table)))


# Tables without a key


@pytest.mark.parametrize("metadata", ["most", "least"] if IS_LONG else ["least"])
def test_rows_without_any_key_are_those_of_select_as_often_as_they_are_there(shop: Task, metadata: str):
    chance = random.Random(3)
    shop.sql("CREATE TABLE log (at INT, what VARCHAR(40), body BLOB, size DOUBLE)")
    with row_metadata(shop.stack, metadata_of(shop.stack.kind)[-(metadata == "least")]):
        connector = shop.connector().start(ready_within=60)
        with shop.connect() as connection, connection.cursor() as cursor:
            for step in range(60):
                at = chance.randrange(8)
                match chance.randrange(4):
                    case 0 | 1:
                        row = (at, chance.choice([None, "a", "ä"]), chance.choice([None, b"", b"\x00\xff" * 400]), at / 4)
                        count = chance.randint(1, 4)
                        cursor.execute(f"INSERT INTO log VALUES {', '.join(['(%s, %s, %s, %s)'] * count)}", row * count)
                    case 2:
                        cursor.execute("UPDATE log SET what = 'b', size = size + 1 WHERE at = %s LIMIT %s", (at, chance.randint(1, 3)))
                    case 3:
                        cursor.execute("DELETE FROM log WHERE at = %s LIMIT 1", (at,))
        events = events_up_to_now(shop, connector, "log")["log"]
    left = check_equals_select(shop.stack, f"{shop.database}.log", events, keyed=False)
    ops = Counter(event.value["op"] for event in events)
    assert left > 10 and min(ops[op] for op in "cud") > 5, ops


# Rows as large as a record may be


@pytest.mark.parametrize("limit, room", [
    pytest.param(DEFAULT_RECORD_BYTES_MAX, 2, id="default"),
    pytest.param(SMALL_RECORD_BYTES_MAX, 1, id="exactly"),
    *([pytest.param(SMALL_RECORD_BYTES_MAX, 2, id="small")] if IS_LONG else []),
])
def test_fault_46_a_record_just_below_the_limit_is_published_and_one_just_above_it_as_soon_as_the_remedy_is_followed(shop: Task, limit: int, room: int):
    """Each place that the remedy names gets room for so many times what the record has, as the cause says."""
    # Of no engine whose log bounds how large a value may be.
    shop.sql("CREATE TABLE notes (id INT PRIMARY KEY, note LONGBLOB) ENGINE=MyISAM")
    limits = {"limits": {"record_bytes_max": limit}} if limit != DEFAULT_RECORD_BYTES_MAX else {}
    with shop.stack.set_global("max_allowed_packet", PACKET_BYTES_MAX):
        connector = shop.connector(**limits).start(ready_within=60)
        insert_note(shop, 1, limit // 2)
        around = record_bytes(shop.read("notes", 1)[0]) - limit // 2
        insert_note(shop, 2, limit - around - AROUND_BYTES_MAX)
        assert limit - 2 * AROUND_BYTES_MAX <= record_bytes(shop.read("notes", 2)[-1]) <= limit
        insert_note(shop, 3, limit - around + AROUND_BYTES_MAX)
        insert_note(shop, 4, 10)
        error, remedy = ended(connector, HALTED, f"{shop.database}.notes", f"limits.record_bytes_max = {limit}", seconds=60)
        assert len(shop.read("notes", 2)) == 2
        size = int(re.search(r"its record has (\d+) bytes", error)[1]) * room
        assert "limits.record_bytes_max" in remedy and "max.message.bytes of the topic" in remedy and "message.max.bytes of the brokers" in remedy
        packed = size + int(re.search(r"(\d+) bytes more", remedy)[1])
        set_topic(shop.stack, shop.topic("notes"), max_message_bytes=packed)
        with broker_settings(shop.stack, message_max_bytes=packed):
            larger = shop.connector("larger", limits={"record_bytes_max": size}).start(ready_within=60)
            events = events_up_to_now(shop, larger, "notes")["notes"]
        assert check_equals_select(shop.stack, f"{shop.database}.notes", events, keyed=True) == 4


def test_an_event_larger_than_the_servers_packets_stops_neither_this_run_nor_the_next(shop: Task):
    """A statement is not larger than a packet, but what an update leaves in the binlog has the row twice."""
    if shop.stack.kind == "mysql55":
        pytest.skip("this server sends such an event to nobody")
    shop.sql("CREATE TABLE notes (id INT PRIMARY KEY, note LONGBLOB)")
    # What other tests wrote is in other files.
    shop.stack.sql("FLUSH LOGS")
    with shop.stack.set_global("max_allowed_packet", SMALL_PACKET_BYTES):
        connector = shop.connector().start(ready_within=60)
        insert_note(shop, 1, SMALL_PACKET_BYTES * 2 // 5)
        shop.sql("UPDATE notes SET note = CONCAT(note, note)")
        shop.sql("UPDATE notes SET note = REVERSE(note)")
        assert len(shop.read("notes", 3)) == 3
        connector.kill()
        insert_note(shop, 2, 10)
        connector.start(ready_within=20)
        events = events_up_to_now(shop, connector, "notes", seconds=20)["notes"]
    assert check_equals_select(shop.stack, f"{shop.database}.notes", events, keyed=True) == 2


def insert_note(task: Task, id: int, size: int) -> None:
    """Of bytes that nothing makes fewer."""
    task.sql("INSERT INTO notes VALUES (%s, UNHEX(%s))", id, random.Random(id).randbytes(size).hex())


def record_bytes(event: Event) -> int:
    return len(event.key_bytes) + len(event.value_bytes)
