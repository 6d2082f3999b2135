"""What ends the connector: the exit code, one sentence of cause and one of remedy, no panic, no secret."""

import re
import signal
import subprocess

import pytest

from harness.connector import binary, environment
from harness.ending import HALTED, INVALID, REFUSED, ended, refused
from harness.stack import PASSWORD, USER
from harness.task import ROW_CANARY, Task, ids_of


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(100))")
    return task


# Configuration: code 2


def test_an_unknown_key_is_refused_with_a_suggestion_and_its_line(orders: Task):
    text = f"task: {orders.name}\nsource:\n  host: 127.0.0.1\n  prot: 3306\n"
    error, remedy = refused(orders.connector_with(text), INVALID, "prot", "port")
    assert re.search(r"\bline 4\b|:4\b", error + remedy), (error, remedy)


def test_an_unknown_section_is_refused_with_a_suggestion(orders: Task):
    config = orders.config()
    config["kafak"] = config.pop("kafka")
    refused(orders.connector_with(config), INVALID, "kafak", "kafka")


def test_yaml_that_cannot_be_read_is_refused_with_its_place(orders: Task):
    error, _ = refused(orders.connector_with(f"task: {orders.name}\nsource: [unclosed\nselect: {{\n"), INVALID)
    assert re.search(r"line \d+|:\d+", error), error


def test_an_empty_configuration_is_refused(orders: Task):
    refused(orders.connector_with(""), INVALID)


def test_a_value_of_the_wrong_kind_is_refused_by_name(orders: Task):
    refused(orders.connector(source={"port": "many"}), INVALID, "port")


def test_a_task_name_outside_the_alphabet_is_refused(orders: Task):
    refused(orders.connector(task="Shop_1"), INVALID, "task")


def test_a_missing_configuration_file_is_refused_by_name(orders: Task):
    connector = orders.connector()
    connector.config_file.unlink()
    refused(connector, INVALID, "config.yaml")


def test_a_pass_through_setting_that_carries_the_promise_is_refused(orders: Task):
    refused(orders.connector(kafka={"client": {"enable.idempotence": "false"}}), INVALID, "enable.idempotence")


def test_selecting_nothing_is_refused(orders: Task):
    config = orders.config()
    config["select"] = {"databases": []}
    refused(orders.connector_with(config), INVALID, "select")


def test_a_secret_in_a_configuration_that_is_refused_is_not_shown(orders: Task):
    config = orders.config()
    config["source"]["passwort"] = config["source"].pop("password")
    refused(orders.connector_with(config), INVALID, "passwort", "password")


# Refused at start: code 3


def test_a_wrong_password_is_refused(orders: Task):
    refused(orders.connector(source={"password": PASSWORD + "-wrong"}), REFUSED, "password", USER)


def test_an_account_without_the_right_to_replicate_is_refused(orders: Task):
    orders.sql("CREATE USER IF NOT EXISTS weak IDENTIFIED BY %s", PASSWORD)
    orders.sql("GRANT SELECT ON *.* TO weak")
    refused(orders.connector(source={"user": "weak"}), REFUSED, "REPLICATION SLAVE")


def test_an_unknown_database_is_refused_by_name(orders: Task):
    refused(orders.connector(select={"databases": ["nowhere"]}), REFUSED, "nowhere")


def test_the_password_may_come_from_a_file_or_from_the_environment(orders: Task, monkeypatch, tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    config = orders.config()
    del config["source"]["password"]
    from_file = {**config, "source": {**config["source"], "password_file": str(file)}}
    first = orders.connector_with(from_file, "file").start(ready_within=30)
    first.terminate()
    second = orders.connector_with(config, "environment")
    second.start(ready_within=30, variables={"BINLOG_BRIDGE_SOURCE__PASSWORD": PASSWORD})
    second.terminate()


# Halt: code 4


# Text of the character set that has no place in Unicode: a client would get a question mark for it.
LOST_TEXT = "x'a2a0'"


def test_a_value_that_has_no_place_in_avro_halts_by_name_after_what_came_before(orders: Task):
    connector = orders.connector().start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1, '')")
    orders.sql("CREATE TABLE documents (id INT PRIMARY KEY, note VARCHAR(99), body VARCHAR(20) CHARACTER SET gbk)")
    orders.sql(f"INSERT INTO documents VALUES (1, %s, {LOST_TEXT})", ROW_CANARY)
    orders.sql("INSERT INTO orders VALUES (2, '')")
    ended(connector, HALTED, "documents", "body", "character set")
    assert ids_of(orders.read("orders", 1)) == [1]
    refused(connector, HALTED, "documents", "body")
    assert ids_of(orders.read("orders", 1)) == [1]


def test_a_halt_is_healed_by_its_remedy_and_nothing_is_lost(orders: Task):
    config = orders.config()
    connector = orders.connector_with(config, "first").start(ready_within=30)
    orders.sql("CREATE TABLE documents (id INT PRIMARY KEY, body VARCHAR(20) CHARACTER SET gbk)")
    orders.sql(f"INSERT INTO documents VALUES (1, {LOST_TEXT})")
    orders.sql("INSERT INTO orders VALUES (1, '')")
    ended(connector, HALTED, "documents")
    config["select"]["exclude_tables"] = [f"{orders.database}.documents"]
    orders.connector_with(config, "second").start(ready_within=30)
    assert ids_of(orders.read("orders", 1)) == [1]


