"""A binlog that is not the one that was followed any more, or not all of it is there: the connector says so, and
publishes nothing from it. With GTIDs and with names of files alone."""

import pathlib
import signal
from contextlib import suppress

import pymysql
import pytest

from harness.ending import HALTED, REFUSED, ended, refused
from harness.stack import WITHOUT_GTIDS
from harness.task import Task, insert, published
from harness.wait import wait_until


@pytest.fixture(scope="module", params=[(), WITHOUT_GTIDS], ids=["gtids", "files"])
def stack(stacks, request: pytest.FixtureRequest):
    """Of its own: RESET takes the binlog from everybody."""
    with stacks(f"lineage{len(request.param)}", *request.param) as stack:
        yield stack


DUMPS = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%%'"


def rotate_and_purge(task: Task) -> None:
    """Nothing is left of the binlog before now."""
    task.stack.sql("FLUSH BINARY LOGS")
    task.stack.sql(f"PURGE BINARY LOGS TO '{task.stack.binlog_end()[0]}'")


def end_dumps(task: Task) -> None:
    """Of all that read the binlog. One that the connector has left goes by itself when the server writes to it."""
    def are_ended() -> bool:
        found = task.stack.sql(DUMPS)
        for (number,) in found:
            with suppress(pymysql.err.OperationalError):
                task.stack.sql(f"KILL {number}")
        return not found

    wait_until(are_ended, "no dump is open")


# Purged


