"""`binlog_row_image` MINIMAL and NOBLOB: what an image lacks is null and named, and can be told from NULL."""

import random
from typing import Any

import pytest

from harness.reader import Event
from harness.replay import select
from harness.task import Task

IMAGES = ["FULL", "MINIMAL", "NOBLOB"]
DEFAULTS = {"name": "new", "amount": 7, "note": None, "body": None, "flags": ["a"], "day": None, "size": "small"}
TABLES = {
    "keyed": "PRIMARY KEY (id)",
    "composite": "PRIMARY KEY (name, id)",
    "dated": "PRIMARY KEY (day, id)",
    "unique_only": "UNIQUE KEY (id)",
    "keyless": "KEY (id)",
}
SEED = 7


@pytest.fixture(params=TABLES)
def table(request, task: Task) -> str:
    task.sql(
        f"""CREATE TABLE {request.param} (amount INT NOT NULL DEFAULT 7, id INT NOT NULL, note VARCHAR(20),
        name VARCHAR(20) NOT NULL DEFAULT 'new', body TEXT, flags SET('a','b') NOT NULL DEFAULT 'a',
        day DATE NOT NULL DEFAULT '0000-00-00', size ENUM('small','large') NOT NULL DEFAULT 'small', {TABLES[request.param]})""",
    )
    return request.param


def test_fault_33_rows_are_rebuilt_from_images_that_lack_columns(task: Task, table: str):
    connector = task.connector().start(ready_within=30)
    chance = random.Random(SEED)
    # Full images first, so that the schema is widened while rows flow.
    change(task, table, ["FULL"], chance, range(10))
    change(task, table, IMAGES, chance, range(10, 60))
    follow(task, connector, table, 60)
    # The next run knows that the schema is widened.
    connector.kill()
    connector.start(ready_within=30)
    change(task, table, IMAGES, chance, range(60, 80))
    events = follow(task, connector, table, 80)
    rows = rebuild(events, table)
    assert sorted(map(str, rows)) == sorted(str(dict(row)) for row in as_published(task, table))
    lacking = [event for event in events if event.value["source"]["unset_before"] or event.value["source"]["unset_after"]]
    assert len(lacking) > 20
    if table != "keyless":
        assert len(task.stack.registry_get(f"subjects/{task.topic(table)}-value/versions")) == 2


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 17])  # around the bytes of a bit for each
def test_fault_33_53_rows_that_take_the_place_of_others_keep_their_columns(task: Task, image: str, columns: int):
    """Of REPLACE and ON DUPLICATE KEY UPDATE the server says with other bits which columns an image has."""
    names = [f"c{number}" for number in range(columns)]
    task.sql(f"CREATE TABLE replaced (id INT PRIMARY KEY, {', '.join(f'{name} INT' for name in names)}, body TEXT)")
    connector = task.connector().start(ready_within=30)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET SESSION binlog_row_image = {image}")
        for value, tail in [(1, ""), (2, ""), (3, f" ON DUPLICATE KEY UPDATE {', '.join(f'{name} = 4' for name in names)}, body = 'd'")]:
            verb = "INSERT" if tail or value == 1 else "REPLACE"
            cursor.execute(f"{verb} INTO replaced VALUES (1, {', '.join([str(value)] * columns)}, 'b{value}'){tail}")
        cursor.execute("DELETE FROM replaced")
    task.read("replaced", 4)
    connector.check_running()
    events = task.read("replaced", 4)
    rows = [(e.value["op"], known(e, "before"), known(e, "after")) for e in events]
    one, two, four = ({"id": 1, **dict.fromkeys(names, value), "body": body} for value, body in ((1, "b1"), (2, "b2"), (4, "d")))
    assert [op for op, _, _ in rows] == ["c", "u", "u", "d"]
    for (_, before, after), (wanted_before, wanted_after) in zip(rows, [({}, one), (one, two), (two, four), (four, {})], strict=True):
        assert before.items() <= wanted_before.items() and after.items() <= wanted_after.items()
    # What was changed is in the image, whichever it is.
    assert all(after.keys() >= set(names) for _, _, after in rows[:3])


def known(event: Event, image: str) -> dict[str, Any]:
    row, unset = event.value[image] or {}, event.value["source"][f"unset_{image}"]
    return {name: value for name, value in row.items() if name not in unset}


