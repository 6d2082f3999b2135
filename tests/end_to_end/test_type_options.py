"""`events.types`: types in the place of the usual ones, and the halt at values that they cannot hold."""

import json

import pytest

from harness.ending import HALTED, INVALID, ended, refused
from harness.task import Task


def fields(task: Task, table: str, version: int | str = "latest") -> dict[str, dict]:
    """The columns of a table's value schema by name."""
    schema = json.loads(task.stack.registry_get(f"subjects/{task.topic(table)}-value/versions/{version}")["schema"])
    return {field["name"]: field for field in schema["fields"][0]["type"][1]["fields"]}


def afters(task: Task, table: str, count: int) -> list[dict]:
    return [event.value["after"] for event in task.read(table, count)]


def test_a_bigint_unsigned_as_long_halts_at_what_does_not_fit(task: Task):
    task.sql("CREATE TABLE counters (id BIGINT UNSIGNED PRIMARY KEY, n BIGINT UNSIGNED NULL DEFAULT 7)")
    connector = task.connector(events={"types": {"bigint_unsigned": "long"}}).start(ready_within=30)
    task.sql("INSERT INTO counters VALUES (0, NULL), (9223372036854775807, 9223372036854775807)")
    assert afters(task, "counters", 2) == [{"id": 0, "n": None}, {"id": 2**63 - 1, "n": 2**63 - 1}]
    assert fields(task, "counters")["n"] == {
        "name": "n", "type": ["long", "null"], "default": 7, "mysql.type": "bigint unsigned",
    }
    task.sql("INSERT INTO counters VALUES (1, 9223372036854775808)")
    ended(connector, HALTED, "column n", "9223372036854775807", "bigint_unsigned: decimal")
    task.read("counters", 2)


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_a_tinyint_1_as_boolean_halts_at_other_numbers(task: Task, metadata: str):
    with task.stack.metadata(metadata):
        task.sql("CREATE TABLE flags (id INT PRIMARY KEY, flag BOOL NOT NULL DEFAULT 1, small TINYINT NOT NULL, bare TINYINT UNSIGNED NOT NULL)")
        connector = task.connector(events={"types": {"tinyint1": "boolean"}}).start(ready_within=30)
        task.sql("INSERT INTO flags VALUES (1, TRUE, 5, 255), (2, FALSE, -5, 0)")
        rows = [{"id": 1, "flag": True, "small": 5, "bare": 255}, {"id": 2, "flag": False, "small": -5, "bare": 0}]
        assert afters(task, "flags", 2) == rows
        flag = fields(task, "flags")["flag"]
        assert (flag["type"], flag["default"], flag["mysql.type"]) == ("boolean", True, "tinyint(1)")
        connector.kill()
        task.sql("INSERT INTO flags VALUES (3, TRUE, 1, 1)")
        connector.start(ready_within=30)
        assert afters(task, "flags", 3) == [*rows, {"id": 3, "flag": True, "small": 1, "bare": 1}]
        task.sql("UPDATE flags SET flag = 2 WHERE id = 1")
        ended(connector, HALTED, "column flag", "neither 0 nor 1", "tinyint1: int")


def test_a_width_that_nobody_knows_halts(task: Task):
    task.sql("CREATE TABLE flags (id INT PRIMARY KEY, flag BOOL NOT NULL)")
    task.sql("INSERT INTO flags VALUES (1, TRUE)")
    task.sql("ALTER TABLE flags COMMENT 'a word'")
    connector = task.connector(source={"start": "earliest"}, events={"types": {"tinyint1": "boolean"}}).start()
    ended(connector, HALTED, "column flag", "TINYINT(1)", "events.types.tinyint1")


def test_bytes_that_are_no_text_are_replaced(task: Task):
    task.sql("CREATE TABLE words (id INT PRIMARY KEY, word VARCHAR(20) CHARACTER SET cp1251)")
    connector = task.connector(events={"types": {"invalid_text": "replace"}}).start(ready_within=30)
    task.sql("INSERT INTO words VALUES (1, _cp1251 x'e6987a'), (2, 'ж')")
    assert [row["word"] for row in afters(task, "words", 2)] == ["ж\ufffdz", "ж"]
    connector.check_running()


def test_without_that_they_halt(task: Task):
    task.sql("CREATE TABLE words (id INT PRIMARY KEY, word VARCHAR(20) CHARACTER SET cp1251)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO words VALUES (1, _cp1251 x'98')")
    ended(connector, HALTED, "column word", "invalid_text: replace")


def test_dates_of_keys_as_text_may_be_zero_and_impossible(task: Task):
    task.sql("CREATE TABLE days (day DATE, at DATETIME(2), seen TIMESTAMP(3), other DATE, PRIMARY KEY (day, at, seen))")
    task.connector(events={"types": {"key_dates": "string"}}).start(ready_within=30)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        rows = [("0000-00-00", "0000-00-00 00:00:00.00", "0000-00-00 00:00:00.000"), ("2021-02-30", "2021-02-31 23:59:58.25", "2038-01-19 03:14:07.999")]
        for row in rows:
            cursor.execute("INSERT INTO days VALUES (%s, %s, %s, '0000-00-00')", row)
        cursor.execute("SELECT CAST(day AS CHAR), CAST(at AS CHAR), CAST(seen AS CHAR) FROM days ORDER BY day")
        assert list(cursor.fetchall()) == rows
    events = task.read("days", 2)
    assert [tuple(event.key.values()) for event in events] == rows
    assert [tuple(event.value["after"].values()) for event in events] == [(*row, None) for row in rows]
    assert all(event.value["source"]["invalid_after"] == ["other"] for event in events)


def test_an_option_that_is_none_is_refused_with_what_there_is(task: Task):
    connector = task.connector(events={"types": {"tinyint1": "bool"}})
    refused(connector, INVALID, "tinyint1", "boolean")
