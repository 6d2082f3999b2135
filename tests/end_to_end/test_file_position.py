"""A server without GTIDs: file and position are all there is."""

import random
import re

import pytest

from harness.reader import read_all
from harness.replay import check_equals_select
from harness.stack import WITHOUT_GTIDS
from harness.task import Task, ids_of
from harness.torment import Plan
from test_bank import run_bank


@pytest.fixture(scope="module")
def stack(stacks):
    with stacks("files", *WITHOUT_GTIDS) as stack:
        yield stack


def test_events_carry_no_gtid_and_name_their_transaction_by_file_and_position(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20))")
    task.sql("CREATE TABLE lines_of (id INT PRIMARY KEY)")
    task.connector().start(ready_within=30)
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (1, 'a'), (2, 'b')")
        cursor.execute("INSERT INTO lines_of VALUES (1)")
        connection.commit()
        cursor.execute("UPDATE orders SET note = 'c'")
        cursor.execute("DELETE FROM orders WHERE id = 1")
        connection.commit()
    events = task.read("orders", 5) + task.read("lines_of", 1)
    check_equals_select(task.stack, f"{task.database}.orders", [e for e in events if e.topic == task.topic("orders")], True)
    assert {event.value["source"]["gtid"] for event in events} == {None}
    identities = {event.value["transaction"]["id"] for event in events}
    assert len(identities) == 2 and all(re.fullmatch(r"file=binlog\.\d{6},pos=\d+", each) for each in identities)
    ends = [event.value for event in read_all(task.stack, task.transactions_topic)]
    assert {end["id"] for end in ends} == identities and [end["event_count"] for end in ends] == [3, 3]
    assert [end["gtid"] for end in ends] == [None, None]
    position = task.checkpoint()["position"]
    assert position == {"kind": "file", "file": ends[-1]["file"], "offset": position["offset"]}
    assert position["offset"] >= ends[-1]["pos"]


@pytest.mark.parametrize("start", ["latest", "earliest", "position"])
def test_it_starts_where_it_is_told(task: Task, start: str):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    task.sql("INSERT INTO orders VALUES (1)")
    file, offset = task.stack.binlog_end()
    task.sql("INSERT INTO orders VALUES (2)")
    task.stack.sql("FLUSH BINARY LOGS")
    begin = {"file": file, "offset": offset} if start == "position" else start
    task.connector(source={"start": begin}).start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (3)")
    expected = {"latest": [3], "earliest": [1, 2, 3], "position": [2, 3]}[start]
    assert ids_of(task.read("orders", len(expected))) == expected


def test_fault_1_rotations_between_and_within_kills_cost_no_row(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    chance = random.Random(11)
    for number in range(1, 61):
        task.sql("INSERT INTO orders VALUES (%s)", number)
        if chance.random() < 0.2:
            task.stack.sql("FLUSH BINARY LOGS")
        if chance.random() < 0.1:
            connector.kill()
            connector.start()
    assert ids_of(task.read("orders", 60, seconds=60)) == list(range(1, 61))


@pytest.mark.timeout(200)
def test_the_bank_arrives_once_and_in_order_though_the_connector_is_killed_and_files_rotate(task: Task, say):
    run_bank(task, say, Plan(kills=12, mysql_restarts=1, rotations=4))
