"""A server that is away, at the start or in the run: the connector waits, says so, and loses nothing."""

import pytest

from harness.connector import Connector
from harness.task import Task, ids_of, insert
from harness.wait import wait_until

SERVICES = ("mysql", "kafka", "registry")
SAYS_WHY_WITHIN_SECONDS = 15
# An idle one looks every 5 s, and either waits for 5 s.
SAYS_STALLED_WITHIN_SECONDS = 15


@pytest.fixture(scope="module")
def stack(rough_stack):
    return rough_stack


def wait_not_ready(connector: Connector) -> None:
    """It answers, and the answer is no."""
    wait_until(lambda: connector.readiness() == 503, lambda: f"/readyz says 503; it printed:\n{connector.tail()}")
    connector.check_running()


@pytest.mark.parametrize("service", SERVICES)
def test_it_waits_for_a_server_that_is_away_at_its_start_and_then_works(orders: Task, service: str):
    orders.stack.stop(service)
    connector = orders.connector().start()
    try:
        wait_not_ready(connector)
        wait_until(lambda: '"level":"WARN"' in connector.stderr(), "it says why it waits", SAYS_WHY_WITHIN_SECONDS)
        assert connector.http_get("healthz")[0] == 200 and connector.readiness() == 503
    finally:
        orders.stack.start(service)
    connector.wait_ready(60)
    orders.sql("INSERT INTO orders VALUES (1)")
    assert ids_of(orders.read("orders", 1)) == [1]


@pytest.mark.parametrize("service, signal", [("mysql", "KILL"), ("kafka", "TERM"), ("kafka", "KILL")])
def test_a_server_that_goes_and_comes_back_costs_no_row(orders: Task, service: str, signal: str):
    connector = orders.connector().start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1)")
    orders.stack.stop(service, signal)
    if service != "mysql":
        for number in range(2, 20):
            orders.sql("INSERT INTO orders VALUES (%s)", number)
    connector.check_running()
    orders.stack.start(service)
    for number in range(20, 30) if service != "mysql" else range(2, 30):
        orders.sql("INSERT INTO orders VALUES (%s)", number)
    assert ids_of(orders.read("orders", 29, seconds=60)) == list(range(1, 30))
    connector.wait_ready(30)


@pytest.mark.parametrize("rows", [1, 0], ids=["busy", "idle"])
def test_fault_76_brokers_that_do_not_answer_make_it_not_ready_until_they_do(orders: Task, rows: int):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    orders.stack.stop("kafka", "STOP")
    try:
        insert(orders, *range(2, 2 + rows))
        stalled = (503, "kafka has not answered for a while\n")
        wait_until(lambda: connector.http_get("readyz") == stalled, "/readyz says 503", SAYS_STALLED_WITHIN_SECONDS)
        assert connector.http_get("healthz")[0] == 200
    finally:
        orders.stack.stop("kafka", "CONT")
    connector.wait_ready(30)
    insert(orders, 9)
    assert ids_of(orders.read("orders", 2 + rows)) == [1, *range(2, 2 + rows), 9]


def test_fault_63_without_the_registry_known_tables_go_on_and_a_new_one_waits_for_it(orders: Task):
    connector = orders.connector().start(ready_within=30)
    orders.sql("INSERT INTO orders VALUES (1)")
    orders.read("orders", 1)
    orders.stack.stop("registry")
    try:
        orders.sql("INSERT INTO orders VALUES (2)")
        with orders.follower("orders") as follower:
            # The deserializer needs the registry too, so this counts records without decoding them.
            follower.decode = lambda *_: None
            follower.until(lambda: len(follower.events) >= 2, "the second row")
        orders.sql("CREATE TABLE customers (id INT PRIMARY KEY)")
        orders.sql("INSERT INTO customers VALUES (1)")
        orders.sql("INSERT INTO orders VALUES (3)")
        connector.check_running()
    finally:
        orders.stack.start("registry")
    assert ids_of(orders.read("customers", 1, seconds=60)) == [1]
    assert ids_of(orders.read("orders", 3)) == [1, 2, 3]
    connector.check_running()
