"""`events.tombstones`: behind each delete, a record of the same key without a value."""

from harness.task import Task
from harness.wait import wait_until


def test_each_delete_is_followed_by_a_record_without_a_value(task: Task):
    task.sql("CREATE TABLE keyed (id INT PRIMARY KEY, v INT)")
    task.sql("CREATE TABLE keyless (v INT)")
    task.connector(events={"tombstones": True}, kafka={"partitions": 3}).start(ready_within=30)
    for statement in [
        "INSERT INTO keyed VALUES (1, 1), (2, 2)", "UPDATE keyed SET v = 3 WHERE id = 1", "UPDATE keyed SET id = 5 WHERE id = 2",
        "DELETE FROM keyed", "INSERT INTO keyless VALUES (1)", "DELETE FROM keyless", "TRUNCATE TABLE keyless",
    ]:
        task.sql(statement)
    events = task.read("keyed", 10)
    ops: dict[int, list[str | None]] = {}
    for event in events:
        ops.setdefault(event.key["id"], []).append(event.value and event.value["op"])
    assert ops == {1: ["c", "u", "d", None], 2: ["c", "d", None], 5: ["c", "d", None]}
    assert len({(event.key["id"], event.partition) for event in events}) == 3, "a tombstone lies in the partition of its key"
    keyless = sorted(task.read("keyless", 5), key=lambda event: (event.partition, event.offset))
    assert [(event.partition, event.value["op"]) for event in keyless] == [(0, "c"), (0, "d"), (0, "t"), (1, "t"), (2, "t")]
    # They are no events.
    ends: list[int] = []

    def is_all_there() -> bool:
        ends[:] = [end["event_count"] for end in task.read_ends()]
        return len(ends) >= 7

    wait_until(is_all_there, lambda: f"END records of all transactions: {ends}")
    assert ends == [2, 1, 2, 2, 1, 1, 1]


def test_without_the_option_there_are_none(task: Task):
    task.sql("CREATE TABLE keyed (id INT PRIMARY KEY)")
    task.connector().start(ready_within=30)
    task.sql("INSERT INTO keyed VALUES (1)")
    task.sql("DELETE FROM keyed")
    assert [event.value["op"] for event in task.read("keyed", 2)] == ["c", "d"]