def test_fault_3_a_position_purged_while_it_was_stopped_is_named_and_never_jumped_over(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    published(orders, 1)
    connector.terminate()
    insert(orders, 2)
    rotate_and_purge(orders)
    insert(orders, 3)
    for _ in range(2):
        refused(connector, REFUSED, "position is purged", "binlog_expire_logs_seconds", "offsets set")
    published(orders, 1)


def test_fault_3_what_is_left_of_the_binlog_is_named_where_a_position_is_purged(orders: Task):
    connector = orders.connector().start(ready_within=30)
    connector.terminate()
    insert(orders, 1)
    rotate_and_purge(orders)
    refused(connector, REFUSED, "position is purged", orders.stack.sql("SHOW BINARY LOGS")[0][0])


def test_fault_3_a_position_purged_while_it_was_held_up_halts_it(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    published(orders, 1)
    connector.signal(signal.SIGSTOP)
    end_dumps(orders)
    insert(orders, 2)
    rotate_and_purge(orders)
    insert(orders, 3)
    connector.signal(signal.SIGCONT)
    ended(connector, HALTED, "position is purged", "offsets set")
    published(orders, 1)


def test_a_server_that_has_purged_what_was_published_last_is_followed_on(orders: Task):
    connector = orders.connector(source={"start": "latest"}).start(ready_within=30)
    insert(orders, 1)
    orders.read("orders", 1)
    orders.stack.sql("FLUSH BINARY LOGS")
    file, _ = orders.stack.binlog_end()
    connector.kill()
    connector.start(ready_within=30)
    insert(orders, 2)
    orders.read("orders", 2)
    connector.terminate()
    orders.stack.sql(f"PURGE BINARY LOGS TO '{file}'")
    connector.start(ready_within=30)
    insert(orders, 3)
    published(orders, 1, 2, 3)


# Begun anew


def test_fault_4_a_binlog_begun_anew_that_has_outgrown_the_position_halts_before_a_row_of_it(orders: Task):
    orders.stack.sql("RESET MASTER")
    connector = orders.connector(source={"start": "earliest"}).start(ready_within=30)
    insert(orders, 1, 2, 3)
    published(orders, 1, 2, 3)
    connector.terminate()
    orders.stack.sql("RESET MASTER")
    # More transactions, files and bytes than were published: neither numbers nor names nor sizes tell.
    insert(orders, *range(4, 60))
    orders.stack.sql("FLUSH BINARY LOGS")
    insert(orders, *range(60, 100))
    refused(connector, REFUSED, "not the one that was followed", "offsets set")
    published(orders, 1, 2, 3)


def test_fault_4_a_binlog_begun_anew_with_the_same_file_name_and_less_in_it_is_refused(orders: Task):
    orders.stack.sql("RESET MASTER")
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1, 2, 3)
    published(orders, 1, 2, 3)
    connector.terminate()
    before = orders.stack.binlog_end()
    orders.stack.sql("RESET MASTER")
    insert(orders, 4)
    file, size = orders.stack.binlog_end()
    assert file == before[0] and size < before[1]
    has_gtids = orders.stack.has_gtids()
    cause = "does not know transactions that were published" if has_gtids else "after the end of the server's binlog"
    refused(connector, REFUSED, cause, "offsets set")
    published(orders, 1, 2, 3)


@pytest.mark.parametrize("rows_after", [1, 60], ids=["less", "more"])
def test_fault_4_a_binlog_begun_anew_while_it_is_followed_halts_before_a_row_of_it(orders: Task, rows_after: int):
    """With less in it than was published, and with more."""
    orders.stack.sql("RESET MASTER")
    connector = orders.connector().start(ready_within=30)
    insert(orders, *range(1, 11))
    published(orders, *range(1, 11))
    orders.stack.sql("RESET MASTER")
    insert(orders, *range(11, 11 + rows_after))
    ended(connector, HALTED, "offsets set", seconds=15)
    published(orders, *range(1, 11))
    refused(connector, REFUSED, "offsets set")
    published(orders, *range(1, 11))


# Lost


def test_fault_7_and_fault_8_transactions_that_the_server_lost_are_named_though_it_gives_their_numbers_again(
    orders: Task, tmp_path: pathlib.Path
):
    """An older copy of all its files takes their place: the same server without its newest transactions."""
    stack, copy = orders.stack, tmp_path / "copy"
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1, 2, 3)
    published(orders, 1, 2, 3)
    stack.stop("mysql", "KILL")
    stack.copy_mysql(copy)
    stack.start("mysql")
    insert(orders, 4, 5, 6)
    published(orders, 1, 2, 3, 4, 5, 6)
    executed = stack.variable("gtid_executed") if orders.stack.has_gtids() else ""
    stack.stop("mysql", "KILL")
    stack.put_mysql_back(copy)
    stack.start("mysql")
    assert orders.sql("SELECT COUNT(*) FROM orders") == ((3,),)
    lost = lost_since(orders, executed)
    ended(connector, HALTED, *lost, "offsets set", seconds=60)
    refused(connector, REFUSED, *lost, "offsets set")
    state = "transactions-lost" if stack.has_gtids() else "position-after-the-end"
    assert f'"state":"{state}"' in connector.stderr()
    # As many transactions as were lost, and more: now the server knows the numbers, and has the bytes.
    insert(orders, *range(7, 27))
    refused(connector, REFUSED, "not the one that was followed", "offsets set")
    published(orders, 1, 2, 3, 4, 5, 6)


def lost_since(task: Task, executed: str) -> list[str]:
    """Words of a cause that says what the server does not have any more."""
    if not executed:
        return ["after the end of the server's binlog"]
    lost = task.stack.sql("SELECT GTID_SUBTRACT(%s, @@GLOBAL.gtid_executed)", executed)[0][0]
    assert lost
    return ["does not know transactions that were published", lost]


def test_fault_7_and_fault_13_a_restored_backup_that_is_another_server_is_refused(orders: Task, tmp_path: pathlib.Path):
    stack, copy = orders.stack, tmp_path / "copy"
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    published(orders, 1)
    stack.stop("mysql", "KILL")
    stack.copy_mysql(copy)
    stack.start("mysql")
    insert(orders, 2)
    published(orders, 1, 2)
    connector.terminate()
    executed = stack.variable("gtid_executed") if orders.stack.has_gtids() else ""
    stack.stop("mysql", "KILL")
    stack.put_mysql_back(copy)
    stack.forget_uuid()
    stack.start("mysql")
    insert(orders, *range(3, 23))
    cause = lost_since(orders, executed) if executed else ["without GTIDs a position of one server means nothing on another"]
    refused(connector, REFUSED, *cause, "source.host", "offsets set")
    published(orders, 1, 2)


