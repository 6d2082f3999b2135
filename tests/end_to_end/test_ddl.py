"""Statements that change tables, between rows."""

import pytest
import requests

from harness.binlog import events_of
from harness.ending import HALTED, ended, refused
from harness.reader import Follower, read_all
from harness.task import Task


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20) NOT NULL)")
    task.connector(kafka={"partitions": 2}).start(ready_within=30)
    return task


def afters(task: Task, table: str, count: int) -> list[dict | None]:
    """The rows after each event, in the order of their positions over all partitions."""
    events = task.read(table, count)
    return [event.value["after"] for event in sorted(events, key=lambda e: (e.value["source"]["file"], e.value["source"]["pos"]))]


def versions(task: Task, table: str, part: str) -> list[int]:
    return task.stack.registry_get(f"subjects/{task.topic(table)}-{part}/versions")


def test_rows_before_and_after_an_added_column_each_have_the_shape_they_were_written_in(orders: Task):
    orders.sql("INSERT INTO orders VALUES (1, 'before')")
    orders.sql("ALTER TABLE orders ADD COLUMN amount DECIMAL(10,2) NULL AFTER id")
    orders.sql("INSERT INTO orders VALUES (2, 1.50, 'after')")
    orders.sql("UPDATE orders SET amount = 7 WHERE id = 1")
    rows = afters(orders, "orders", 3)
    assert [list(row) for row in rows] == [["id", "note"], ["id", "amount", "note"], ["id", "amount", "note"]]
    assert [row["note"] for row in rows] == ["before", "after", "before"]
    assert [str(row["amount"]) for row in rows[1:]] == ["1.50", "7.00"]
    assert len(versions(orders, "orders", "value")) == 2
    assert len(versions(orders, "orders", "key")) == 1


def test_fault_55_rows_around_an_alter_are_right_though_it_was_dead_then(orders: Task):
    connector = orders.connectors[0]
    orders.sql("INSERT INTO orders VALUES (1, 'a')")
    connector.kill()
    orders.sql("INSERT INTO orders VALUES (2, 'b')")
    orders.sql("ALTER TABLE orders DROP COLUMN note, ADD COLUMN amount INT UNSIGNED NOT NULL DEFAULT 3")
    orders.sql("INSERT INTO orders (id) VALUES (3)")
    orders.sql("ALTER TABLE orders MODIFY amount INT UNSIGNED NULL")
    orders.sql("INSERT INTO orders VALUES (4, NULL)")
    orders.sql("ALTER TABLE orders RENAME COLUMN amount TO label")
    orders.sql("INSERT INTO orders VALUES (5, 4294967295)")
    connector.start()
    assert [row and list(row.items())[1] for row in afters(orders, "orders", 5)] == [
        ("note", "a"), ("note", "b"), ("amount", 3), ("amount", None), ("label", 4294967295),
    ]
    connector.check_running()


def test_fault_62_a_change_that_readers_could_not_follow_halts_before_its_first_row_and_names_the_column(orders: Task):
    connector = orders.connectors[0]
    orders.sql("INSERT INTO orders VALUES (1, 'text')")
    orders.sql("TRUNCATE TABLE orders")
    orders.sql("ALTER TABLE orders MODIFY note BIGINT NOT NULL")
    with orders.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO orders VALUES (%s, 77)", [(number,) for number in range(2, 500)])
        connection.commit()
    ended(connector, HALTED, "orders", "note", "topic_name")
    ops = [event.value["op"] for event in orders.read("orders", 3)]
    assert ops.count("c") == 1 and ops.count("t") == 2
    assert len(versions(orders, "orders", "value")) == 1
    refused(connector, HALTED, "orders", "note")
    orders.read("orders", 3)


