"""A schema registry that is there, but slow, or answers with anything but what was asked for."""

import time
from collections.abc import Iterator

import pytest

from harness.ending import HALTED, REFUSED, ended, refused
from harness.connector import Connector
from harness.registry_proxy import Answer, RegistryProxy
from harness.task import Task, ids_of
from harness.wait import wait_until

# A request may take so long here; a slow registry takes more.
TIMEOUT_MS = 500
# So often it is asked in vain, and not in less time: the pauses between grow.
ATTEMPTS, ATTEMPTS_SECONDS_MIN = 4, 0.6


@pytest.fixture
def registry(stack) -> Iterator[RegistryProxy]:
    with RegistryProxy(stack.registry) as registry:
        yield registry


@pytest.fixture
def connector(task: Task, registry: RegistryProxy) -> Connector:
    """Of a task with the known table `orders`; not started."""
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    return task.connector(registry={"url": registry.url, "timeout_ms": TIMEOUT_MS})


def follow(task: Task, connector: Connector) -> None:
    connector.start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    task.read("orders", 1)


def new_table(task: Task) -> None:
    """Behind it comes a row of the table that is known."""
    task.sql("CREATE TABLE customers (id INT PRIMARY KEY)")
    task.sql("INSERT INTO customers VALUES (1)")
    task.sql("INSERT INTO orders VALUES (3)")


def check_all_there(task: Task) -> None:
    assert ids_of(task.read("customers", 1, seconds=60)) == [1]
    assert ids_of(task.read("orders", 3)) == [1, 2, 3]


