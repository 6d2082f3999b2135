"""`registry.auto_register: false`: somebody else registers schemas; the connector looks them up."""

import json

import pytest
import requests

from harness.connector import Connector
from harness.ending import HALTED, INVALID, REFUSED, ended, refused
from harness.reader import Event
from harness.replay import check_equals_select
from harness.stack import Stack
from harness.task import Task, ids_of

LOOKS_UP = {"auto_register": False}
COLUMNS = (
    "id BIGINT UNSIGNED, tiny TINYINT(1) NOT NULL DEFAULT 1, price DECIMAL(9, 2) DEFAULT 1.5, name VARCHAR(20) CHARACTER SET latin1 NOT NULL,"
    " kind ENUM('a', 'b') DEFAULT 'b', marks SET('x', 'y'), made DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3), day DATE, document JSON,"
    " place POINT, bits BIT(9), raw VARBINARY(9), two INT AS (tiny * 2), half FLOAT, text TEXT, PRIMARY KEY (id, name)"
)


def schemas(connector: Connector, *arguments: str) -> list[dict[str, str]]:
    """What the command prints."""
    ran = connector.command("schemas", *arguments)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def register(stack: Stack, lines: list[dict[str, str]]) -> None:
    """One after the other, in a registry that checks them."""
    for line in lines:
        body = {"schema": line["schema"], "schemaType": line["schemaType"]}
        requests.post(f"{stack.registry}/subjects/{line['subject']}/versions", json=body, timeout=10).raise_for_status()
        level = {"compatibility": "BACKWARD"}
        requests.put(f"{stack.registry}/config/{line['subject']}", json=level, timeout=10).raise_for_status()


def versions(task: Task, subjects: list[str]) -> dict[str, list[int]]:
    return {subject: task.stack.registry_get(f"subjects/{subject}/versions") for subject in subjects}


@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_rows_are_published_by_the_schemas_that_the_command_prints(rough_stack: Stack, tasks, tmp_path, metadata: str, image: str):
    with tasks(rough_stack, tmp_path) as task, rough_stack.set_global("binlog_row_image", image), rough_stack.metadata(metadata):
        task.sql(f"CREATE TABLE orders ({COLUMNS})")
        task.sql("CREATE TABLE log (line VARCHAR(9))")
        options = {
            "registry": LOOKS_UP, "events": {
                "schema_updates": True, "heartbeat_interval_ms": 500,
                "message_key": [{"tables": [f"{task.database}.log"], "columns": ["line"]}],
            },
        }
        connector = task.connector(**options)
        lines = schemas(connector)
        own = [f"{task.name}.{name}-{part}" for name in ("transactions", "schema-changes", "heartbeats") for part in ("key", "value")]
        of_tables = [f"{task.topic(table)}-{part}" for table in ("log", "orders") for part in ("key", "value")]
        assert list(dict.fromkeys(line["subject"] for line in lines)) == own + of_tables
        register(rough_stack, lines)
        before = versions(task, own + of_tables)
        connector.start(ready_within=30)
        with task.connect() as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders (id, name) VALUES (1, 'ä'), (2, 'b')")
            cursor.execute("UPDATE orders SET price = 7 WHERE id = 1")
            cursor.execute("INSERT INTO log VALUES ('x')")
        events = task.read("orders", 3)
        if image == "FULL":
            check_equals_select(task.stack, f"{task.database}.orders", events, True)
        assert [event.key for event in task.read("log", 1)] == [{"line": "x"}]
        assert versions(task, own + of_tables) == before
        task.sql("ALTER TABLE orders ADD note VARCHAR(9) NOT NULL")
        task.sql("UPDATE orders SET price = 8 WHERE id = 1")
        ended(connector, HALTED, f"subject {task.topic('orders')}-value does not have the schema")
        register(rough_stack, schemas(connector))
        connector.start(ready_within=30)
        assert task.read("orders", 4)[3].value["op"] == "u"


def test_rows_that_lack_columns_now_and_then_have_a_schema_that_is_printed_if_asked_for(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, price INT NOT NULL, note VARCHAR(9))")
    task.sql("CREATE TABLE others (id INT PRIMARY KEY, price INT NOT NULL)")
    connector = task.connector(registry=LOOKS_UP)
    register(task.stack, schemas(connector))
    connector.start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1, 7, 'n')")
    task.read("orders", 1)
    with task.connect(init_command="SET binlog_row_image = MINIMAL") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE orders SET price = 8")
    ended(connector, HALTED, f"subject {task.topic('orders')}-value does not have the schema", "--widened")
    widened = ("--widened", f"{task.database}.orders")
    register(task.stack, schemas(connector, *widened))
    connector.start(ready_within=30)
    assert task.read("orders", 2)[1].value["after"]["price"] == 8
    # Another table goes on without.
    for table in "orders", "others":
        task.sql(f"ALTER TABLE {table} ADD more INT NOT NULL")
    ended_by_row(task, connector, "orders", widened)
    task.sql("INSERT INTO others VALUES (1, 7, 1)")
    task.read("others", 1)
    assert "names no table" in connector.command("schemas", "--widened", "no.table").stderr


