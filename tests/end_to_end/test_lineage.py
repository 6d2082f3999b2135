"""A binlog that was begun anew: the same names of files and numbers of transactions, and other content."""

import pytest

from harness.ending import REFUSED, refused
from harness.task import Task, ids_of

WITH_GTIDS: list[str] = []
WITHOUT_GTIDS = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]


@pytest.fixture(scope="module", params=[WITH_GTIDS, WITHOUT_GTIDS], ids=["gtids", "files"])
def stack(stacks, request: pytest.FixtureRequest):
    """Of its own: RESET takes the binlog from everybody."""
    with stacks(f"lineage-{len(request.param)}".replace("-", ""), *request.param) as stack:
        yield stack


def insert(task: Task, *ids: int) -> None:
    for number in ids:
        task.sql("INSERT INTO orders VALUES (%s)", number)


def test_fault_4_a_binlog_begun_anew_that_has_outgrown_the_position_halts_before_a_row_of_it(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector(source={"start": "earliest"}).start(ready_within=30)
    insert(task, 1, 2, 3)
    assert ids_of(task.read("orders", 3)) == [1, 2, 3]
    connector.terminate()
    task.stack.sql("RESET MASTER")
    # More transactions, files and bytes than were published: neither numbers nor names nor sizes tell.
    insert(task, *range(4, 60))
    task.stack.sql("FLUSH BINARY LOGS")
    insert(task, *range(60, 100))
    refused(connector, REFUSED, "not the one that was followed", "start anew")
    assert ids_of(task.read("orders", 3)) == [1, 2, 3]


def test_a_server_that_has_purged_what_was_published_last_is_followed_on(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector(source={"start": "latest"}).start(ready_within=30)
    insert(task, 1)
    task.read("orders", 1)
    task.stack.sql("FLUSH BINARY LOGS")
    file, _ = task.stack.binlog_end()
    connector.kill()
    connector.start(ready_within=30)
    insert(task, 2)
    task.read("orders", 2)
    connector.terminate()
    task.stack.sql(f"PURGE BINARY LOGS TO '{file}'")
    connector.start(ready_within=30)
    insert(task, 3)
    assert ids_of(task.read("orders", 3)) == [1, 2, 3]
