"""The way to MySQL is cut, goes silent, or the server itself stops answering."""

import re
import time

import pytest

from harness.connector import Connector
from harness.proxy import Proxy
from harness.task import Task, ids_of
from harness.wait import wait_until

SILENCE_SECONDS = 3
# What noticing may take beyond the configured silence.
MARGIN_SECONDS = 3


@pytest.fixture(scope="module")
def stack(rough_stack):
    return rough_stack


def silence() -> dict[str, int]:
    return {"heartbeat_interval_ms": 500, "silence_timeout_ms": SILENCE_SECONDS * 1000}


def wait_noticed(connector: Connector, printed_before: int) -> float:
    """Seconds until it is not ready any more, or says that it heard nothing."""
    began = time.monotonic()

    def noticed() -> bool:
        connector.check_running()
        new = connector.stderr()[printed_before:]
        return connector.readiness() != 200 or re.search("silen|heard nothing|no (event|heartbeat)", new) is not None

    wait_until(noticed, lambda: f"the silence is noticed; it printed:\n{connector.tail()}", SILENCE_SECONDS + MARGIN_SECONDS)
    return time.monotonic() - began


def test_fault_67_a_server_that_stops_answering_is_noticed_and_costs_no_row(orders: Task, say):
    connector = orders.connector(source=silence()).start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1)")
    orders.read("orders", 1)
    printed = len(connector.stderr())
    orders.stack.stop("mysql", "STOP")
    try:
        say(f"the silence of {SILENCE_SECONDS} s was noticed after {wait_noticed(connector, printed):.1f} s")
    finally:
        orders.stack.stop("mysql", "CONT")
    for number in range(2, 10):
        orders.sql("INSERT INTO orders VALUES (%s)", number)
    assert ids_of(orders.read("orders", 9, seconds=60)) == list(range(1, 10))
    connector.wait_ready()


def test_an_idle_server_that_sends_heartbeats_is_not_taken_for_silent(orders: Task):
    connector = orders.connector(source=silence()).start(ready_within=30)
    deadline = time.monotonic() + SILENCE_SECONDS + MARGIN_SECONDS
    wait_until(lambda: time.monotonic() > deadline or not connector.is_ready(), "the time is over", 20)
    assert connector.is_ready(), connector.tail()
    assert "silen" not in connector.stderr()


def test_a_connection_that_is_cut_again_and_again_costs_no_row(orders: Task):
    with Proxy(orders.stack.mysql_port) as proxy:
        connector = orders.connector(source={"port": proxy.port}).start(ready_within=30)
        for number in range(1, 101):
            orders.sql("INSERT INTO orders VALUES (%s)", number)
            if number % 20 == 0:
                proxy.cut()
        assert ids_of(orders.read("orders", 100, seconds=60)) == list(range(1, 101))
        connector.check_running()


def test_fault_67_a_connection_that_carries_nothing_any_more_is_replaced_and_costs_no_row(orders: Task):
    with Proxy(orders.stack.mysql_port) as proxy:
        connector = orders.connector(source={"port": proxy.port, **silence()}).start(ready_within=30)
        orders.sql("INSERT INTO orders VALUES (1)")
        orders.read("orders", 1)
        accepted = proxy.accepted
        proxy.swallow()
        orders.sql("INSERT INTO orders VALUES (2)")
        wait_until(lambda: proxy.accepted > accepted, "it connects anew", SILENCE_SECONDS + MARGIN_SECONDS)
        orders.sql("INSERT INTO orders VALUES (3)")
        assert ids_of(orders.read("orders", 3, seconds=30)) == [1, 2, 3]
        connector.check_running()


@pytest.mark.parametrize("quiet", ["filtered", "idle"])
def test_fault_50_the_checkpoint_moves_when_only_tables_change_that_are_not_selected(orders: Task, quiet: str):
    orders.sql("CREATE TABLE noise (id INT AUTO_INCREMENT PRIMARY KEY)")
    select = {"databases": [orders.database], "exclude_tables": [f"{orders.database}.noise"]}
    orders.connector(select=select, limits={"checkpoint_interval_ms": 500}).start(ready_within=30)
    before = orders.checkpoint()["position"]
    if quiet == "filtered":
        for _ in range(20):
            orders.sql("INSERT INTO noise VALUES ()")
    else:
        orders.stack.sql("FLUSH BINARY LOGS")
    file, offset = orders.stack.binlog_end()
    if quiet == "idle":
        offset = 4  # nothing but the head of a file follows

    def moved() -> bool:
        position = orders.checkpoint()["position"]
        return (position["file"], position["offset"]) >= (file, offset)

    assert (before["file"], before["offset"]) < (file, offset)
    wait_until(moved, lambda: f"the checkpoint {orders.checkpoint()} reaches {file}:{offset}", 15)


def test_fault_50_after_nothing_but_empty_and_filtered_transactions_older_binlogs_may_be_purged(orders: Task):
    stack = orders.stack
    orders.sql("CREATE TABLE noise (id INT AUTO_INCREMENT PRIMARY KEY)")
    select = {"databases": [orders.database], "exclude_tables": [f"{orders.database}.noise"]}
    connector = orders.connector(select=select, limits={"checkpoint_interval_ms": 500}).start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1)")
    for _ in range(5):
        orders.sql("INSERT INTO noise VALUES ()")
        empty_transaction(orders)
        stack.sql("FLUSH BINARY LOGS")
    file, _ = stack.binlog_end()
    executed = stack.variable("gtid_executed")

    def moved() -> bool:
        position = orders.checkpoint()["position"]
        covers = stack.sql("SELECT GTID_SUBSET(%s, %s)", executed, position["gtid_set"])[0][0]
        return covers == 1 and position["file"] >= file

    wait_until(moved, lambda: f"the checkpoint {orders.checkpoint()} reaches {file} and {executed}", 15)
    connector.kill()
    stack.sql(f"PURGE BINARY LOGS TO '{file}'")
    connector.start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (2)")
    assert ids_of(orders.read("orders", 2)) == [1, 2]


def empty_transaction(task: Task) -> None:
    """As a server writes it whose transaction was filtered away, or a clean-up of GTIDs."""
    number = int(re.search(r"\d+$", task.stack.variable("gtid_executed"))[0]) + 1
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET gtid_next = '{task.stack.variable('server_uuid')}:{number}'")
        cursor.execute("BEGIN")
        cursor.execute("COMMIT")
        cursor.execute("SET gtid_next = AUTOMATIC")
