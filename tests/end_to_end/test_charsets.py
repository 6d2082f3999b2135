"""Text in every character set of the server: the connector's tables are what a server answers."""

import os

import pytest

from harness import charsets
from harness.ending import HALTED, ended
from harness.stack import Stack
from harness.task import Task


def test_charset_tables_are_those_of_the_server(stack: Stack):
    with stack.connect() as connection:
        if os.environ.get("BINLOG_BRIDGE_RECORD"):
            charsets.write_all(connection)
        for charset in charsets.all_charsets():
            assert (charsets.TABLES / f"{charset}.bin").read_bytes() == charsets.record(connection, charset), charset


def test_every_charset_of_the_server_is_known(stack: Stack):
    counted = ["ascii", "binary", "ucs2", "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4"]
    rows = stack.sql("SELECT character_set_name FROM information_schema.character_sets ORDER BY 1")
    assert [row[0] for row in rows] == sorted(charsets.all_charsets() + counted)


# What a column becomes one after another, and a text that only that character set has, or has otherwise than those beside it.
WORDS = {
    "latin1": "Größe €", "gbk": "大小 漢字", "sjis": "表示ソ", "utf8mb3": "Größe 大 表", "cp1251": "размер", "big5": "功許蓋",
    "utf16": "Größe 𝄞", "ascii": "plain", "utf8mb4": "大 表 𝄞", "ujis": "表示ソ",
}
# Bytes that a server takes for a character of the set, and that stand for none.
DAMAGED = {"gbk": "FEFE", "sjis": "FCFC", "cp1251": "98"}


@pytest.fixture(params=["FULL", "MINIMAL"])
def metadata(request, stack: Stack):
    with stack.metadata(request.param):
        yield request.param


@pytest.mark.parametrize("is_killed", [False, True])
def test_fault_59_text_is_right_before_and_behind_each_change_of_a_columns_character_set(task: Task, metadata: str, is_killed: bool):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(20), rest TEXT) CHARSET latin1")
    connector = task.connector().start(ready_within=30)
    for number, (charset, word) in enumerate(WORDS.items()):
        # Of one column, and of the whole table: then also of the column that the row leaves as it is.
        change = f"MODIFY word VARCHAR(20) CHARACTER SET {charset}" if number % 2 else f"CONVERT TO CHARACTER SET {charset}"
        task.sql("DELETE FROM t")
        task.sql(f"ALTER TABLE t {change}")
        task.sql("INSERT INTO t VALUES (%s, %s, 'plain')", number, word)
        if is_killed and number % 3 == 0:
            task.read("t", 2 * number + 1)
            connector.kill()
            connector.start(ready_within=30)
        # Alone a collation changes no byte.
        task.sql(f"ALTER TABLE t MODIFY word VARCHAR(20) CHARACTER SET {charset} COLLATE {charset}_bin")
    task.sql("DELETE FROM t")
    events = task.read("t", 2 * len(WORDS))
    assert [event.value["after"]["word"] for event in events if event.value["op"] == "c"] == list(WORDS.values())
    assert [event.value["before"]["word"] for event in events if event.value["op"] == "d"] == list(WORDS.values())
    assert len(task.stack.registry_get(f"subjects/{task.topic('t')}-value/versions")) <= len(WORDS)
    connector.check_running()


def test_fault_59_a_table_has_the_character_set_that_its_database_had_when_it_was_made(task: Task, metadata: str):
    connector = task.connector().start(ready_within=30)
    for number, (charset, word) in enumerate(WORDS.items()):
        task.sql(f"ALTER DATABASE CHARACTER SET {charset}")
        task.sql(f"CREATE TABLE of_{charset} (id INT PRIMARY KEY, word VARCHAR(20))")
        # The tables that were made before keep theirs.
        for before, other in list(WORDS.items())[: number + 1]:
            task.sql(f"INSERT INTO of_{before} VALUES (%s, %s)", number, other)
    for number, (charset, word) in enumerate(WORDS.items()):
        events = task.read(f"of_{charset}", len(WORDS) - number)
        assert [event.value["after"]["word"] for event in events] == [word] * (len(WORDS) - number), charset
    connector.check_running()


