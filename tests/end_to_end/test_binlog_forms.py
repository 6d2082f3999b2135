"""The forms that a binlog may have: compressed transactions, with and without checksums, with the text of statements."""

import random

import pytest

from harness.replay import check_equals_select
from harness.task import Task

SEED = 11
TRANSACTIONS = 60
TABLES = {"orders": "(id INT PRIMARY KEY, note VARCHAR(300), n BIGINT)", "order_lines": "(id INT, line INT, body TEXT, PRIMARY KEY (line, id))", "log": "(at INT, what VARCHAR(40))"}


@pytest.fixture(scope="module")
def stack(rough_stack):
    yield rough_stack
    rough_stack.sql("SET GLOBAL binlog_checksum = CRC32")


@pytest.fixture
def shop(task: Task) -> Task:
    for table, definition in TABLES.items():
        task.sql(f"CREATE TABLE {table} {definition}")
    task.sql("CREATE TABLE unselected (id INT PRIMARY KEY, body LONGTEXT)")
    return task


def test_fault_42_43_every_form_is_read_whole_and_once(shop: Task):
    connector = shop.connector(select={"databases": [shop.database], "exclude_tables": [f"{shop.database}.unselected"]})
    connector.start(ready_within=30)
    chance = random.Random(SEED)
    for part in range(4):
        shop.stack.sql(f"SET GLOBAL binlog_checksum = {chance.choice(['NONE', 'CRC32'])}")
        with shop.connect(autocommit=False) as connection, connection.cursor() as cursor:
            for number in range(TRANSACTIONS):
                transaction(cursor, chance, part * TRANSACTIONS + number)
                connection.commit()
        assert payloads(shop) > 10, "the server compressed nothing"
        if part == 1:
            connector.kill()
            connector.start(ready_within=30)
    shop.sql("INSERT INTO orders VALUES (-1, 'last', 0)")
    with shop.follower(*TABLES) as follower:
        follower.until(
            lambda: connector.check_running() or any((e.value["after"] or {}).get("note") == "last" for e in follower.of(shop.topic("orders"))),
            "the last row", 60,
        )
        follower.drain()
        events = {table: follower.of(shop.topic(table)) for table in TABLES}
    for table in TABLES:
        check_equals_select(shop.stack, f"{shop.database}.{table}", events[table], keyed=table != "log")
    places = [
        (source["file"], source["pos"], source["row"], event.value["op"], str(event.key))
        for all in events.values() for event in all for source in [event.value["source"]]
    ]
    assert len(places) == len(set(places)), "two rows have one place"


def transaction(cursor, chance: random.Random, number: int) -> None:
    cursor.execute(f"SET SESSION binlog_transaction_compression = {chance.choice(['ON', 'ON', 'OFF'])}")
    cursor.execute(f"SET SESSION binlog_rows_query_log_events = {chance.choice(['ON', 'OFF'])}")
    for _ in range(chance.randint(1, 4)):
        match chance.randint(0, 6):
            case 0 | 1:
                rows = ", ".join(f"({number}, {line}, REPEAT('x', {chance.randint(0, 2000)}))" for line in range(chance.randint(1, 8)))
                cursor.execute(f"REPLACE INTO order_lines VALUES {rows}")
            case 2:
                cursor.execute("REPLACE INTO orders VALUES (%s, %s, %s)", (number, "note" * chance.randint(0, 50), number))
            case 3:
                cursor.execute("UPDATE orders SET n = n + 1 WHERE id > %s", (number - 10,))
            case 4:
                cursor.execute("DELETE FROM order_lines WHERE id = %s", (number - chance.randint(1, 5),))
            case 5:
                cursor.execute("INSERT INTO log VALUES (%s, 'x'), (%s, NULL)", (number, number))
            case 6:
                # Larger than what is handed on whole, within a payload.
                cursor.execute("REPLACE INTO unselected VALUES (%s, REPEAT(%s, 700000))", (number % 3, chance.choice(["ab", "c"])))


def test_a_large_compressed_transaction_arrives_whole(shop: Task, say):
    connector = shop.connector().start(ready_within=30)
    with shop.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_transaction_compression = ON")
        for part in range(20):
            rows = ", ".join(f"({part}, {line}, MD5('{part} {line}'))" for line in range(5000))
            cursor.execute(f"INSERT INTO order_lines VALUES {rows}")
        connection.commit()
    with shop.follower("order_lines") as follower:
        follower.until(lambda: connector.check_running() or len(follower.of(shop.topic("order_lines"))) >= 100_000, "all rows", 120)
        events = follower.of(shop.topic("order_lines"))
    check_equals_select(shop.stack, f"{shop.database}.order_lines", events, keyed=True)
    assert payloads(shop) >= 1, "the server compressed nothing"
    say(f"peak RSS {connector.memory_peak_bytes() >> 20} MiB")


def test_a_payload_larger_than_any_event_that_is_kept_arrives_whole(shop: Task, say):
    connector = shop.connector().start(ready_within=30)
    count = 60
    with shop.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_transaction_compression = ON")
        for line in range(count):
            # Text of random bytes: nothing that zstd makes much smaller.
            cursor.execute("INSERT INTO order_lines SELECT 1, %s, HEX(RANDOM_BYTES(1024)) FROM DUAL", (line,))
            cursor.execute("UPDATE order_lines SET body = %s WHERE line = %s", (random.Random(line).randbytes(500_000).hex()[:65_000], line))
            cursor.execute("REPLACE INTO unselected VALUES (%s, %s)", (line, random.Random(-line).randbytes(500_000).hex()))
        connection.commit()
    shop.sql("INSERT INTO orders VALUES (1, 'after it', 1)")
    with shop.follower("order_lines", "orders") as follower:
        follower.until(lambda: connector.check_running() or follower.of(shop.topic("orders")), "the row after it", 120)
        events = follower.of(shop.topic("order_lines"))
    check_equals_select(shop.stack, f"{shop.database}.order_lines", events, keyed=True)
    assert len(events) == 2 * count
    say(f"peak RSS {connector.memory_peak_bytes() >> 20} MiB")


def payloads(shop: Task) -> int:
    file, _ = shop.stack.binlog_end()
    return sum(row[2] == "Transaction_payload" for row in shop.stack.sql(f"SHOW BINLOG EVENTS IN '{file}'"))
