"""What the server declares of columns, in the schemas: defaults, display widths, expressions."""

import datetime
import json
from typing import Any

import pytest

from harness.stack import Stack
from harness.task import Task

# A column's definition, and what its field has beside its name.
COLUMNS: list[tuple[str, dict[str, Any]]] = [
    ("INT NOT NULL DEFAULT 7", {"type": "int", "default": 7, "mysql.type": "int"}),
    ("INT NULL DEFAULT -7", {"type": ["int", "null"], "default": -7, "mysql.type": "int"}),
    ("INT NULL", {"type": ["null", "int"], "default": None, "mysql.type": "int"}),
    ("INT(5) ZEROFILL NOT NULL DEFAULT 1", {"type": "long", "default": 1, "mysql.type": "int(5) unsigned zerofill"}),
    ("BOOL NOT NULL DEFAULT TRUE", {"type": "int", "default": 1, "mysql.type": "tinyint(1)"}),
    ("DOUBLE NOT NULL DEFAULT 1.5e10", {"type": "double", "default": 1.5e10, "mysql.type": "double"}),
    ("BIT(1) NOT NULL DEFAULT b'1'", {"type": "boolean", "default": True, "mysql.type": "bit(1)"}),
    ("BIT(10) NOT NULL DEFAULT 258", {"type": "bytes", "default": "\x01\x02", "mysql.type": "bit(10)"}),
    ("VARCHAR(20) NOT NULL DEFAULT 'it''s \\\\ ü'", {"type": "string", "default": "it's \\ ü", "mysql.type": "varchar(20)"}),
    ("CHAR(3) NULL DEFAULT ''", {"type": ["string", "null"], "default": "", "mysql.type": "char(3)"}),
    ("ENUM('a','b') NOT NULL DEFAULT 'b'", {"type": "string", "default": "b", "mysql.type": "enum('a','b')"}),
    ("SET('a','b') NOT NULL DEFAULT 'a,b'", {"type": {"type": "array", "items": "string"}, "default": ["a", "b"], "mysql.type": "set('a','b')"}),
    ("TIME(1) NOT NULL DEFAULT '-00:00:01.5'", {"type": "long", "default": -1_500_000, "mysql.type": "time(1)"}),
    ("YEAR NOT NULL DEFAULT 2020", {"type": "int", "default": 2020, "mysql.type": "year"}),
    ("DATE NOT NULL DEFAULT '1970-01-02'", {"type": [{"type": "int", "logicalType": "date"}, "null"], "default": 1, "mysql.type": "date"}),
    (
        "DATE NOT NULL DEFAULT '0000-00-00'",
        {"type": ["null", {"type": "int", "logicalType": "date"}], "default": None, "mysql.type": "date", "mysql.default": "0000-00-00"},
    ),
    (
        "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
        {"type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": None, "mysql.type": "timestamp", "mysql.default": "CURRENT_TIMESTAMP"},
    ),
    ("INT NOT NULL DEFAULT (7 + 1)", {"type": "int", "default": 0, "mysql.type": "int", "mysql.default": "(7 + 1)"}),
    ("INT GENERATED ALWAYS AS (id + 1) STORED", {"type": ["null", "int"], "default": None, "mysql.type": "int", "mysql.generated": "(`id` + 1)"}),
    ("BIGINT UNSIGNED NOT NULL DEFAULT 300", {"type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}, "default": "\0\0\0\0\0\0\0\x01\x2c", "mysql.type": "bigint unsigned"}),
    ("DECIMAL(6,2) NOT NULL DEFAULT -1.28", {"type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, "default": "\xff\xff\x80", "mysql.type": "decimal(6,2)"}),
    ("INT INVISIBLE NULL", {"type": ["null", "int"], "default": None, "mysql.type": "int"}),
]


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_schemas_tell_what_the_server_declares(task: Task, metadata: str):
    with task.stack.metadata(metadata):
        columns = ", ".join(f"c{number} {sql}" for number, (sql, _) in enumerate(COLUMNS))
        task.sql(f"CREATE TABLE declared (id INT PRIMARY KEY, {columns})")
        task.connector().start(ready_within=30)
        task.sql("INSERT INTO declared (id) VALUES (1)")
        task.read("declared", 1)
    schema = json.loads(task.stack.registry_get(f"subjects/{task.topic('declared')}-value/versions/latest")["schema"])
    fields = {field.pop("name"): field for field in schema["fields"][0]["type"][1]["fields"]}
    found = {sql: fields[f"c{number}"] for number, (sql, _) in enumerate(COLUMNS)}
    assert found == dict(COLUMNS)
    key = json.loads(task.stack.registry_get(f"subjects/{task.topic('declared')}-key/versions/latest")["schema"])
    assert key["fields"] == [{"name": "id", "type": "int"}]


def test_the_default_of_a_timestamp_is_in_utc(task: Task):
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+05:00'")
        cursor.execute(
            "CREATE TABLE zones (id INT PRIMARY KEY, a TIMESTAMP(3) NOT NULL DEFAULT '2020-01-01 00:00:00.5' COMMENT 'DEFAULT ''x''', "
            "`b``c` TIMESTAMP NULL DEFAULT '2020-06-01 12:00:00' ON UPDATE CURRENT_TIMESTAMP, "
            "d DATETIME NOT NULL DEFAULT '2020-01-01 00:00:00', e TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
    task.connector().start(ready_within=30)
    task.sql("INSERT INTO zones (id) VALUES (1)")
    task.read("zones", 1)
    schema = json.loads(task.stack.registry_get(f"subjects/{task.topic('zones')}-value/versions/latest")["schema"])
    defaults = [field["default"] for field in schema["fields"][0]["type"][1]["fields"]]
    # 2019-12-31 19:00:00.5 and 2020-06-01 07:00:00; a DATETIME has no time zone.
    assert defaults == [0, 1577818800_500000, 1590994800_000000, 1577836800_000000, None]


def in_servers_zone(task: Task, statement: str) -> None:
    with task.connect(init_command=None) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_fault_66_whatever_the_servers_time_zone_is_timestamps_are_in_utc(rough_stack: Stack, tasks, tmp_path, metadata: str):
    with tasks(rough_stack, tmp_path) as task, rough_stack.metadata(metadata):
        # The connector's own connections are made in the one zone and go on in the other.
        with rough_stack.set_global("time_zone", "+05:00"):
            connector = task.connector().start(ready_within=30)
            in_servers_zone(task, "CREATE TABLE zones (id INT PRIMARY KEY, at TIMESTAMP NOT NULL DEFAULT '2020-01-01 05:00:00')")
            in_servers_zone(task, "INSERT INTO zones (id) VALUES (1)")
            task.read("zones", 1)
        with rough_stack.set_global("time_zone", "-03:00"):
            in_servers_zone(task, "INSERT INTO zones VALUES (2, '2019-12-31 21:00:00'), (3, DEFAULT)")
            in_servers_zone(task, "ALTER TABLE zones ADD other TIMESTAMP NOT NULL DEFAULT '2019-12-31 21:00:01'")
            in_servers_zone(task, "INSERT INTO zones (id) VALUES (4)")
            events = task.read("zones", 4)
        instant = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        assert [event.value["after"]["at"] for event in events] == [instant] * 4
        assert events[3].value["after"]["other"] == instant + datetime.timedelta(seconds=1)
        schema = json.loads(task.stack.registry_get(f"subjects/{task.topic('zones')}-value/versions/latest")["schema"])
        fields = schema["fields"][0]["type"][1]["fields"]
        assert [field["default"] for field in fields] == [0, 1577836800_000000, 1577836801_000000]
        connector.check_running()


def test_what_is_declared_stays_out_where_a_statement_came_behind(task: Task):
    task.sql("CREATE TABLE declared (id INT PRIMARY KEY, n INT(5) ZEROFILL NOT NULL DEFAULT 7)")
    task.sql("INSERT INTO declared (id) VALUES (1)")
    task.sql("ALTER TABLE declared MODIFY n INT(6) ZEROFILL NOT NULL DEFAULT 8")
    connector = task.connector(source={"start": "earliest"}).start(ready_within=30)
    task.read("declared", 1)
    task.sql("INSERT INTO declared (id) VALUES (2)")
    assert [event.value["after"] for event in task.read("declared", 2)] == [{"id": 1, "n": 7}, {"id": 2, "n": 8}]
    subject = f"subjects/{task.topic('declared')}-value/versions"
    schemas = [json.loads(task.stack.registry_get(f"{subject}/{version}")["schema"]) for version in (1, 2)]
    found = [schema["fields"][0]["type"][1]["fields"][1] for schema in schemas]
    assert found == [
        {"name": "n", "type": "long", "default": 0, "mysql.type": "int unsigned"},
        {"name": "n", "type": "long", "default": 8, "mysql.type": "int(6) unsigned zerofill"},
    ]
    connector.check_running()