def test_fault_59_a_column_that_was_bytes_is_text_behind_the_change_and_the_other_way_round(task: Task, metadata: str):
    connector = task.connector(registry={"incompatible": "new_version"}).start(ready_within=30)
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(20)) CHARSET gbk")
    expected = []
    for number, (kind, value) in enumerate([
        ("VARCHAR(20) CHARACTER SET gbk", "大小"), ("VARBINARY(40)", "大小".encode("gbk")), ("VARCHAR(20) CHARACTER SET sjis", "表示"),
        ("VARCHAR(40) CHARACTER SET binary", b"\x00\xff"), ("VARCHAR(20) CHARACTER SET utf8mb4", "𝄞"),
    ]):
        task.sql("DELETE FROM t")
        task.sql(f"ALTER TABLE t MODIFY word {kind}")
        task.sql(f"INSERT INTO t VALUES (%s, {'_binary ' if isinstance(value, bytes) else ''}%s)", number, value)
        expected.append(value)
        task.read("t", 2 * number + 1)
    events = task.read("t", 2 * len(expected) - 1)
    assert [event.value["after"]["word"] for event in events if event.value["op"] == "c"] == expected
    connector.check_running()


@pytest.mark.parametrize("charset", DAMAGED)
def test_fault_59_bytes_that_are_no_text_of_the_columns_character_set_halt_or_are_replaced(task: Task, metadata: str, charset: str):
    code = DAMAGED[charset]
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(20) CHARACTER SET latin1)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 'plain')")
    task.sql(f"ALTER TABLE t MODIFY word VARCHAR(20) CHARACTER SET {charset}")
    task.sql("UPDATE t SET word = 'whole'")
    task.read("t", 2)
    task.sql(f"UPDATE t SET word = _{charset} x'61{code}62'")
    ended(connector, HALTED, "column word", "invalid_text: replace")
    task.read("t", 2)
    task.connector("replacing", events={"types": {"invalid_text": "replace"}}).start(ready_within=30)
    expected = f"a{chr(0xfffd) * (len(code) // 2)}b"
    assert [event.value["after"]["word"] for event in task.read("t", 3)] == ["plain", "whole", expected]
    # What the column held comes to be its text again once the bytes are of it.
    task.sql("UPDATE t SET word = 'whole'")
    assert [event.value["before"]["word"] for event in task.read("t", 4)[3:]] == [expected]


def test_fault_59_a_member_that_is_no_text_concerns_only_rows_that_have_it(task: Task, metadata: str):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, kind ENUM('a', x'62ff') COLLATE binary, marks SET('a', 'é') CHARACTER SET latin1)")
    connector = task.connector().start(ready_within=30)
    # The server leaves the bytes of é as they are: they are no text any more.
    task.sql("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4")
    task.sql("INSERT INTO t VALUES (1, 'a', 'a')")
    task.read("t", 1)
    task.sql("UPDATE t SET kind = 2")
    ended(connector, HALTED, "column kind", "invalid_text: replace")
    task.connector("replacing", events={"types": {"invalid_text": "replace"}}).start(ready_within=30)
    assert [event.value["after"]["kind"] for event in task.read("t", 2)] == ["a", "b\ufffd"]
    if metadata == "FULL":
        task.sql("UPDATE t SET marks = 3")
        assert task.read("t", 3)[2].value["after"]["marks"] == ["a", "\ufffd"]


def test_fault_59_members_that_the_server_shows_under_one_name_are_not_taken_for_each_other(task: Task, metadata: str):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, kind ENUM('caf', 'café', 'b') CHARACTER SET latin1)")
    connector = task.connector(events={"types": {"invalid_text": "replace"}}).start(ready_within=30)
    task.sql("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4")
    task.sql("INSERT INTO t VALUES (1, 'b')")
    task.read("t", 1)
    task.sql("UPDATE t SET kind = 2")
    if metadata == "FULL":
        assert task.read("t", 2)[1].value["after"]["kind"] == "caf\ufffd"
        return
    ended(connector, HALTED, "column kind", "cut off", "binlog_row_metadata=FULL")
    task.read("t", 1)


def test_fault_59_a_member_that_the_server_may_not_show_whole_concerns_only_rows_that_have_it(task: Task, metadata: str):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, kind ENUM('a', 'b\U0001f600') NOT NULL, n INT DEFAULT 7)")
    connector = task.connector(events={"types": {"invalid_text": "replace"}}).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 'a', 1)")
    task.read("t", 1)
    task.sql("UPDATE t SET kind = 2")
    if metadata == "FULL":
        assert task.read("t", 2)[1].value["after"]["kind"] == "b\U0001f600"
        schema = task.stack.registry_get(f"subjects/{task.topic('t')}-value/versions/latest")["schema"]
        assert '"default":7' in schema
        return
    ended(connector, HALTED, "column kind", "question mark", "binlog_row_metadata=FULL")
    task.connector("masked", events={"columns": [{"names": [f"{task.database}.t.kind"], "mask": {"fixed": "x"}}]}).start(ready_within=30)
    assert [event.value["after"]["kind"] for event in task.read("t", 2)] == ["a", "x"]
