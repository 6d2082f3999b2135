"""Names with quotes, dots and backslashes, of 64 letters of many alphabets, and SQL that quotes them by `"`."""

import json

import pytest

from harness.reader import read_all
from harness.stack import Stack
from harness.task import Task

# First letters of alphabets of the Basic Multilingual Plane, as many as there is room for in a name.
ALPHABETS = {
    "latin": 0x61, "greek": 0x3B1, "cyrillic": 0x430, "armenian": 0x561, "hebrew": 0x5D0, "arabic": 0x628, "devanagari": 0x905,
    "thai": 0xE01, "georgian": 0x10D0, "ethiopic": 0x1200, "cherokee": 0x13A0, "katakana": 0x30A1, "ideographs": 0x4E00, "hangul": 0xAC00,
}
LETTERS = 20
OTHERS = [
    "back\\slash", "it's", 'double"quote', "back`tick", "a.b.c", "with space", "-- no comment", "/* nor this */", "begin", "table", "ß", "semi;colon",
]
# Of a table and of a column in it. The file of a table of more letters would have a longer name than Linux takes.
NAMES = {name: f"{name}_" for name in OTHERS}
for first in ALPHABETS.values():
    letters = "".join(chr(first + number % LETTERS) for number in range(64))
    NAMES[letters if first < 0x500 else letters[:50]] = letters


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(name: str) -> str:
    return "'" + name.replace("'", "''").replace("\\", "\\\\") + "'"


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_fault_57_102_names_of_all_kinds_in_ansi_quotes_are_followed_from_statement_to_statement(rough_stack: Stack, tasks, tmp_path, metadata: str):
    with tasks(rough_stack, tmp_path) as task, rough_stack.metadata(metadata):
        tables = {name: f"t{number}" for number, name in enumerate(NAMES)}
        topics = {f"{task.database}.{name}": {"topic_name": task.topic(topic)} for name, topic in tables.items()}
        connector = task.connector(kafka={"tables": topics}, events={"schema_updates": True}).start(ready_within=60)
        with task.connect(init_command="SET sql_mode = 'ANSI_QUOTES'") as connection, connection.cursor() as cursor:
            for name in tables:
                cursor.execute(f'CREATE TABLE {quoted(name)} -- a "comment;\n ("id" INT PRIMARY KEY, "begin" INT) DEFAULT CHARSET utf8mb4')
                cursor.execute(f"INSERT INTO {quoted(name)} VALUES (1, 2)")
            task.read(f"t{len(NAMES) - 1}", 1)
            connector.kill()
            # What the table is at the second row only the statements say.
            for name, column in NAMES.items():
                table = quoted(name)
                cursor.execute(f"ALTER TABLE {table} /*!80000 ADD */ {quoted(column)} VARCHAR(99) DEFAULT {literal(name)}")
                cursor.execute(f"INSERT INTO {table} (\"id\", \"begin\") VALUES (2, 3)")
                cursor.execute(f'ALTER TABLE {task.database}.{table} RENAME COLUMN "begin" TO "commit", COMMENT=\'"\'')
                cursor.execute(f"INSERT INTO {table} (\"id\", \"commit\") VALUES (3, 4)")
        connector.start(ready_within=60)
        with task.follower(f"t{len(NAMES) - 1}") as follower:
            follower.until(lambda: connector.check_running() or len(follower.events) == 3, "the last rows")
        for name, topic in tables.items():
            events = task.read(topic, 3)
            assert {event.value["source"]["table"] for event in events} == {name}
            afters = [event.value["after"] for event in events]
            assert [list(after.values()) for after in afters] == [[1, 2], [2, 3, name], [3, 4, name]], name
            assert [list(after)[1] for after in afters] == ["begin", "begin", "commit"]
            column = columns(task, topic)[-1]
            assert column.get("mysql.name", column["name"]) == NAMES[name]
        connector.check_running()
        told = [event.value for event in read_all(task.stack, f"{task.name}.schema-changes")]
        assert {each["name"] for change in told for each in change["objects"]} == set(NAMES)
        assert [change["kind"] for change in told] == ["CREATE"] * len(NAMES) + ["ALTER"] * 2 * len(NAMES)


def columns(task: Task, topic: str) -> list[dict]:
    schema = json.loads(task.stack.registry_get(f"subjects/{task.topic(topic)}-value/versions/latest")["schema"])
    before = next(field for field in schema["fields"] if field["name"] == "before")
    return before["type"][1]["fields"]
