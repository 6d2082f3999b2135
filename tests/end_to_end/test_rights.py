"""The connector's account at the brokers: what it needs, and what happens when that is taken away in the run."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, ResourcePatternType, ResourceType,
    ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion,
)

from harness.connector import Connector
from harness.ending import REFUSED, ended, refused
from harness.kafka_admin import done
from harness.stack import PASSWORD, USER, Stack
from harness.task import Task, ids_of, insert
from harness.wait import wait_until

# All that an account needs for a task; to see a thing is a right that comes with reading or writing it.
DATA, STATE, TRANSACTIONAL_ID = "{task}.", "binlog-bridge.{task}.state", "binlog-bridge.{task}"
RIGHTS = [
    (ResourceType.TOPIC, DATA, ResourcePatternType.PREFIXED, "CREATE"),
    (ResourceType.TOPIC, DATA, ResourcePatternType.PREFIXED, "WRITE"),
    (ResourceType.TOPIC, STATE, ResourcePatternType.LITERAL, "CREATE"),
    (ResourceType.TOPIC, STATE, ResourcePatternType.LITERAL, "WRITE"),
    (ResourceType.TOPIC, STATE, ResourcePatternType.LITERAL, "READ"),
    (ResourceType.TRANSACTIONAL_ID, TRANSACTIONAL_ID, ResourcePatternType.LITERAL, "WRITE"),
]
# A broker that refuses everybody looks like one that is away, until what was sent last has timed out.
NAMED_WITHIN_SECONDS = 60
# How long that is.
SOON_MS = 10_000
BACK_WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def stack(stacks) -> Iterator[Stack]:
    with stacks("rights", "--kafka-rights") as stack:
        set_password(stack, PASSWORD)
        yield stack


@pytest.fixture
def orders(orders: Task) -> Iterator[Task]:
    acls = [right_of(orders, *right) for right in RIGHTS]
    done(orders.stack.admin.create_acls(acls))
    yield orders
    set_password(orders.stack, PASSWORD)
    done(orders.stack.admin.delete_acls([filter_of(acl) for acl in acls]))


def right_of(task: Task, kind: ResourceType, name: str, pattern: ResourcePatternType, right: str) -> AclBinding:
    return AclBinding(
        kind, name.format(task=task.name), pattern, f"User:{USER}", "*", AclOperation[right], AclPermissionType.ALLOW
    )


def filter_of(acl: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        acl.restype, acl.name, acl.resource_pattern_type, acl.principal, acl.host, acl.operation, acl.permission_type
    )


def set_password(stack: Stack, password: str) -> None:
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    done(stack.admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, scram, password.encode())]))


def connector_of(task: Task, password: str = PASSWORD) -> Connector:
    kafka = {
        "bootstrap_servers": task.stack.env["KAFKA_WITH_RIGHTS"], "sasl_password": password,
        "client": {
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": USER,
        },
    }
    return task.connector(kafka=kafka, limits={"transaction_timeout_ms": SOON_MS})


@contextmanager
def without(task: Task, kind: ResourceType, name: str, right: str) -> Iterator[None]:
    """Takes a right away, for as long as the `with` lasts."""
    [acl] = [right_of(task, *each) for each in RIGHTS if (each[0], each[1], each[3]) == (kind, name, right)]
    done(task.stack.admin.delete_acls([filter_of(acl)]))
    try:
        yield
    finally:
        done(task.stack.admin.create_acls([acl]))


def alarms(connector: Connector) -> list[str]:
    return [line for line in connector.stderr().splitlines() if '"level":"ERROR"' in line and '"remedy"' in line]


def wait_alarm(connector: Connector, *words: str) -> None:
    """It says at level ERROR what it lacks, is not ready, and goes on trying."""

    def is_said() -> bool:
        connector.check_running()
        return any(all(word.lower() in line.lower() for word in words) for line in alarms(connector))

    wait_until(is_said, lambda: f"an alarm names {words}; it printed:\n{connector.tail()}", NAMED_WITHIN_SECONDS)
    wait_until(lambda: connector.readiness() == 503, "it is not ready")


def check_back(task: Task, connector: Connector) -> None:
    """Rows that were inserted while it could not work, and one more, come once and in order, by the same process."""
    insert(task, 4)
    assert ids_of(task.read("orders", 4, seconds=BACK_WITHIN_SECONDS)) == [1, 2, 3, 4]
    connector.wait_ready(BACK_WITHIN_SECONDS)
    assert connector.runs == 1


@pytest.mark.parametrize("kind, name, right, words", [
    (ResourceType.TOPIC, DATA, "WRITE", ("Write", "{task}.")),
    (ResourceType.TOPIC, STATE, "WRITE", ("Write", "binlog-bridge.{task}.state")),
    (ResourceType.TRANSACTIONAL_ID, TRANSACTIONAL_ID, "WRITE", ("Write", "transactional id")),
])
def test_fault_83_a_right_that_is_taken_away_in_the_run_is_named_and_waited_for(
    orders: Task, kind: ResourceType, name: str, right: str, words: tuple[str, ...]
):
    connector = connector_of(orders).start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    with without(orders, kind, name, right):
        insert(orders, 2, 3)
        wait_alarm(connector, *(word.format(task=orders.name, database=orders.database) for word in words))
        orders.read("orders", 1)
    check_back(orders, connector)


def test_fault_83_a_password_that_is_changed_in_the_run_raises_an_alarm_and_is_tried_until_it_is_right_again(orders: Task):
    connector = connector_of(orders).start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    set_password(orders.stack, PASSWORD + "-changed")
    # Who is connected stays so; a broker that is started again asks everybody.
    orders.stack.stop("kafka")
    orders.stack.start("kafka")
    insert(orders, 2, 3)
    wait_alarm(connector, "sasl")
    orders.read("orders", 1)
    set_password(orders.stack, PASSWORD)
    check_back(orders, connector)


def test_fault_83_at_the_start_a_wrong_password_ends_it_with_code_3(orders: Task):
    refused(connector_of(orders, PASSWORD + "-wrong"), REFUSED, "sasl")


@pytest.mark.parametrize("kind, name, right", [(kind, name, right) for kind, name, _, right in RIGHTS])
def test_fault_83_each_right_that_is_listed_is_needed_and_its_lack_named(
    orders: Task, kind: ResourceType, name: str, right: str
):
    """Without it the account ends at the start, or cannot publish its first row."""
    connector = connector_of(orders)
    if right == "READ":  # of a state that is there
        connector.start(ready_within=30).terminate()
    with without(orders, kind, name, right):
        connector.start()
        wait_until(lambda: not connector.is_running() or connector.is_ready(), "it is ready or has ended")
        insert(orders, 1)
        wait_until(lambda: not connector.is_running() or alarms(connector), connector.tail)
        if connector.is_running():
            assert "authoriz" in alarms(connector)[0].lower()
        else:
            ended(connector, REFUSED, "authoriz")
        orders.read("orders", 0)