def ended_by_row(task: Task, connector: Connector, table: str, widened: tuple[str, ...]) -> None:
    """The next row of a table needs a schema that must be registered first."""
    task.sql(f"INSERT INTO {table} VALUES (2, 7, 'n', 1)")
    ended(connector, HALTED, f"subject {task.topic(table)}-value does not have the schema")
    register(task.stack, schemas(connector, *widened))
    connector.start(ready_within=30)
    task.read(table, 3)


def test_a_truncate_needs_no_other_schema_than_the_rows_before_it(task: Task):
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(9))")
    connector = task.connector(registry=LOOKS_UP)
    register(task.stack, schemas(connector))
    connector.start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 'a')")
    task.read("t", 1)
    connector.terminate()
    task.sql("ALTER TABLE t ADD more INT")
    task.sql("TRUNCATE t")
    task.sql("INSERT INTO t VALUES (2, 'b', 3)")
    masked = {"columns": [{"names": [f"{task.database}.t.name"], "mask": {"fixed": "x"}}]}
    with task.stack.set_global("binlog_row_image", "MINIMAL"):
        later = task.connector("later", registry=LOOKS_UP, events=masked)
        register(task.stack, schemas(later))
        later.start(ready_within=30)
        created, truncated, last = task.read("t", 3)
    assert truncated.value["op"] == "t" and schema_id(truncated) == schema_id(created)
    assert last.value["after"] == {"id": 2, "name": "x", "more": 3} and schema_id(last) != schema_id(created)


def schema_id(event: Event) -> bytes:
    return event.value_bytes[1:5]


def test_rows_that_are_read_without_the_servers_defaults_have_a_printed_schema(rough_stack: Stack, tasks, tmp_path):
    with tasks(rough_stack, tmp_path) as task, rough_stack.metadata("FULL"):
        task.sql(f"CREATE TABLE orders ({COLUMNS})")
        task.sql("INSERT INTO orders (id, name) VALUES (1, 'a')")
        # Behind it nobody reads a whole file for defaults.
        task.sql("FLUSH BINARY LOGS")
        task.sql("INSERT INTO orders (id, name) VALUES (2, 'b')")
        connector = task.connector(registry=LOOKS_UP, source={"start": "earliest"})
        register(rough_stack, schemas(connector))
        subject = f"subjects/{task.topic('orders')}-value/versions"
        texts = [rough_stack.registry_get(f"{subject}/{number}")["schema"] for number in rough_stack.registry_get(subject)]
        assert ["mysql.default" in text for text in texts] == [False, True]
        connector.start(ready_within=30)
        events = task.read("orders", 2)
        assert ids_of(events) == [1, 2] and [event.value["after"]["price"] for event in events]
        assert len(rough_stack.registry_get(subject)) == 2
        # Rows of which the width is not known halt: there is no schema for them.
        flags = task.connector("flags", registry=LOOKS_UP, events={"types": {"tinyint1": "boolean"}})
        assert len([line for line in schemas(flags) if line["subject"].endswith("orders-value")]) == 1


def test_a_schema_that_may_not_be_that_of_rows_is_warned_of(rough_stack: Stack, tasks, tmp_path):
    with tasks(rough_stack, tmp_path) as task:
        task.sql("CREATE TABLE t (id INT PRIMARY KEY, kind ENUM('a', 'b😀'))")
        connector = task.connector(registry=LOOKS_UP)
        with rough_stack.metadata("FULL"):
            ran = connector.command("schemas")
            assert ran.returncode == 0 and '"member":"b?"' in ran.stderr
        with rough_stack.metadata("MINIMAL"):
            register(rough_stack, schemas(connector))
            connector.start(ready_within=30)
            task.sql("INSERT INTO t VALUES (1, 'a')")
            assert ids_of(task.read("t", 1)) == [1]


def test_a_schema_that_is_not_registered_stops_the_task_until_it_is(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector(registry=LOOKS_UP)
    register(task.stack, schemas(connector))
    connector.start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    task.read("orders", 1)
    task.sql("ALTER TABLE orders ADD note VARCHAR(9)")
    task.sql("INSERT INTO orders VALUES (2, 'n')")
    ended(connector, HALTED, f"subject {task.topic('orders')}-value does not have the schema", "binlog-bridge schemas")
    assert task.stack.registry_get(f"subjects/{task.topic('orders')}-value/versions") == [1]
    register(task.stack, schemas(connector))
    connector.start(ready_within=30)
    assert ids_of(task.read("orders", 2)) == [1, 2]


def test_a_task_whose_own_topics_have_no_schemas_does_not_begin(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    refused(task.connector(registry=LOOKS_UP), REFUSED, f"subject {task.transactions_topic}-key does not have the schema")
    both = task.connector("both", registry={**LOOKS_UP, "incompatible": "new_topic"})
    refused(both, INVALID, "registry.incompatible", "registry.auto_register is false")