FAILURES = {
    "slow": (None, 4 * TIMEOUT_MS / 1000),
    "503": ((503, {"error_code": 503, "message": "Service Unavailable"}), 0),
    "429": ((429, {"error_code": 429, "message": "Too Many Requests"}), 0),
    "not_json": ((200, "<html>"), 0),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_fault_63_a_registry_that_fails_is_asked_again_more_and_more_seldom_and_costs_no_row(
    task: Task, registry: RegistryProxy, connector: Connector, failure: str
):
    follow(task, connector)
    answer, registry.delay_seconds = FAILURES[failure]
    registry.answer = lambda method, path: answer
    task.sql("INSERT INTO orders VALUES (2)")
    assert ids_of(task.read("orders", 2)) == [1, 2]  # its ids are known
    registry.asked.clear()
    began = time.monotonic()
    new_table(task)
    # For a new table it is asked for key and value at once.
    attempts = lambda: [path for _, path in registry.asked if "-key/" in path]
    wait_until(lambda: len(attempts()) >= ATTEMPTS, lambda: f"it asks again: {registry.asked}\n{connector.tail()}")
    assert time.monotonic() - began >= ATTEMPTS_SECONDS_MIN, registry.asked
    connector.check_running()
    assert connector.readiness() == 503 and "schema registry" in connector.http_get("readyz")[1]
    assert ids_of(task.read("orders", 2)) == [1, 2]
    registry.reset()
    check_all_there(task)
    connector.wait_ready(60)


def test_fault_63_a_registry_that_fails_at_the_start_is_waited_for(
    task: Task, registry: RegistryProxy, connector: Connector
):
    registry.answer = lambda method, path: (503, {"error_code": 503, "message": "Service Unavailable"})
    connector.start()
    wait_until(lambda: registry.asked[ATTEMPTS:], lambda: f"it asks again:\n{connector.tail()}")
    assert len(set(registry.asked)) == 1, f"it went on with the next request: {registry.asked}"
    assert connector.readiness() == 503
    registry.reset()
    connector.wait_ready(30)


UNAUTHORIZED = (401, {"error_code": 401, "message": "Unauthorized"})


def test_fault_63_a_registry_that_wants_another_account_is_named_at_the_start(
    task: Task, registry: RegistryProxy, connector: Connector
):
    registry.answer = lambda method, path: UNAUTHORIZED
    refused(connector, REFUSED, "schema registry", "Unauthorized", "registry.user")


def test_fault_63_an_account_that_the_registry_refuses_in_the_run_is_named_and_waited_for(
    task: Task, registry: RegistryProxy, connector: Connector
):
    follow(task, connector)
    registry.answer = lambda method, path: UNAUTHORIZED
    task.sql("INSERT INTO orders VALUES (2)")
    new_table(task)
    wait_until(lambda: "registry.user" in connector.stderr(), lambda: f"it names the remedy:\n{connector.tail()}")
    alarm = next(line for line in connector.stderr().splitlines() if "registry.user" in line)
    assert '"level":"ERROR"' in alarm and "Unauthorized" in alarm
    connector.check_running()
    registry.reset()
    check_all_there(task)


REFUSALS = {
    "409": ((409, {"error_code": 409, "message": "Incompatible schema"}), "Incompatible schema"),
    "422": ((422, {"error_code": 42201, "message": "Invalid schema"}), "Invalid schema"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_fault_63_a_schema_that_the_registry_refuses_halts_before_a_row_of_it(
    task: Task, registry: RegistryProxy, connector: Connector, refusal: str
):
    follow(task, connector)
    answer, words = REFUSALS[refusal]
    registry.answer = lambda method, path: answer if method == "POST" else None
    task.sql("INSERT INTO orders VALUES (2)")
    new_table(task)
    ended(connector, HALTED, "customers", words)
    assert task.stack.partitions(task.topic("customers")) == []
    assert ids_of(task.read("orders", 2)) == [1, 2]
    registry.reset()
    connector.start(ready_within=30)
    check_all_there(task)


@pytest.mark.parametrize("when", ["registered", "looked_up"])
def test_fault_63_an_id_under_which_the_registry_has_another_schema_is_never_published(
    task: Task, registry: RegistryProxy, connector: Connector, when: str
):
    """It answers with the id of another schema: when one is registered, or later, when it is asked which one is there."""
    follow(task, connector)
    task.sql("INSERT INTO orders VALUES (2)")
    task.sql("CREATE TABLE customers (id INT PRIMARY KEY)")
    if when == "looked_up":
        task.sql("INSERT INTO customers VALUES (1)")
        task.read("customers", 1)
        connector.terminate()
    before = published_up_to(task)
    other = task.stack.registry_get(f"subjects/{task.topic('orders')}-value/versions/latest")["id"]

    def replace(method: str, path: str) -> Answer | None:
        if f"{task.topic('customers')}-value/versions" not in path:
            return None
        if method == "POST":
            return 200, {"id": other}
        return (200, {**task.stack.registry_get(path.partition("/v7/")[2]), "id": other}) if when == "looked_up" else None

    registry.replace = replace
    if when == "looked_up":
        connector.start(ready_within=30)
    task.sql("INSERT INTO customers VALUES (2)")
    wait_until(
        lambda: connector.readiness() != 200 or published_up_to(task) != before,
        lambda: f"it does not believe the registry:\n{connector.tail()}",
    )
    assert published_up_to(task) == before, "a row was published with the id of another schema"
    assert "customers-value" in connector.stderr()


@pytest.mark.parametrize("answer", ["no such id", "another schema"])
def test_fault_63_a_truncate_is_published_though_the_registry_lost_the_schema_of_the_rows_before(
    task: Task, registry: RegistryProxy, connector: Connector, answer: str
):
    """The id of that schema is kept; where it does not lead there any more, the schema is registered again."""
    follow(task, connector)
    connector.terminate()
    task.sql("TRUNCATE orders")
    lost = []

    def replace(method: str, path: str) -> Answer | None:
        if "/schemas/ids/" not in path or lost:
            return None
        lost.append(path)
        if answer == "no such id":
            return 404, {"error_code": 40403, "message": "Schema not found"}
        return 200, {"schema": '{"type":"record","name":"Other","fields":[]}'}

    connector.start(ready_within=30)
    created, truncated = task.read("orders", 2)
    assert truncated.value["op"] == "t" and truncated.value_bytes[1:5] == created.value_bytes[1:5]
    connector.terminate()
    task.sql("TRUNCATE orders")
    own = task.stack.registry_get(f"subjects/{task.topic('orders')}-value/versions/latest")["id"]
    registry.replace = lambda method, path: replace(method, path) if path.endswith(f"/schemas/ids/{own}") else None
    registry.asked.clear()
    connector.start(ready_within=30)
    assert [event.value["op"] for event in task.read("orders", 3)] == ["c", "t", "t"] and len(lost) == 1
    assert any(f"{task.topic('orders')}-value/versions" in path for _, path in registry.asked), "it is made sure that it is there"
    assert "beginning again" not in connector.stderr()


def published_up_to(task: Task) -> int:
    """How far the topic of the new table goes; 0 without one."""
    topic = task.topic("customers")
    return task.stack.end_offsets([(topic, 0)])[topic, 0] if task.stack.partitions(topic) else 0


def test_fault_63_a_subject_that_another_made_at_the_same_moment_is_used(
    task: Task, registry: RegistryProxy, connector: Connector
):
    """Apicurio refuses one of two that make it at once with 409, though the schema is the same."""
    follow(task, connector)
    subject = f"{task.topic('customers')}-value"

    def replace(method: str, path: str) -> Answer | None:
        if method != "POST" or subject not in path:
            return None
        registry.reset()
        return 409, {"error_code": 409, "message": f"An artifact with ID '{subject}' in group 'null' already exists."}

    registry.replace = replace
    task.sql("INSERT INTO orders VALUES (2)")
    new_table(task)
    check_all_there(task)
    connector.check_running()