def test_fault_62_a_change_that_the_registry_does_not_allow_halts_before_its_first_row(orders: Task):
    """Somebody has set another rule for the subject than ours: old readers must be able to read on too."""
    connector = orders.connectors[0]
    orders.sql("CREATE TABLE amounts (id INT PRIMARY KEY, amount INT)")
    orders.sql("INSERT INTO amounts VALUES (1, 1)")
    orders.read("amounts", 1)
    subject = f"{orders.topic('amounts')}-value"
    rule = requests.put(f"{orders.stack.registry}/config/{subject}", json={"compatibility": "FULL"}, timeout=10)
    rule.raise_for_status()
    orders.sql("ALTER TABLE amounts MODIFY amount BIGINT")
    orders.sql("INSERT INTO amounts VALUES (2, 2)")
    ended(connector, HALTED, "amounts", "topic_name")
    orders.read("amounts", 1)
    assert len(versions(orders, "amounts", "value")) == 1


def test_fault_31_a_table_that_is_dropped_and_created_anew_has_its_new_shape(orders: Task):
    orders.sql("INSERT INTO orders VALUES (1, 'old')")
    orders.sql("DROP TABLE orders")
    orders.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20) NOT NULL, flag TINYINT)")
    orders.sql("INSERT INTO orders VALUES (1, 'new', 1)")
    assert afters(orders, "orders", 2) == [{"id": 1, "note": "old"}, {"id": 1, "note": "new", "flag": 1}]


# A table that is made again with a name that another had: in each the column of the same name is another.
SHAPES = [
    "id INT PRIMARY KEY, n INT, note VARCHAR(20)", "id BIGINT PRIMARY KEY, note VARCHAR(200)", "id BIGINT PRIMARY KEY, x INT, n BIGINT",
    "id BIGINT PRIMARY KEY, n DOUBLE, x INT UNSIGNED",
]


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize("way", ["dropped", "renamed", "with its database"])
def test_fault_31_rows_of_tables_that_had_one_name_share_a_topic_and_each_has_its_own_schema(
    task: Task, metadata: str, is_away: bool, way: str,
):
    database = f"{task.database}_again"
    with task.stack.metadata(metadata):
        connector = task.connector(select={"databases": [task.database, f"{database}*"]}).start(ready_within=30)
        task.stack.sql(f"CREATE DATABASE {database}")
        for number, columns in enumerate(SHAPES):
            if is_away and number == 1:
                # Three of the four are made, filled and gone before it is back.
                connector.kill()
            task.stack.sql(f"CREATE TABLE {database}.t ({columns}) CHARSET utf8mb4")
            names = [column.split()[0] for column in columns.split(", ")]
            task.stack.sql(f"INSERT INTO {database}.t ({', '.join(names)}) VALUES ({', '.join([str(number)] * len(names))})")
            task.stack.sql({
                "dropped": f"DROP TABLE {database}.t", "renamed": f"RENAME TABLE {database}.t TO {database}.t{number}",
                "with its database": f"DROP DATABASE {database}",
            }[way])
            if way == "with its database":
                task.stack.sql(f"CREATE DATABASE {database}")
        if is_away:
            connector.start(ready_within=30)
        with Follower(task.stack, [f"{task.name}.{database}.t"]) as follower:
            follower.until(lambda: len(follower.events) >= len(SHAPES), "a row of each")
            events = follower.drain().events
        assert [event.value["after"] for event in events] == [
            {"id": 0, "n": 0, "note": "0"}, {"id": 1, "note": "1"}, {"id": 2, "x": 2, "n": 2}, {"id": 3, "n": 3.0, "x": 3},
        ]
        assert len({event.value_bytes[1:5] for event in events}) == len(SHAPES)
        connector.check_running()
    task.stack.sql(f"DROP DATABASE {database}")


