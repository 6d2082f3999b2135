"""`binlog_row_value_options=PARTIAL_JSON`: documents that are logged by their changes come out as SELECT returns them."""

import json
import random

from harness.ending import HALTED, ended
from harness.task import Task

SEED = 3
ROWS = 12
STEPS = 150


def document(chance: random.Random) -> dict:
    return {
        "a": chance.randint(0, 9), "text": "x" * 200, "list": [chance.randint(0, 99) for _ in range(6)],
        "dotted.key": {"inner": ["ä🐌", {"deep": None}]}, 'quo"te': "\\", "big": "y" * 70000 if chance.random() < 0.1 else "",
    }


def change(chance: random.Random) -> str:
    """An expression that the server can log as a change of column d."""
    number = chance.randint(-70000, 70000)
    return chance.choice([
        f"JSON_SET(d, '$.a', {number})",
        f"JSON_REPLACE(d, '$.list[{chance.randint(0, 5)}]', {number})",
        f"JSON_SET(d, '$.text', REPEAT('z', {chance.randint(0, 250)}))",
        f"JSON_SET(d, '$.new{chance.randint(0, 3)}', JSON_OBJECT('n', {number}, 'at', CAST(NOW(6) AS JSON)))",
        "JSON_REMOVE(d, '$.new1')",
        "JSON_REMOVE(d, '$.list[0]')",
        f"JSON_SET(d, '$.list[{chance.randint(0, 9)}]', 1.50)",
        f"JSON_REPLACE(d, '$.\"dotted.key\".inner[1].deep', '{chance.choice('pq')}')",
        "JSON_SET(d, '$.\"quo\\\\\"te\"', 1e0)",
        f"JSON_SET(d, '$.\"sp ace ä\"', {number}, '$.a', NULL)",
        "JSON_REMOVE(d, '$.text', '$.a')",
        f"JSON_SET(d, '$.list[last]', {number})",
        f"JSON_REPLACE(d, '$.list[last-{chance.randint(0, 3)}]', {number})",
        f"JSON_REMOVE(d, '$.list[last - {chance.randint(0, 7)}]')",
        f"JSON_ARRAY_INSERT(d, '$.list[last-{chance.randint(0, 9)}]', {number})",
        f"JSON_ARRAY_INSERT(d, '$.list[{chance.randint(0, 9)}]', {number})",
        f"JSON_SET(d, '$.\"dotted.key\".inner[last].deep', {number})",
        f"JSON_ARRAY_APPEND(d, '$.list[last]', {number})",
        "d",
    ])


def test_fault_34_documents_that_are_logged_by_their_changes_equal_select(task: Task):
    chance = random.Random(SEED)
    task.sql("CREATE TABLE documents (id INT PRIMARY KEY, d JSON, n INT, other JSON)")
    connector = task.connector().start(ready_within=30)
    states: dict[int, list[tuple[str, int, str]]] = {}
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
        for id in range(ROWS):
            cursor.execute("INSERT INTO documents VALUES (%s, %s, 0, '[1]')", (id, json.dumps(document(chance))))
        for step in range(STEPS):
            # The changes of both, of one, and none.
            also = chance.choice(["", ", other = JSON_ARRAY_APPEND(other, '$', n)", ", other = JSON_SET(other, '$[0]', n)", ", other = NULL"])
            id = chance.randrange(ROWS)
            cursor.execute(f"UPDATE documents SET d = {change(chance)}, n = {step + 1}{also} WHERE id = {id}")
            cursor.execute("SELECT CAST(d AS CHAR), n, CAST(other AS CHAR) FROM documents WHERE id = %s", (id,))
            states.setdefault(id, []).append(cursor.fetchone())
        cursor.execute("DELETE FROM documents")
    with task.follower("documents") as follower:
        topic = task.topic("documents")
        follower.until(lambda: connector.check_running() or sum(e.value["op"] == "d" for e in follower.of(topic)) == ROWS, "all rows", 60)
        events = follower.of(topic)
    assert partial_events(task) > STEPS / 2, "the server logged no changes"
    for id, expected in states.items():
        updates = [e.value["after"] for e in events if e.value["op"] == "u" and e.value["after"]["id"] == id]
        assert [(row["d"], row["n"], row["other"]) for row in updates] == expected


def test_fault_34_changes_are_told_apart_though_images_lack_documents(task: Task):
    """Without a key a MINIMAL before image has all columns, and an after image what was changed."""
    columns = [f"d{number}" for number in range(10)]
    task.sql(f"CREATE TABLE documents (id INT, {', '.join(f'{column} JSON' for column in columns)})")
    connector = task.connector().start(ready_within=30)
    expected = []
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON', binlog_row_image = MINIMAL")
        document = json.dumps({"a": 0, "text": "x" * 100})
        cursor.execute(f"INSERT INTO documents VALUES (1, {', '.join(['%s'] * 10)})", [document] * 10)
        for step, changed in enumerate([["d9"], ["d0"], ["d3", "d8"], columns, ["d1", "d2", "d9"]], 1):
            changes = ", ".join(
                f"{column} = " + (f"JSON_SET({column}, '$.a', {step})" if column != "d2" else f"JSON_OBJECT('whole', {step})") for column in changed
            )
            cursor.execute(f"UPDATE documents SET {changes}")
            cursor.execute(f"SELECT {', '.join(f'CAST({column} AS CHAR)' for column in columns)} FROM documents")
            row = dict(zip(columns, cursor.fetchone()))
            expected.append({column: row[column] if column in changed else None for column in columns})
    with task.follower("documents") as follower:
        topic = task.topic("documents")
        follower.until(lambda: connector.check_running() or len(follower.of(topic)) == 6, "all rows", 60)
        updates = [event.value for event in follower.of(topic)][1:]
    assert [{column: value["after"][column] for column in columns} for value in updates] == expected
    for value, row in zip(updates, expected):
        assert value["source"]["unset_after"] == ["id", *(column for column in columns if row[column] is None)]


def test_fault_34_changes_of_a_document_that_is_not_in_the_before_image_halt(task: Task):
    task.sql("CREATE TABLE documents (id INT PRIMARY KEY, d JSON)")
    connector = task.connector().start(ready_within=30)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON', binlog_row_image = MINIMAL")
        cursor.execute("INSERT INTO documents VALUES (1, JSON_OBJECT('a', 1, 'b', REPEAT('x', 100)))")
        cursor.execute("UPDATE documents SET d = JSON_SET(d, '$.a', 2)")
    ended(connector, HALTED, "binlog_row_value_options", "column d")
    assert len(task.read("documents", 1)) == 1


def partial_events(task: Task) -> int:
    file, _ = task.stack.binlog_end()
    return sum(row[2] == "Update_rows_partial" for row in task.stack.sql(f"SHOW BINLOG EVENTS IN '{file}'"))
