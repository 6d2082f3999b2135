"""Places by GTIDs: sets with thousands of intervals, and with tags."""

import os
import uuid

import pytest

from harness.reader import read_all
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
    executed = str(task.stack.variable("gtid_executed"))
    published = task.checkpoint()["position"]["gtid_set"]
    assert task.sql(f"SELECT GTID_SUBSET('{published}', '{executed}')") == ((1,),)
    assert published.count(":") > INTERVALS - 10


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
