"""Where a task begins, and that this is settled before it says it is ready."""

from harness.task import Task, ids_of, insert


def test_rows_inserted_while_it_is_dead_before_its_first_row_arrive_with_start_latest(orders: Task):
    insert(orders, 1)
    connector = orders.connector().start(ready_within=30)
    connector.kill()
    insert(orders, 2, 3)
    connector.start(ready_within=30)
    insert(orders, 4)
    assert ids_of(orders.read("orders", 3)) == [2, 3, 4]


def test_start_latest_killed_again_and_again_before_the_first_row_stays_where_it_was(orders: Task):
    connector = orders.connector().start(ready_within=30)
    for number in range(1, 4):
        connector.kill()
        insert(orders, number)
        connector.start()
    connector.wait_ready()
    assert ids_of(orders.read("orders", 3)) == [1, 2, 3]


def test_start_earliest_brings_all_that_the_binlog_has(orders: Task):
    insert(orders, 1, 2)
    orders.connector(source={"start": "earliest"}).start(ready_within=60)
    insert(orders, 3)
    assert ids_of(orders.read("orders", 3, seconds=60)) == [1, 2, 3]


def test_start_at_a_gtid_set_brings_what_is_not_in_it(orders: Task):
    insert(orders, 1, 2)
    executed = orders.stack.variable("gtid_executed").replace("\n", "")
    insert(orders, 3)
    orders.connector(source={"start": {"gtid_set": executed}}).start(ready_within=30)
    insert(orders, 4)
    assert ids_of(orders.read("orders", 2)) == [3, 4]


def test_start_at_file_and_offset_brings_what_follows(orders: Task):
    insert(orders, 1, 2)
    file, offset = orders.stack.binlog_end()
    insert(orders, 3)
    orders.stack.sql("FLUSH BINARY LOGS")
    orders.connector(source={"start": {"file": file, "offset": offset}}).start(ready_within=30)
    insert(orders, 4)
    assert ids_of(orders.read("orders", 2)) == [3, 4]


def test_start_does_not_move_a_task_that_has_a_checkpoint(orders: Task):
    config = orders.config(source={"start": "latest"})
    first = orders.connector_with(config, "first").start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    first.terminate()
    insert(orders, 2)
    config["source"]["start"] = "earliest"
    orders.connector_with(config, "second").start(ready_within=30)
    insert(orders, 3)
    assert ids_of(orders.read("orders", 3)) == [1, 2, 3]
