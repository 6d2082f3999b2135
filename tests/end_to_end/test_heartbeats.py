"""`<task>.heartbeats`: how far the stream is, for readers of topics to which nothing comes."""

from typing import Any

from harness.reader import Follower
from harness.task import Task
from harness.wait import wait_until


def heartbeats(task: Task) -> Follower:
    return Follower(task.stack, [f"{task.name}.heartbeats"])


def place(value: dict[str, Any]) -> tuple[str, int]:
    return value["file"], value["pos"]


def test_they_come_while_nothing_is_written_and_are_numbered_through_kills(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector(events={"heartbeat_interval_ms": 200}, source={"heartbeat_interval_ms": 100}).start(ready_within=30)
    with heartbeats(task) as follower:
        for run in range(1, 4):
            follower.until(lambda: len(follower.events) >= 4 * run, f"{4 * run} heartbeats")
            connector.kill()
            connector.start(ready_within=30)
        follower.drain()
        assert [event.value["number"] for event in follower.events] == list(range(1, len(follower.events) + 1))
        assert {event.key["task"] for event in follower.events} == {task.name}


def test_what_lies_before_the_place_of_one_is_published(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    task.connector(events={"heartbeat_interval_ms": 100}, source={"heartbeat_interval_ms": 100}).start(ready_within=30)
    with heartbeats(task) as beats, task.follower("orders") as rows:
        for number in range(1, 31):
            task.sql("INSERT INTO orders VALUES (%s)", number)
            end = task.stack.binlog_end()
            beats.until(lambda: beats.events and place(beats.events[-1].value) >= end, f"a heartbeat behind {end}")
            rows.drain()
            assert [event.value["after"]["id"] for event in rows.events] == list(range(1, number + 1))
            gtid = rows.events[-1].value["source"]["gtid"]
            covering = beats.events[-1].value
            assert task.sql("SELECT GTID_SUBSET(%s, %s)", gtid, covering["gtid_set"]) == ((1,),)
            assert covering["source_ts_ms"] >= rows.events[-1].value["ts_ms"]
        places = [place(event.value) for event in beats.events]
        assert places == sorted(places)


def test_they_move_on_with_what_is_not_selected(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    task.sql("CREATE TABLE others (id INT PRIMARY KEY)")
    task.connector(
        events={"heartbeat_interval_ms": 100}, source={"heartbeat_interval_ms": 100},
        select={"databases": [], "tables": [f"{task.database}.orders"]}, limits={"checkpoint_interval_ms": 600_000},
    ).start(ready_within=30)
    with heartbeats(task) as beats:
        for number in range(3):
            task.sql("INSERT INTO others VALUES (%s)", number)
            end = task.stack.binlog_end()
            beats.until(lambda: beats.events and place(beats.events[-1].value) >= end, f"a heartbeat behind {end}")
    checkpoint = task.checkpoint()
    assert checkpoint["heartbeats"] > 0 and (checkpoint["position"]["file"], checkpoint["position"]["offset"]) >= end


def test_there_are_none_unless_asked_for(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    task.read("orders", 1)
    wait_until(lambda: task.checkpoint(), "a checkpoint")
    assert not task.stack.partitions(f"{task.name}.heartbeats") and "heartbeats" not in task.checkpoint()
    connector.terminate()
    config = task.connector("too-often", events={"heartbeat_interval_ms": 5}).start()
    assert config.wait_exit() == 2 and "events.heartbeat_interval_ms: must be 0" in config.stderr()
