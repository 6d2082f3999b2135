"""`events.columns`: columns that are left out, hashed, shortened or replaced."""

import hashlib
import json

from harness.connector import error_and_remedy
from harness.stack import Stack
from harness.task import Task

SALT = "salt-1f9"


def rules(task: Task, **masks: object) -> dict[str, object]:
    return {
        "hash_salt": SALT,
        "columns": [{"names": [f"{task.database}.t.{column}"], "mask": mask} for column, mask in masks.items()],
    }


def hashed(value: object) -> str:
    return hashlib.sha256(f"{SALT}{value}".encode()).hexdigest()


def test_columns_are_masked_in_each_image_and_nothing_else_is(stack: Stack, task: Task):
    task.sql(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, secret VARCHAR(20) NOT NULL DEFAULT 'hidden-default', mail VARCHAR(40) CHARACTER SET latin1,"
        " name VARCHAR(20), phone INT NOT NULL, document JSON, rest VARCHAR(9) DEFAULT 'x')"
    )
    masks = rules(
        task, id="hash", secret="leave_out", mail="hash", name={"truncate": 2}, phone={"fixed": "***"}, document={"fixed": "{}"},
    )
    connector = task.connector(events=masks, kafka={"partitions": 3}).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (7, 'secret-word', 'ä@b', 'äöü', 5, '{\"a\": 1}', 'r'), (8, '', NULL, NULL, 0, NULL, NULL)")
    with task.connect(init_command="SET binlog_row_value_options = PARTIAL_JSON") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE t SET document = JSON_SET(document, '$.a', 'other') WHERE id = 7")
    with task.connect(init_command="SET binlog_row_image = MINIMAL") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE t SET secret = 'x', name = 'n' WHERE id = 7")
    task.sql("DELETE FROM t")
    events = sorted(task.read("t", 6), key=lambda event: event.value["source"]["pos"] * 100 + event.value["source"]["row"])
    seven = {"id": hashed(7), "mail": hashed("ä@b"), "name": "äö", "phone": "***", "document": "{}", "rest": "r"}
    eight = {"id": hashed(8), "mail": None, "name": None, "phone": "***", "document": None, "rest": None}
    made, other, changed, partly, *gone = events
    assert [made.value["after"], other.value["after"]] == [seven, eight]
    assert (changed.value["before"], changed.value["after"]) == (seven, seven)
    assert partly.value["after"]["name"] == "n" and partly.value["source"]["unset_after"] == ["mail", "phone", "document", "rest"]
    assert [event.value["before"]["mail"] for event in gone] == [hashed("ä@b"), None]
    assert {event.key["id"] for event in events} == {hashed(7), hashed(8)}
    assert len({event.partition for event in events if event.key["id"] == hashed(7)}) == 1
    schemas = json.dumps([stack.registry_get(f"subjects/{task.topic('t')}-{part}/versions/latest") for part in ("key", "value")])
    assert "secret" not in schemas and "hidden-default" not in schemas and SALT not in connector.everything_printed()


def test_a_rule_that_names_no_column_is_told(stack: Stack, task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, Mail VARCHAR(9))")
    connector = task.connector(events=rules(task, MAIL={"fixed": "x"}, mial="hash")).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 'a@b')")
    assert [event.value["after"] for event in task.read("t", 1)] == [{"id": 1, "Mail": "x"}]
    assert "names a column that the table does not have" in connector.stderr() and '"column":"mial"' in connector.stderr()
    assert '"column":"MAIL"' not in connector.stderr()


def test_a_key_may_only_be_hashed_and_numbers_have_no_first_characters(stack: Stack, task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, c INT)")
    for column, mask, cause in [("id", "leave_out", "is of its key"), ("c", {"truncate": 3}, "cannot be masked")]:
        connector = task.connector(f"with-{column}", events=rules(task, **{column: mask}), source={"start": "earliest"}).start()
        task.sql(f"REPLACE INTO t VALUES (1, 1)")
        assert connector.wait_exit() in (3, 4)
        error, remedy = error_and_remedy(connector.stderr())
        assert cause in error and "events.columns" in error + remedy
    connector = task.connector("without-salt", events={"columns": [{"names": ["a.b.c"], "mask": "hash"}]}).start()
    assert connector.wait_exit() == 2 and "events.hash_salt" in connector.stderr()