def test_fault_8_a_binlog_file_that_a_crash_made_shorter_than_the_position_ends_it(orders: Task):
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1, 2)
    published(orders, 1, 2)
    file, whole = orders.stack.binlog_end()
    insert(orders, 3, 4, 5)
    published(orders, 1, 2, 3, 4, 5)
    orders.stack.stop("mysql", "KILL")
    with open(orders.stack.mysql_data / file, "r+b") as binlog:
        binlog.truncate(whole)
    orders.stack.start("mysql")
    insert(orders, 6)
    if orders.stack.has_gtids():
        # The server knows from its tables that it executed them, and does not give their numbers again.
        published(orders, 1, 2, 3, 4, 5, 6)
        return
    ended(connector, HALTED, "after the end", "offsets set", seconds=60)
    refused(connector, REFUSED, "after the end", "offsets set")
    assert '"state":"position-after-the-end"' in connector.stderr()
    published(orders, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("end, cause", [
    ("COMMIT", "not the one that was followed"), ("ROLLBACK", "does not know transactions that were published"),
])
def test_fault_75_a_gtid_that_another_transaction_owns_is_not_taken_for_the_one_that_was_published(
    orders: Task, end: str, cause: str
):
    """A GTID that is owned may be in the binlog already: with semi-synchronous replication for as long as a replica takes."""
    stack = orders.stack
    if not stack.has_gtids():
        pytest.skip("there are none")
    stack.sql("RESET MASTER")
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1, 2, 3)
    published(orders, 1, 2, 3)
    connector.terminate()
    uuid, _, numbers = stack.variable("gtid_executed").partition(":")
    last = int(numbers.rpartition("-")[2])
    stack.sql("RESET MASTER")
    stack.sql("SET GLOBAL gtid_purged = %s", f"{uuid}:1-{last - 1}")
    with stack.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET GTID_NEXT = %s", (f"{uuid}:{last}",))
        cursor.execute(f"INSERT INTO {orders.database}.orders VALUES (4)")
        assert f"{uuid}:{last}" in stack.variable("gtid_owned")
        # The binlog is shorter than it was: the transaction is not in it.
        refused(connector, REFUSED, "does not know transactions that were published", "offsets set")
        # It is longer: what comes there is compared.
        stack.sql("FLUSH BINARY LOGS")
        connector.start()
        wait_until(lambda: stack.sql(DUMPS), lambda: f"it reads the binlog; it printed:\n{connector.tail()}")
        cursor.execute(end)
    ended(connector, REFUSED, cause, "offsets set")
    published(orders, 1, 2, 3)


# Another server


def test_fault_13_another_server_behind_the_address_is_followed_only_by_gtids(orders: Task):
    """It has all that was published, under another uuid; later also in files of other names."""
    stack = orders.stack
    connector = orders.connector().start(ready_within=30)
    insert(orders, 1)
    published(orders, 1)
    stack.stop("mysql", "KILL")
    stack.forget_uuid()
    stack.start("mysql")
    insert(orders, 2)
    if not orders.stack.has_gtids():
        ended(connector, HALTED, "without GTIDs a position of one server means nothing on another", "source.host", seconds=60)
        refused(connector, REFUSED, "without GTIDs a position of one server means nothing on another", "source.host")
        published(orders, 1)
        return
    published(orders, 1, 2)
    connector.terminate()
    executed = stack.variable("gtid_executed")
    stack.stop("mysql", "KILL")
    stack.forget_uuid()
    stack.start("mysql")
    stack.sql("RESET MASTER")
    stack.sql("SET GLOBAL gtid_purged = %s", executed)
    insert(orders, 3)
    connector.start(ready_within=30)
    insert(orders, 4)
    published(orders, 1, 2, 3, 4)