def test_fault_31_truncate_is_an_event_on_every_partition_with_a_null_key(orders: Task):
    for number in range(10):
        orders.sql("INSERT INTO orders VALUES (%s, '')", number)
    orders.sql("TRUNCATE TABLE orders")
    orders.sql("INSERT INTO orders VALUES (100, '')")
    events = orders.read("orders", 13)
    truncates = [event for event in events if event.value["op"] == "t"]
    assert sorted(event.partition for event in truncates) == [0, 1]
    for event in truncates:
        assert event.key_bytes is None
        assert event.value["before"] is None and event.value["after"] is None
        assert event.value["source"]["table"] == "orders"
        mine = [e for e in events if e.partition == event.partition]
        assert all(e.key["id"] < 10 for e in mine[: mine.index(event)])
        assert all(e.key["id"] == 100 for e in mine[mine.index(event) + 1 :])


def test_a_new_table_of_a_selected_database_appears_by_itself(orders: Task):
    orders.sql("CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20))")
    orders.sql("INSERT INTO customers VALUES (1, 'first')")
    assert afters(orders, "customers", 1) == [{"id": 1, "name": "first"}]
    assert orders.stack.partitions(orders.topic("customers")) == [0, 1]


def test_a_new_table_outside_the_selection_does_not_appear(orders: Task):
    orders.stack.sql("CREATE DATABASE IF NOT EXISTS aside")
    orders.stack.sql(f"CREATE TABLE aside.{orders.database} (id INT PRIMARY KEY, body JSON)")
    orders.stack.sql(f"INSERT INTO aside.{orders.database} VALUES (1, '{{}}')")
    orders.sql("INSERT INTO orders VALUES (1, 'x')")
    orders.read("orders", 1)
    topics = orders.stack.admin.list_topics(timeout=10).topics
    assert [topic for topic in topics if topic.startswith(f"{orders.name}.aside")] == []


def test_a_renamed_table_goes_on_under_its_new_name(orders: Task):
    orders.sql("INSERT INTO orders VALUES (1, 'old name')")
    orders.sql("RENAME TABLE orders TO purchases")
    orders.sql("INSERT INTO purchases VALUES (2, 'new name')")
    orders.sql("ALTER TABLE purchases RENAME TO orders")
    orders.sql("INSERT INTO orders VALUES (3, 'old again')")
    assert [row["id"] for row in afters(orders, "orders", 2)] == [1, 3]
    assert [row["id"] for row in afters(orders, "purchases", 1)] == [2]


def test_fault_56_two_tables_that_swap_names_are_never_decoded_as_each_other(orders: Task):
    orders.sql("CREATE TABLE other (id INT PRIMARY KEY, amount BIGINT NOT NULL)")
    orders.sql("INSERT INTO orders VALUES (1, 'text')")
    orders.sql("INSERT INTO other VALUES (1, 77)")
    orders.sql("RENAME TABLE orders TO swap, other TO orders, swap TO other")
    orders.sql("INSERT INTO other VALUES (2, 'more')")
    assert afters(orders, "other", 2) == [{"id": 1, "amount": 77}, {"id": 2, "note": "more"}]


def test_a_table_may_be_followed_alone_and_have_a_topic_name_of_its_own(task: Task):
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    task.sql("CREATE TABLE noise (id INT PRIMARY KEY, body JSON)")
    config = task.config(kafka={"tables": {f"{task.database}.orders": {"topic_name": f"{task.name}.other-name"}}})
    config["select"] = {"tables": [f"{task.database}.orders"]}
    task.connector_with(config).start(ready_within=30)
    task.sql("INSERT INTO noise VALUES (1, '{}')")
    task.sql("INSERT INTO orders VALUES (1)")
    with Follower(task.stack, [f"{task.name}.other-name"]) as follower:
        follower.until(lambda: follower.events, "the row")
        assert [event.key for event in follower.drain().events] == [{"id": 1}]