def test_fault_33_an_insert_without_any_value_is_a_row(task: Task):
    task.sql("CREATE TABLE bare (a INT, b INT DEFAULT 2)")
    task.sql("CREATE TABLE numbered (id INT PRIMARY KEY AUTO_INCREMENT, b INT DEFAULT 2)")
    task.connector().start(ready_within=30)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_row_image = MINIMAL")
        for table in ("bare", "bare", "numbered"):
            cursor.execute(f"INSERT INTO {table} VALUES ()")
    bare, numbered = task.read("bare", 2), task.read("numbered", 1)
    assert [(e.value["after"], e.value["source"]["unset_after"]) for e in bare] == [({"a": None, "b": None}, ["a", "b"])] * 2
    assert [e.value["after"] for e in numbered] == [{"id": 1, "b": None}]


def change(task: Task, table: str, images: list[str], chance: random.Random, ids: range) -> None:
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        for id in ids:
            cursor.execute(f"SET SESSION binlog_row_image = {chance.choice(images)}")
            columns = ["id", *chance.sample(["name", "amount", "note", "body"], chance.randint(0, 4))]
            if table == "composite" and "name" not in columns:
                columns.append("name")
            if table == "dated":
                columns.append("day")
            values = {"id": id, "day": "2020-02-02", "name": f"n{id}", "amount": id * 2, "note": chance.choice([None, "x"]), "body": "b" * 300}
            placeholders = ", ".join(["%s"] * len(columns))
            cursor.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders})", [values[c] for c in columns])
            other = chance.choice(ids)
            change = chance.choice([
                "amount = amount + 1", "note = NULL", "body = CONCAT(IFNULL(body, ''), 'z')", "size = 'large', flags = 'a,b'",
                "day = '2024-02-29'", "name = CONCAT('m', id)", "note = 'y', amount = 0",
            ])
            cursor.execute(f"UPDATE {table} SET {change} WHERE id = %s", (other,))
            if chance.random() < 0.2:
                cursor.execute(f"DELETE FROM {table} WHERE id = %s", (chance.choice(ids),))
        cursor.execute("SET SESSION binlog_row_image = FULL")
        cursor.execute(f"INSERT INTO {table} (id, name, note, day) VALUES ({1000 + ids.stop}, 'new', 'last', '2020-02-02')")


def follow(task: Task, connector, table: str, stop: int) -> list[Event]:
    with task.follower(table) as follower:
        def last_read() -> bool:
            connector.check_running()
            images = (event.value["after"] or {} for event in follower.of(task.topic(table)))
            return any(image.get("id") == 1000 + stop for image in images)

        follower.until(last_read, "the last row", 60)
        return follower.of(task.topic(table))


def rebuild(events: list[Event], table: str) -> list[dict[str, Any]]:
    """The rows that the events leave, by what each image says."""
    rows: list[dict[str, Any]] = []
    removed: dict[tuple, dict[str, Any]] = {}
    for event in events:
        value, source = event.value, event.value["source"]
        before, after = value["before"], value["after"]
        for image, unset in ((before, source["unset_before"]), (after, source["unset_after"])):
            assert image is None or all(image[column] is None for column in unset)
        if before is not None:
            known = {column: v for column, v in before.items() if column not in source["unset_before"]}
            matching = [row for row in rows if all(row[column] == v for column, v in known.items())]
            assert matching, f"no row is {known}"
            row = matching[0]
            if after is None:
                rows.remove(row)
                removed[identity(source)] = row
            else:
                row.update({column: v for column, v in after.items() if column not in source["unset_after"]})
        elif after is not None:
            # A new row has its defaults; one whose key was changed has what was deleted under the old one.
            start = removed.get(identity(source), DEFAULTS)
            rows.append({column: start[column] if column in source["unset_after"] else v for column, v in after.items()})
    return rows


def identity(source: dict[str, Any]) -> tuple:
    return source["file"], source["pos"], source["row"]


def as_published(task: Task, table: str) -> list[dict[str, Any]]:
    rows = [dict(row) for row in select(task.stack, f"{task.database}.{table}")]
    for row in rows:
        row["flags"] = row["flags"].split(",")
        row["day"] = None if isinstance(row["day"], str) else row["day"]
    return rows
