"""A task that cannot go on where it was goes on elsewhere, and consumers are told what they miss."""

import json
import threading
from collections.abc import Callable

import pytest

from harness.connector import Connector, error_and_remedy
from harness.ending import HALTED, REFUSED, refused
from harness.stack import WITHOUT_GTIDS
from harness.task import Task, ids_of, insert
from harness.wait import wait_until


@pytest.fixture(scope="module", params=[(), WITHOUT_GTIDS], ids=["gtids", "files"])
def stack(stacks, request: pytest.FixtureRequest):
    """Of its own: purging takes the binlog from everybody."""
    with stacks("offsets" if request.param else "offsets_gtids", *request.param) as stack:
        yield stack


def offsets_set(connector: Connector, *arguments: str) -> dict:
    done = connector.command("offsets", "set", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def stopped_before_a_purge(orders: Task) -> Connector:
    """Row 1 is published, row 2 is in a file that is gone, row 3 is the oldest that is left."""
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    connector.terminate()
    orders.stack.sql("FLUSH BINARY LOGS")
    insert(orders, 2)
    orders.stack.sql("FLUSH BINARY LOGS")
    file, _ = orders.stack.binlog_end()
    insert(orders, 3)
    orders.stack.sql(f"PURGE BINARY LOGS TO '{file}'")
    error, remedy = refused(connector, REFUSED, "position is purged", "offsets set oldest")
    assert file in error and '"state":"position-purged"' in connector.stderr()
    return connector


def gaps(task: Task) -> list[dict]:
    return [value for value in task.read_ends() if value["status"] == "GAP"]


@pytest.mark.parametrize("target, expected", [("oldest", [1, 3, 4]), ("newest", [1, 4])])
def test_fault_3_a_purged_position_is_passed_over_by_a_command_that_leaves_a_mark(orders: Task, target: str, expected: list[int]):
    connector = stopped_before_a_purge(orders)
    before = orders.checkpoint()
    planned = offsets_set(connector, target, "--dry-run")
    assert orders.checkpoint() == before and gaps(orders) == []
    moved = offsets_set(connector, target)
    assert {**moved, "dry_run": True} == planned
    assert moved["reason"] == "position-purged" and moved["from"] == before["position"] and not moved["may_repeat"]
    assert orders.checkpoint()["position"] == moved["to"]
    connector.start(ready_within=30)
    insert(orders, 4)
    assert ids_of(orders.read("orders", len(expected))) == expected
    (gap,) = gaps(orders)
    assert (gap["file"], gap["pos"]) == (before["position"]["file"], before["position"]["offset"])
    assert gap["ts_ms"] == before["source_ts_ms"]
    assert gap["gap"] == {
        "reason": "position-purged", "may_repeat": False,
        "from_gtid_set": before["position"].get("gtid_set"), "to_gtid_set": moved["to"].get("gtid_set"),
        "to_file": moved["to"]["file"], "to_pos": moved["to"]["offset"],
    }
    assert (gap["gap"]["to_gtid_set"] is not None) == orders.stack.has_gtids()


def test_a_definition_of_before_the_gap_is_not_used_behind_it(task: Task):
    """The binlog does not name columns: only a statement that nobody has read any more says that they swapped names."""
    with task.stack.metadata("MINIMAL"):
        task.sql("CREATE TABLE orders (id INT PRIMARY KEY, gross INT, net INT)")
        connector = task.connector().start(ready_within=30)
        task.sql("INSERT INTO orders VALUES (1, 119, 100)")
        task.read("orders", 1)
        connector.terminate()
        task.sql("ALTER TABLE orders RENAME COLUMN gross TO net, RENAME COLUMN net TO gross")
        task.stack.sql("FLUSH BINARY LOGS")
        file, _ = task.stack.binlog_end()
        task.stack.sql(f"PURGE BINARY LOGS TO '{file}'")
        offsets_set(connector, "oldest")
        task.sql("INSERT INTO orders (id, gross, net) VALUES (2, 238, 200)")
        connector.start(ready_within=30)
        rows = [event.value["after"] for event in task.read("orders", 2)]
    assert rows == [{"id": 1, "gross": 119, "net": 100}, {"id": 2, "gross": 238, "net": 200}]


def test_another_history_is_followed_from_its_oldest_event_and_the_mark_says_that_rows_may_repeat(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1, 2)
    orders.read("orders", 2)
    connector.terminate()
    orders.stack.sql("RESET MASTER")
    orders.sql("DELETE FROM orders")
    insert(orders, 1)
    refused(connector, REFUSED, "offsets set oldest")
    moved = offsets_set(connector, "oldest")
    assert moved["may_repeat"] and moved["reason"] in ("transactions-lost", "binlog-begun-anew", "position-after-the-end")
    connector.start(ready_within=30)
    events = orders.read("orders", 5)
    assert [event.value["op"] for event in events] == ["c", "c", "d", "d", "c"]
    assert gaps(orders)[0]["gap"]["may_repeat"]


def test_oldest_is_refused_while_nothing_is_missing(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    before = orders.checkpoint()
    done = connector.command("offsets", "set", "oldest")
    assert done.returncode == HALTED
    error, remedy = error_and_remedy(done.stderr)
    assert "twice" in error and "newest" in remedy
    insert(orders, 2)
    assert ids_of(orders.read("orders", 2)) == [1, 2]
    assert orders.checkpoint()["position"] != before["position"] and gaps(orders) == []
    connector.check_running()


def test_a_task_that_has_published_nothing_cannot_be_moved(orders: Task):
    connector = orders.connector()
    for options in [], ["--dry-run"]:
        done = connector.command("offsets", "set", "newest", *options)
        assert done.returncode == HALTED and "source.start" in error_and_remedy(done.stderr)[1]
    assert orders.stack.partitions(orders.state_topic) == []


def test_a_running_task_survives_that_it_is_moved_and_goes_on_from_the_new_place(orders: Task):
    connector = orders.connector().start(ready_within=30)
    stopping = threading.Event()

    def write() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            insert(orders, number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for count in 1, 2, 3:
            offsets_set(connector, "newest")
            published = orders.checkpoint()["position"]
            wait_until(lambda: orders.checkpoint()["position"] != published, connector.tail, 30)
            connector.check_running()
            assert len(gaps(orders)) == count
    finally:
        stopping.set()
        writer.join()
    connector.wait_ready()
    last = orders.sql("SELECT MAX(id) FROM orders")[0][0]
    with orders.follower("orders") as follower:
        follower.until(lambda: follower.events and ids_of(follower.events)[-1] == last, f"row {last}")
        ids = ids_of(follower.events)
    assert ids == sorted(set(ids)), "rows came twice or out of order"
    assert last - len(ids) == sum(map(rows_within(orders), gaps(orders))), "the marks say where exactly those rows are that are missing"


def rows_within(task: Task) -> Callable[[dict], int]:
    """How many rows the binlog has in a gap; each was inserted by itself."""

    def count(gap: dict) -> int:
        ends = gap["gap"]
        assert gap["file"] == ends["to_file"], "the test does not rotate"
        if ends["to_gtid_set"] is None:
            events = task.stack.sql(f"SHOW BINLOG EVENTS IN '{gap['file']}' FROM {gap['pos']}")
            return sum(event[2] == "Write_rows" and event[1] < ends["to_pos"] for event in events)
        [(within,)] = task.stack.sql("SELECT GTID_SUBTRACT(%s, %s)", ends["to_gtid_set"], ends["from_gtid_set"])
        rows, gtid = 0, ""
        for event in task.stack.sql(f"SHOW BINLOG EVENTS IN '{gap['file']}'"):
            if event[2] == "Gtid":
                gtid = event[5].split("'")[1]
            elif event[2] == "Write_rows":
                rows += has_gtid(within, gtid)
        return rows

    return count


def has_gtid(gtids: str, gtid: str) -> bool:
    """True if a set of one server's GTIDs, such as `UUID:1-5:7`, has one of them."""
    uuid, number = gtid.split(":")
    server, *intervals = gtids.replace("\n", "").split(":")
    bounds = (interval.split("-") for interval in intervals)
    return server == uuid and any(int(bound[0]) <= int(number) <= int(bound[-1]) for bound in bounds)