def test_ddl_that_touches_no_column_leaves_the_stream_as_it_is(orders: Task):
    orders.sql("INSERT INTO orders VALUES (1, 'a')")
    orders.sql("ALTER TABLE orders ADD INDEX by_note (note)")
    orders.sql("/* ALTER TABLE orders */ CREATE VIEW all_orders AS SELECT * FROM orders")
    orders.sql("ANALYZE TABLE orders")
    orders.sql("GRANT SELECT ON *.* TO bridge")
    orders.sql("INSERT INTO orders VALUES (2, 'b')")
    assert [row["id"] for row in afters(orders, "orders", 2)] == [1, 2]
    assert len(versions(orders, "orders", "value")) == 1


@pytest.mark.parametrize("is_killed", [False, True])
def test_fault_30_statements_in_the_middle_of_a_transaction_keep_their_place_among_its_rows(task: Task, is_killed: bool):
    """A statement that changes tables ends the transaction before it; what the server wrote as one group stays one."""
    for table in "a", "b":
        task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY)")
    connector = task.connector(events={"schema_updates": True}, kafka={"partitions": 1}).start(ready_within=30)
    if is_killed:
        connector.kill()
    aside = f"{task.database}_aside"
    task.stack.sql(f"CREATE DATABASE {aside}")
    task.stack.sql(f"CREATE TABLE {aside}.t (id INT PRIMARY KEY)")
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for statement in [
            "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)", "ALTER TABLE a ADD x INT", "INSERT INTO a VALUES (2, 2)",
            "CREATE TEMPORARY TABLE helper (id INT)", "DROP TEMPORARY TABLE helper", "INSERT INTO b VALUES (2)",
            "CREATE TABLE c AS SELECT id, x AS y FROM a", "INSERT INTO c VALUES (3, 3)", "RENAME TABLE b TO d, c TO b", "ROLLBACK",
            "XA START 'x'", f"INSERT INTO {aside}.t VALUES (1)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'",
            "INSERT INTO b VALUES (4, 4)", "INSERT INTO d VALUES (3)", "TRUNCATE d", "INSERT INTO d VALUES (4)", "COMMIT",
        ]:
            cursor.execute(statement)
    if is_killed:
        connector.start(ready_within=30)
    for table, ids in {"a": [1, 2], "b": [1, 2, 4], "c": [1, 2, 3], "d": [3, None, 4]}.items():
        events = task.read(table, len(ids))
        assert [event.value["after"] and event.value["after"]["id"] for event in events] == ids, table
    check_places(task, [event.value for table in "abcd" for event in task.read(table, 2 if table == "a" else 3)])
    task.stack.sql(f"DROP DATABASE {aside}")


def check_places(task: Task, rows: list[dict]) -> None:
    """Rows, statements and ends stand where the server has them, in the transactions that it made."""
    told = [event.value for event in read_all(task.stack, f"{task.name}.schema-changes")]
    places = [(row["source"]["pos"], row["source"]["row"], row["source"]["table"], row["source"]["gtid"]) for row in rows if row["op"] == "c"]
    places += [(change["pos"], 0, change["kind"], change["gtid"]) for change in told]
    assert " ".join(what for _, _, what, _ in sorted(places)) == "a b ALTER a b CREATE c c c RENAME b d TRUNCATE d"
    in_binlog = events_of(task.stack, told[0]["file"])
    for position, _, what, gtid in places:
        assert (in_binlog[position].kind, in_binlog[position].gtid) == ("Query" if what.isupper() else "Write_rows", gtid)
    ends = task.read_ends()
    by_table = [{each["data_collection"].rpartition(".")[2]: each["event_count"] for each in end["data_collections"]} for end in ends]
    assert by_table == [{"a": 1, "b": 1}, {"a": 1, "b": 1}, {"c": 2}, {"c": 1}, {"b": 1, "d": 1}, {"d": 1}, {"d": 1}]
    gtids = list(dict.fromkeys(event.gtid for event in in_binlog.values()))
    assert [end["gtid"] for end in ends] == sorted((end["gtid"] for end in ends), key=gtids.index)
    assert {end["gtid"] for end in ends} | {change["gtid"] for change in told} == {gtid for *_, gtid in places}
