"""Places by GTIDs: sets with thousands of intervals, and with tags."""

import json
import os
import re
import uuid

import pytest

from harness.connector import error_and_remedy
from harness.reader import read_all, read_state
from harness.stack import Stack
from harness.task import Task, ids_of

OTHER_SERVER = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
# Every other number of another server's transactions.
INTERVALS = 3000


@pytest.fixture(scope="module")
def stack(stacks):
    with stacks("gtids") as stack:
        yield stack


def test_fault_14_a_set_with_thousands_of_intervals_is_followed_and_resumed(task: Task):
    with task.connect(autocommit=True) as connection, connection.cursor() as cursor:
        for number in range(1, 2 * INTERVALS, 2):
            cursor.execute(f"SET gtid_next = '{OTHER_SERVER}:{number}'")
            cursor.execute("BEGIN")
            cursor.execute("COMMIT")
        cursor.execute("SET gtid_next = AUTOMATIC")
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    assert ids_of(task.read("orders", 1)) == [1]
    connector.terminate()
    # One in a gap, one that makes an interval longer, and one of a server that nobody has heard of.
    with task.connect(autocommit=True) as connection, connection.cursor() as cursor:
        gtids = f"{OTHER_SERVER}:1000", f"{OTHER_SERVER}:{2 * INTERVALS}", f"{uuid.uuid4()}:77"
        for number, gtid in enumerate(gtids):
            cursor.execute(f"SET gtid_next = '{gtid}'")
            cursor.execute(f"INSERT INTO orders VALUES ({10 + number})")
        cursor.execute("SET gtid_next = AUTOMATIC")
    connector.start(ready_within=30)
    assert ids_of(task.read("orders", 4)) == [1, 10, 11, 12]
    connector.kill()
    task.sql("INSERT INTO orders VALUES (20)")
    connector.start(ready_within=30)
    assert ids_of(task.read("orders", 5)) == [1, 10, 11, 12, 20]
    # Checkpoints say only what was added to the set that stands in a record of its own.
    state = read_state(task.stack, task.name)
    checkpoint, base = state["checkpoint",], state["gtid_base",]
    assert checkpoint["gtid_base"] == base["id"]
    published, added = base["gtid_set"], checkpoint["position"]["gtid_set"]
    assert added.count(":") < 10 < INTERVALS - 10 < published.count(":")
    shown = json.loads(connector.command("offsets", "show").stdout)["checkpoint"]["position"]["gtid_set"]
    union = f"{published},{added}"
    assert task.sql(f"SELECT GTID_SUBTRACT('{shown}', '{union}'), GTID_SUBTRACT('{union}', '{shown}')") == (("", ""),)
    executed = str(task.stack.variable("gtid_executed"))
    assert task.sql(f"SELECT GTID_SUBSET('{union}', '{executed}')") == ((1,),)


def test_fault_15_transactions_without_a_number_that_lie_ahead_halt_and_the_remedy_works(task: Task):
    """gtid_mode was lowered and raised again while the connector was away: what lies between the server does not send."""
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO orders VALUES (1)")
    assert ids_of(task.read("orders", 1)) == [1]
    connector.terminate()
    assert task.checkpoint()["position"]["kind"] == "gtid"
    task.sql("INSERT INTO orders VALUES (2)")
    for mode in "ON_PERMISSIVE", "OFF_PERMISSIVE":
        task.sql(f"SET GLOBAL gtid_mode = {mode}")
    task.sql("INSERT INTO orders VALUES (3)")
    for mode in "ON_PERMISSIVE", "ON":
        task.sql(f"SET GLOBAL gtid_mode = {mode}")
    task.sql("INSERT INTO orders VALUES (4)")
    connector.start()
    assert connector.wait_exit(30) in (3, 4)
    error, remedy = error_and_remedy(connector.stderr())
    assert "anonymous" in error
    [statement] = re.findall(r"SET GLOBAL gtid_mode = ON_PERMISSIVE", remedy)
    task.sql(statement)
    connector.start(ready_within=30)
    assert ids_of(task.read("orders", 4)) == [1, 2, 3, 4]
    task.sql("SET GLOBAL gtid_mode = ON")
    task.sql("INSERT INTO orders VALUES (5)")
    assert ids_of(task.read("orders", 5)) == [1, 2, 3, 4, 5]
    connector.kill()
    task.sql("INSERT INTO orders VALUES (6)")
    connector.start(ready_within=30)
    assert ids_of(task.read("orders", 6)) == [1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def newest(stacks):
    if "mysql9" not in os.environ.get("BINLOG_BRIDGE_TEST_SERVERS", ""):
        pytest.skip("tags need MySQL 8.3: asked for in a long check")
    with stacks("mysql9", "--server=mysql9") as stack:
        yield stack


def test_fault_14_tags_are_kept_and_the_server_is_asked_by_them(newest: Stack, tasks, tmp_path):
    with tasks(newest, tmp_path) as task:
        task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
        connector = task.connector().start(ready_within=30)
        insert_tagged(task, "red", 1)
        task.sql("INSERT INTO orders VALUES (2)")
        assert ids_of(task.read("orders", 2)) == [1, 2]
        connector.terminate()
        position = task.checkpoint()["position"]
        assert ":red:1" in position["gtid_set"]
        insert_tagged(task, "red", 3)
        insert_tagged(task, "a_longer_tag_of_32_letters_01234", 4)
        task.sql("INSERT INTO orders VALUES (5)")
        connector.start(ready_within=30)
        assert ids_of(task.read("orders", 5)) == [1, 2, 3, 4, 5]
        connector.kill()
        insert_tagged(task, "blue", 6)
        connector.start(ready_within=30)
        assert ids_of(task.read("orders", 6)) == [1, 2, 3, 4, 5, 6]
        position = task.checkpoint()["position"]
        assert position["kind"] == "gtid" and ":red:1-2" in position["gtid_set"]
        gtids = [event.value["source"]["gtid"] for event in read_all(newest, task.topic("orders"))]
        assert [gtid.split(":")[1] for gtid in gtids if gtid.count(":") == 2] == [
            "red", "red", "a_longer_tag_of_32_letters_01234", "blue",
        ]


def insert_tagged(task: Task, tag: str, number: int) -> None:
    with task.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET gtid_next = 'AUTOMATIC:{tag}'")
        cursor.execute(f"INSERT INTO orders VALUES ({number})")
        cursor.execute("SET gtid_next = AUTOMATIC")
