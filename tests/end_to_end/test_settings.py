"""Settings of the server that the connector refuses, at its start and while it runs."""

import pytest

from harness.ending import HALTED, REFUSED, ended, refused
from harness.task import Task, ids_of


@pytest.fixture(scope="module")
def stack(rough_stack):
    return rough_stack


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(100))")
    return task


def test_row_metadata_minimal_is_warned_of_with_the_statement_that_mends_it(orders: Task):
    with orders.stack.metadata("MINIMAL"):
        connector = orders.connector().start(ready_within=30)
        orders.sql("INSERT INTO orders VALUES (1, '')")
        assert ids_of(orders.read("orders", 1)) == [1]
    assert "SET PERSIST binlog_row_metadata=FULL" in connector.stderr()


def test_statement_format_is_refused(orders: Task):
    orders.stack.sql("SET GLOBAL binlog_format = STATEMENT")
    try:
        refused(orders.connector(), REFUSED, "binlog_format", "ROW")
    finally:
        orders.stack.sql("SET GLOBAL binlog_format = ROW")


def test_a_row_whose_key_is_not_in_its_image_halts_before_it(orders: Task):
    orders.sql("CREATE TABLE counters (id INT PRIMARY KEY DEFAULT 5, note VARCHAR(100))")
    connector = orders.connector().start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1, 'kept')")
    with orders.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_row_image = MINIMAL")
        cursor.execute("INSERT INTO counters (note) VALUES ('of the key by default')")
    ended(connector, HALTED, "binlog_row_image", "counters")
    assert ids_of(orders.read("orders", 1)) == [1]


def test_a_server_without_binlog_is_refused(orders: Task):
    orders.stack.stop("mysql")
    orders.stack.start("mysql", "--skip-log-bin")
    try:
        refused(orders.connector(), REFUSED, "log_bin")
    finally:
        orders.stack.stop("mysql")
        orders.stack.start("mysql", "--log-bin=binlog")