@pytest.mark.parametrize("binlog_format", ["STATEMENT", "MIXED"])
def test_fault_32_a_statement_in_the_binlog_that_changes_a_selected_table_halts_before_it(orders: Task, binlog_format: str):
    connector = orders.connector().start(ready_within=30)
    with orders.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (1, '')")
        cursor.execute(f"SET SESSION binlog_format = {binlog_format}")
        cursor.execute("INSERT INTO orders VALUES (2, %s)", (ROW_CANARY,))
    orders.sql("INSERT INTO orders VALUES (3, '')")
    error, _ = ended(connector, HALTED, "STATEMENT", f"{orders.database}.orders", "binlog_format=ROW")
    assert re.search(r"binlog\.\d{6}", error), f"no position in {error!r}"
    refused(connector, HALTED, "STATEMENT", f"{orders.database}.orders")
    assert ids_of(orders.read("orders", 1)) == [1]


def test_fault_32_a_table_that_is_made_and_filled_by_a_statement_in_the_binlog_halts(orders: Task):
    connector = orders.connector().start(ready_within=30)
    with orders.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (1, '')")
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute("CREATE TABLE copy AS SELECT * FROM orders")
    ended(connector, HALTED, "STATEMENT", "copy")
    assert ids_of(orders.read("orders", 1)) == [1]


def test_fault_32_a_statement_that_changes_only_other_tables_stops_nothing(orders: Task):
    orders.stack.sql("CREATE DATABASE IF NOT EXISTS elsewhere")
    orders.stack.sql("CREATE TABLE IF NOT EXISTS elsewhere.noise (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(50))")
    connector = orders.connector().start(ready_within=30)
    with orders.stack.connect(database="elsewhere") as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute("INSERT INTO noise (note) VALUES ('x')")
    orders.sql("INSERT INTO orders VALUES (1, '')")
    assert ids_of(orders.read("orders", 1)) == [1]
    connector.check_running()


def test_fault_79_a_second_instance_of_a_task_takes_over_and_the_first_ends_naming_it(orders: Task):
    first = orders.connector("first").start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1, '')")
    orders.read("orders", 1)
    second = orders.connector("second").start(ready_within=30)
    for number in range(2, 12):
        orders.sql("INSERT INTO orders VALUES (%s, '')", number)
    ended(first, HALTED, "instance")
    second.check_running()
    assert ids_of(orders.read("orders", 11)) == list(range(1, 12))


# On the command line


def test_help_and_version_end_well():
    for arguments in (["--help"], ["--version"], ["run", "--help"], ["tail", "--help"], ["offsets", "--help"]):
        done = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=10, env=environment())
        assert done.returncode == 0 and done.stdout.strip(), arguments


def test_an_unknown_option_is_refused():
    done = subprocess.run([binary(), "run", "--confg", "x"], capture_output=True, text=True, timeout=10, env=environment())
    assert done.returncode == INVALID and "--config" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fault_89_a_signal_ends_it_within_five_seconds_with_code_0_while_rows_flow(orders: Task, number: int):
    connector = orders.connector().start(ready_within=30)
    with orders.connect() as connection, connection.cursor() as cursor:
        for row in range(200):
            cursor.execute("INSERT INTO orders VALUES (%s, '')", (row,))
            if row == 100:
                connector.signal(number)
    assert connector.wait_exit(5) == 0, connector.tail()
    connector.start(ready_within=30)
    assert ids_of(orders.read("orders", 200)) == list(range(200))


def test_fault_89_a_signal_ends_an_idle_connector_within_five_seconds_with_code_0(orders: Task):
    orders.connector().start(ready_within=30).terminate(5)


def test_columns_that_cannot_be_told_apart_in_avro_halt_before_anything_is_registered(task: Task):
    task.sql("CREATE TABLE clashing (id INT PRIMARY KEY, `a-b` INT, `a+b` INT)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO clashing VALUES (1, 2, 3)")
    ended(connector, HALTED, "columns a-b and a+b", "a_b", "Rename one of the columns")
    subjects = task.stack.registry_get("subjects")
    assert not [subject for subject in subjects if subject.startswith(task.topic("clashing"))]


def test_fault_103_nothing_of_a_long_value_with_control_characters_is_in_what_is_printed(task: Task):
    task.sql("CREATE TABLE notes (id INT PRIMARY KEY, note LONGTEXT, small VARCHAR(20))")
    connector = task.connector(limits={"record_bytes_max": 100_000}).start(ready_within=30)
    task.sql(f"INSERT INTO notes VALUES (1, CONCAT('{ROW_CANARY}', CHAR(10, 27), '[2J', CHAR(0), REPEAT('x', 1000000)), 'y')")
    ended(connector, HALTED, f"{task.database}.notes")
    printed = connector.stderr()
    assert ROW_CANARY not in printed and "\x1b" not in printed and "xxxx" not in printed
    assert len(printed) < 20_000
