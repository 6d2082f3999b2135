"""Rows of the list of faults that are about what servers write and how they run, on servers of each kind.

The kinds are those in BINLOG_BRIDGE_TEST_SERVERS: all in a long check.
"""

import hashlib
import json
import pathlib
import random
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.columns import FAMILIES, MARIADB, since
from harness.images import create, is_whole, problems, run
from harness.inserts import Inserts
from harness.ledger import file_number, position_of
from harness.reader import Follower, raw_decoder
from harness.replay import check_equals_select
from harness.servers import (
    IS_LONG, KINDS, MODES, WITH_GTIDS, events_up_to_now, make_marks, metadata_of, restart, row_metadata, set_gtid_mode, without_gtids,
)
from harness.stack import WITHOUT_GTIDS, Stack
from harness.task import ROW_CANARY, Task, ids_of, insert, published
from harness.wait import wait_until
from test_memory import PEAK_BYTES_MAX
from test_row_images import IMAGES, as_published, change, follow, rebuild

NEWEST_OF_SIX_DIGITS = 999_999
LOADED_ROWS = 300_000 if IS_LONG else 30_000


@pytest.fixture(scope="module", params=KINDS)
def stack(request: pytest.FixtureRequest, stacks) -> Iterator[Stack]:
    """Tests leave its settings as they were."""
    with stacks(f"serverfaults{request.param}", f"--server={request.param}") as stack:
        yield stack


@pytest.fixture
def shop(task: Task) -> Task:
    make_marks(task)
    return task


def skip_unless(stack: Stack, kinds: frozenset[str] | tuple[str, ...], what: str) -> None:
    if stack.kind not in kinds:
        pytest.skip(f"{stack.kind} has no {what}")


# The binlog


def test_fault_1_rotations_between_transactions_within_one_and_before_a_connect_cost_no_row(orders: Task):
    connector = orders.connector().start(ready_within=60)
    # Each transaction that is larger ends a file.
    with orders.stack.set_global("max_binlog_size", 4096), orders.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for number in range(1, 2000, 100):
            cursor.execute(f"INSERT INTO orders VALUES {', '.join(f'({id})' for id in range(number, number + 100))}")
            if number % 300 == 1:
                orders.stack.sql("FLUSH LOGS")
            if number % 500 == 1:
                connection.commit()
        connection.commit()
    rows = range(1, 2001)
    published(orders, *rows)
    connector.terminate()
    place = position_of(orders.checkpoint())
    for _ in range(2):
        # What the server says first is the place that it is asked for, in an event that is in no file.
        connector.start(ready_within=60)
        connector.kill()
        orders.stack.sql("FLUSH LOGS")
    assert position_of(orders.checkpoint()) >= place
    insert(orders, 2001)
    orders.stack.sql("FLUSH LOGS")
    connector.start(ready_within=60)
    insert(orders, 2002)
    published(orders, *rows, 2001, 2002)


@pytest.mark.parametrize("positions", ["gtids", "files"])
def test_fault_2_a_file_number_of_seven_digits_comes_after_those_of_six(shop: Task, positions: str):
    stack = shop.stack
    if positions == "files" and not stack.has_gtids():
        pytest.skip(f"{stack.kind} names positions in one way only")
    if positions == "gtids" and stack.has_gtids() and not IS_LONG:
        pytest.skip("files tell more")
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    number_next_file(stack, NEWEST_OF_SIX_DIGITS, *(WITHOUT_GTIDS if positions == "files" else ()))
    try:
        follow_past(shop, NEWEST_OF_SIX_DIGITS)
    finally:
        if positions == "files":
            restart(stack, *WITH_GTIDS)


def follow_past(shop: Task, number: int) -> None:
    """What is followed begins in the file of this number, and ends in later ones."""
    connector = shop.connector().start(ready_within=60)
    insert(shop, 1)
    published(shop, 1)
    assert shop.checkpoint()["position"]["file"] == f"binlog.{number}"
    connector.kill()
    # Its rows are read by what the statements behind them say, which are in a later file.
    insert(shop, 2)
    shop.stack.sql("FLUSH LOGS")
    shop.sql("ALTER TABLE orders ADD COLUMN note INT FIRST")
    insert(shop, 3)
    connector.start(ready_within=60)
    published(shop, 1, 2, 3)
    insert(shop, 4)
    restart(shop.stack)
    insert(shop, 5)
    published(shop, 1, 2, 3, 4, 5)
    connector.kill()
    insert(shop, 6)
    connector.start(ready_within=60)
    published(shop, 1, 2, 3, 4, 5, 6)
    assert file_number(shop.checkpoint()["position"]["file"]) > number
    assert ["note" in event.value["after"] for event in shop.read("orders", 6)] == [False, False, True, True, True, True]


def number_next_file(stack: Stack, number: int, *options: str) -> None:
    """The server writes to a file of this number now, as if it had written all those before; and has other options."""
    stack.sql("RESET BINARY LOGS AND GTIDS" if stack.kind == "mysql9" else "RESET MASTER")
    # MariaDB that was killed recovers by the file's name, and MySQL takes ten seconds to end while somebody reads its binlog.
    stack.stop("mysql", "TERM" if stack.kind in MARIADB else "KILL")
    index = stack.mysql_data / "binlog.index"
    [file] = index.read_text().splitlines()
    renamed = f"binlog.{number - 1}"
    (stack.mysql_data / file).rename(stack.mysql_data / renamed)
    index.write_text(f"./{renamed}\n")
    stack.start("mysql", *options)


# How the server ends and what it is told while it runs


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_fault_5_and_fault_6_a_server_that_ends_and_comes_back_costs_no_row(orders: Task, signal: str):
    if orders.stack.kind == Stack.kind and not IS_LONG:
        pytest.skip("a row of test_fault_table.py; it takes ten seconds to end")
    connector = orders.connector().start(ready_within=60)
    insert(orders, 1)
    published(orders, 1)
    with orders.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (99)")
        insert(orders, 2)
        orders.stack.stop("mysql", signal)
    orders.stack.start("mysql")
    insert(orders, 3)
    published(orders, 1, 2, 3)
    connector.check_running()


@pytest.mark.parametrize("is_killed", [False, True] if IS_LONG else [True], ids=lambda is_killed: "killed" if is_killed else "running")
def test_fault_15_numbers_of_transactions_come_and_go_under_load(shop: Task, is_killed: bool):
    stack = shop.stack
    skip_unless(stack, since("mysql57", None), "gtid_mode that can be set")
    shop.sql("CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY)")
    connector = shop.connector().start(ready_within=60)
    with Inserts(shop) as inserts:
        for mode in [*MODES[-2::-1], *MODES[1:]]:
            set_gtid_mode(stack, mode)
            written = inserts.count + 10
            wait_until(lambda: inserts.count > written, f"rows are written with {mode}")
            if is_killed:
                connector.kill()
                connector.start(ready_within=60)
    published(shop, *range(1, inserts.count + 1))
    connector.check_running()
    numbers = [event.value["source"]["gtid"] is not None for event in shop.read("orders", inserts.count)]
    assert numbers[0] and numbers[-1] and not all(numbers)


@pytest.mark.parametrize("metadata", ["most", "least"] if IS_LONG else ["least"])
def test_fault_19_a_binlog_that_is_encrypted_from_now_on_is_followed_as_before(shop: Task, metadata: str):
    stack = shop.stack
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(40))")
    give_keys(stack)
    with row_metadata(stack, metadata_of(stack.kind)[-(metadata == "least")]):
        connector = shop.connector().start(ready_within=60)
        shop.sql("INSERT INTO orders VALUES (1, %s)", ROW_CANARY)
        assert is_in_newest_file(stack, ROW_CANARY)
        published(shop, 1)
        encrypt(stack, "ON")
        shop.sql("INSERT INTO orders VALUES (2, %s)", ROW_CANARY)
        assert not is_in_newest_file(stack, ROW_CANARY)
        published(shop, 1, 2)
        connector.kill()
        shop.sql("INSERT INTO orders VALUES (3, %s)", ROW_CANARY)
        shop.sql("ALTER TABLE orders ADD COLUMN more INT")
        stack.sql("FLUSH LOGS")
        shop.sql("INSERT INTO orders VALUES (4, %s, 0)", ROW_CANARY)
        connector.start(ready_within=60)
        published(shop, 1, 2, 3, 4)
        encrypt(stack, "OFF")
        shop.sql("INSERT INTO orders VALUES (5, %s, 0)", ROW_CANARY)
        assert is_in_newest_file(stack, ROW_CANARY)
        published(shop, 1, 2, 3, 4, 5)
    connector.check_running()


def give_keys(stack: Stack) -> None:
    """From now on the server has what it may encrypt with."""
    skip_unless(stack, ("mysql9", *MARIADB), "keys here: what was fetched of it lacks them")
    ring = stack.directory / "keys"
    if stack.kind in MARIADB:
        if not pathlib.Path(stack.variable("plugin_dir"), "file_key_management.so").is_file():
            pytest.skip(f"the plugin is not here yet: tests/stack/fetch {stack.kind}")
        ring.write_text(f"1;{'5e' * 32}\n")
        restart(stack, "--plugin-load-add=file_key_management", f"--file-key-management-filename={ring}")
        return
    manifest = stack.mysql_data / "mysqld.my"
    manifest.write_text(json.dumps({"components": "file://component_keyring_file"}))
    (stack.mysql_data / "component_keyring_file.cnf").write_text(json.dumps({"path": str(ring), "read_only": False}))
    restart(stack)
    assert stack.sql("SELECT * FROM performance_schema.keyring_component_status"), f"it has no keys: tests/stack/fetch {stack.kind}"


def encrypt(stack: Stack, is_on: str) -> None:
    """The server does so with the files that it begins from now on."""
    if stack.kind in MARIADB:
        restart(stack, f"--encrypt-binlog={is_on}")
    else:
        stack.sql(f"SET GLOBAL binlog_encryption = {is_on}")


def is_in_newest_file(stack: Stack, text: str) -> bool:
    return text.encode() in (stack.mysql_data / stack.binlog_end()[0]).read_bytes()


# Transactions


ENGINES = {"kept": "InnoDB", "happened": "MyISAM"}


@pytest.fixture
def mixed(shop: Task) -> Iterator[Task]:
    """Tables of engines with and without transactions, and a server that lets one transaction change both."""
    for table, engine in ENGINES.items():
        shop.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY) ENGINE={engine}")
    with without_gtids(shop.stack):
        yield shop


def test_fault_24_of_a_transaction_that_is_rolled_back_only_rows_that_stay_are_published(mixed: Task):
    mixed.sql("CREATE TABLE triggering (id INT PRIMARY KEY) ENGINE=InnoDB")
    mixed.sql("CREATE TRIGGER t AFTER INSERT ON triggering FOR EACH ROW INSERT INTO happened VALUES (NEW.id)")
    connector = mixed.connector().start(ready_within=60)
    execute(
        mixed, "BEGIN", "INSERT INTO kept VALUES (1)", "INSERT INTO happened VALUES (1)", "INSERT INTO kept VALUES (2)", "ROLLBACK",
        "INSERT INTO kept VALUES (3)",
        "BEGIN", "UPDATE kept, happened SET kept.id = 4, happened.id = 5", "ROLLBACK",
        "BEGIN", "INSERT INTO triggering VALUES (6)", "ROLLBACK",
        "BEGIN", "DELETE kept, happened FROM kept, happened WHERE happened.id = 5", "ROLLBACK",
    )
    tables = [*ENGINES, "triggering"]
    events = events_up_to_now(mixed, connector, *tables)
    assert {table: check_equals_select(mixed.stack, f"{mixed.database}.{table}", events[table], keyed=True) for table in tables} == {
        "kept": 1, "happened": 1, "triggering": 0,
    }
    assert [event.value["op"] for event in events["happened"]] == ["c", "d", "c", "c", "d"]


def execute(task: Task, *statements: str) -> None:
    """In one session."""
    with task.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


TEMPORARY = {
    "made": ["BEGIN", "INSERT INTO kept VALUES (1)", "CREATE TEMPORARY TABLE passing (id INT) ENGINE=InnoDB"],
    "dropped": ["CREATE TEMPORARY TABLE passing (id INT) ENGINE=InnoDB", "BEGIN", "INSERT INTO kept VALUES (1)", "DROP TEMPORARY TABLE passing"],
}


@pytest.mark.parametrize("what", TEMPORARY)
def test_fault_24_a_rolled_back_transaction_with_a_temporary_table_stops_nothing(mixed: Task, what: str):
    """Servers before MySQL 8.0 and MariaDB write what was taken back, with a ROLLBACK behind it."""
    connector = mixed.connector().start(ready_within=60)
    execute(mixed, *TEMPORARY[what], "ROLLBACK", "INSERT INTO kept VALUES (2)")
    assert ids_of(events_up_to_now(mixed, connector, "kept")["kept"]) == [2]


def test_fault_25_what_is_taken_back_to_a_savepoint_is_not_published(shop: Task):
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = shop.connector().start(ready_within=60)
    execute(
        shop, "BEGIN", "INSERT INTO orders VALUES (1)", "SAVEPOINT a", "INSERT INTO orders VALUES (2)", "SAVEPOINT `b c`",
        "INSERT INTO orders VALUES (3)", "ROLLBACK TO a", "INSERT INTO orders VALUES (4)", "SAVEPOINT a", "INSERT INTO orders VALUES (5)",
        "RELEASE SAVEPOINT a", "COMMIT",
    )
    events = events_up_to_now(shop, connector, "orders")["orders"]
    assert ids_of(events) == [row[0] for row in shop.sql("SELECT id FROM orders ORDER BY id")] == [1, 4, 5]
    assert {event.value["op"] for event in events} == {"c"} and len({event.value["transaction"]["id"] for event in events}) == 1


@pytest.mark.parametrize("what", TEMPORARY)
def test_fault_25_a_savepoint_before_a_temporary_table_stops_nothing(mixed: Task, what: str):
    connector = mixed.connector().start(ready_within=60)
    begin = [*TEMPORARY[what][:-1], "SAVEPOINT a", "INSERT INTO kept VALUES (2)", TEMPORARY[what][-1]]
    execute(mixed, *begin, "ROLLBACK TO a", "INSERT INTO kept VALUES (3)", "COMMIT")
    events = events_up_to_now(mixed, connector, "kept")["kept"]
    assert ids_of(events) == [row[0] for row in mixed.sql("SELECT id FROM kept ORDER BY id")] == [1, 3]


def test_fault_28_a_distributed_transaction_of_one_phase_is_as_any_other(shop: Task):
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = shop.connector().start(ready_within=60)
    for rows, end in ("(1), (2)", "XA COMMIT 'x','y',3 ONE PHASE"), ("(3)", "XA ROLLBACK 'x','y',3"), ("(4)", "XA COMMIT 'x','y',3 ONE PHASE"):
        execute(shop, "XA START 'x','y',3", f"INSERT INTO orders VALUES {rows}", "XA END 'x','y',3", end)
    events = events_up_to_now(shop, connector, "orders")["orders"]
    assert ids_of(events) == [row[0] for row in shop.sql("SELECT id FROM orders ORDER BY id")] == [1, 2, 4]
    assert [event.value["transaction"]["total_order"] for event in events] == [1, 2, 1]


# What servers write of rows


def test_fault_39_rows_that_a_foreign_key_changes_are_published_where_the_server_logs_them(shop: Task):
    """MySQL 9.6 and later do; before, they are in no binlog."""
    shop.sql("CREATE TABLE parents (id INT PRIMARY KEY) ENGINE=InnoDB")
    shop.sql(
        """CREATE TABLE children (id INT PRIMARY KEY, parent INT, note VARCHAR(10),
        FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB"""
    )
    connector = shop.connector().start(ready_within=60)
    shop.sql("INSERT INTO parents VALUES (1), (2), (3)")
    shop.sql("INSERT INTO children VALUES (10, 1, 'a'), (11, 1, 'b'), (20, 2, 'c'), (30, 3, 'd')")
    shop.sql("UPDATE parents SET id = 4 WHERE id = 2")
    shop.sql("DELETE FROM parents WHERE id = 1")
    events = events_up_to_now(shop, connector, "parents", "children")
    assert check_equals_select(shop.stack, f"{shop.database}.parents", events["parents"], keyed=True) == 2
    if shop.stack.kind == "mysql9":
        assert check_equals_select(shop.stack, f"{shop.database}.children", events["children"], keyed=True) == 2
    else:
        assert [event.value["op"] for event in events["children"]] == ["c"] * 4


KEEP_WHAT_A_CRASH_LEFT = ("mysql55", *MARIADB)


def test_fault_6_a_transaction_that_a_crash_left_without_its_end_is_left_out(shop: Task):
    """Other servers cut off at their next start what a crash has left; these go on in another file."""
    if shop.stack.kind not in KEEP_WHAT_A_CRASH_LEFT:
        pytest.skip("this server cuts it off")
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    connector = shop.connector().start(ready_within=60)
    insert(shop, 1)
    published(shop, 1)
    connector.kill()
    # So that it comes by what is left: a MariaDB server passes over files of which it has nothing new to tell.
    shop.stack.sql("FLUSH LOGS")
    insert(shop, 2)
    file, _ = shop.stack.binlog_end()
    shop.stack.stop("mysql", "KILL")
    leave_without_end(shop.stack.mysql_data / file)
    shop.stack.start("mysql")
    assert shop.stack.binlog_end()[0] != file
    insert(shop, 3)
    connector.start(ready_within=60)
    published(shop, 1, 2, 3)
    assert "it is left out" in connector.stderr()


def leave_without_end(path: pathlib.Path) -> None:
    """Appends the last transaction of a binlog file once more, with the next number, but not its end."""
    data = path.read_bytes()
    events, at = [], 4
    while at < len(data):
        size = int.from_bytes(data[at + 9:at + 13], "little")
        events.append(data[at:at + size])
        at += size
    xid, gtid, query = 16, 162, 2
    ends = [number for number, event in enumerate(events) if event[4] == xid]
    begins = [
        number for number, event in enumerate(events[:ends[-1]])
        if event[4] == gtid or (event[4] == query and event[19:].endswith((b"BEGIN", b"BEGIN" + event[-4:])))
    ]
    has_checksums = events[0][-5] == 1 and len(events[0]) > 103
    with path.open("ab") as out:
        end = len(data)
        for event in events[begins[-1]:ends[-1]]:
            end += len(event)
            changed = bytearray(event)
            if event[4] == gtid:
                changed[19:27] = (int.from_bytes(event[19:27], "little") + 1).to_bytes(8, "little")
            if event[13:17] != bytes(4):
                changed[13:17] = end.to_bytes(4, "little")
            if has_checksums:
                changed[-4:] = zlib.crc32(bytes(changed[:-4])).to_bytes(4, "little")
            out.write(changed)


def test_fault_33_rows_are_rebuilt_from_images_that_lack_columns_from_now_to_then(shop: Task):
    skip_unless(shop.stack, since("mysql56", "mariadb1011"), "binlog_row_image")
    shop.sql(
        """CREATE TABLE keyed (amount INT NOT NULL DEFAULT 7, id INT NOT NULL, note VARCHAR(20), name VARCHAR(20) NOT NULL DEFAULT 'new',
        body TEXT, flags SET('a','b') NOT NULL DEFAULT 'a', day DATE NOT NULL DEFAULT '0000-00-00',
        size ENUM('small','large') NOT NULL DEFAULT 'small', PRIMARY KEY (id))"""
    )
    chance = random.Random(7)
    connector = shop.connector().start(ready_within=60)
    change(shop, "keyed", IMAGES, chance, range(30))
    events = follow(shop, connector, "keyed", 30)
    lacking = [event for event in events if event.value["source"]["unset_before"] or event.value["source"]["unset_after"]]
    assert len(lacking) > 10
    assert sorted(map(str, rebuild(events, "keyed"))) == sorted(str(dict(row)) for row in as_published(shop, "keyed"))


def test_fault_37_rows_of_a_file_and_of_a_query_are_all_published_in_bounded_memory(shop: Task, tmp_path: pathlib.Path, say):
    shop.sql("CREATE TABLE loaded (id INT PRIMARY KEY, body CHAR(32) CHARACTER SET ascii)")
    file = tmp_path / "rows"
    file.write_text("".join(f"{id}\t{hashlib.md5(b'%d' % id).hexdigest()}\n" for id in range(LOADED_ROWS)))
    connector = shop.connector().start(ready_within=60)
    shop.sql(f"LOAD DATA INFILE '{file}' INTO TABLE loaded")
    shop.sql(f"INSERT INTO loaded SELECT id + {LOADED_ROWS}, REVERSE(body) FROM loaded")
    left = {b"%d" % id: body.encode() for id, body in shop.sql("SELECT id, body FROM loaded")}
    assert len(left) == 2 * LOADED_ROWS
    with Follower(shop.stack, [shop.topic("loaded")], raw_decoder) as follower:
        def all_seen() -> bool:
            for event in follower.events:
                body = left.pop(b"%d" % number_of(event.key_bytes), None)
                assert body and body in event.value_bytes, f"twice, or another body: offset {event.offset}"
            follower.events.clear()
            connector.check_running()
            return not left

        follower.until(all_seen, lambda: f"{len(left)} rows more", 300)
        follower.drain()
        assert not follower.events, "more rows than there are"
    peak = connector.memory_peak_bytes()
    say(f"{LOADED_ROWS} rows of a file and as many of a query: peak RSS {peak >> 20} MiB")
    assert peak <= PEAK_BYTES_MAX


def number_of(key: bytes) -> int:
    """The zigzag number behind the five bytes that name the schema."""
    bits = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(key[5:]))
    return bits >> 1 ^ -(bits & 1)


def test_fault_38_rows_of_triggers_are_published_where_the_binlog_has_them(shop: Task):
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY, amount INT)")
    shop.sql("CREATE TABLE audit (number INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), id INT)")
    shop.sql("CREATE TRIGGER first BEFORE INSERT ON orders FOR EACH ROW SET NEW.amount = NEW.amount * 2")
    for event in ("INSERT", "UPDATE", "DELETE"):
        row = "OLD" if event == "DELETE" else "NEW"
        shop.sql(f"CREATE TRIGGER after_{event} AFTER {event} ON orders FOR EACH ROW INSERT INTO audit (what, id) VALUES ('{event}', {row}.id)")
    connector = shop.connector().start(ready_within=60)
    shop.stack.sql("FLUSH LOGS")
    execute(shop, "INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3)", "UPDATE orders SET amount = amount + 1 WHERE id > 1", "DELETE FROM orders WHERE id = 2")
    file, _ = shop.stack.binlog_end()
    tables = ("orders", "audit")
    events = events_up_to_now(shop, connector, *tables)
    assert [check_equals_select(shop.stack, f"{shop.database}.{table}", events[table], keyed=True) for table in tables] == [2, 6]
    both = sorted(events["orders"] + events["audit"], key=lambda event: (event.value["source"]["pos"], event.value["source"]["row"]))
    assert [event.value["transaction"]["total_order"] for event in both] == [*range(1, 7), *range(1, 5), 1, 2]
    places = {event.value["source"]["pos"]: event.value["source"]["table"] for event in both}
    assert places == {place: table for place, table in tables_written(shop, file).items() if table in tables}


def tables_written(task: Task, file: str) -> dict[int, str]:
    """The table of each event with rows, by its place, as the server lists them."""
    names, wrote = {}, {}
    for _, place, kind, _, _, info in task.stack.sql(f"SHOW BINLOG EVENTS IN '{file}'"):
        if kind == "Table_map":
            number, name = re.fullmatch(r"table_id: (\d+) \(\w+\.(\w+)\).*", info).groups()
            names[number] = name
        elif re.match(r"(Write|Update|Delete)_rows", kind):
            wrote[place] = names[re.match(r"table_id: (\d+)", info)[1]]
    return wrote


def test_fault_40_columns_that_are_computed_or_not_seen_move_no_other(stack: Stack, tasks, tmp_path: pathlib.Path):
    kind = stack.kind
    skip_unless(stack, since("mysql57", "mariadb1011"), "columns that are computed")
    forms = {each.name: each.on(kind, True) for each in FAMILIES["forms"]}
    numbers, virtual, words, _, last = forms["generated VIRTUAL"].columns
    stored = forms["generated STORED"].columns[3]
    # MySQL 8.0.13 to 8.0.17 log the hidden column of a key of an expression: a known defect, see test_servers.py.
    key = ", KEY ((c0 + 1))" if kind in since("mysql80", None) else ""
    columns = [numbers, virtual, words, stored, *forms["INVISIBLE"].columns, last]
    for metadata in metadata_of(kind):
        with tasks(stack, tmp_path / metadata) as task, row_metadata(stack, metadata):
            create(task, "formed", columns, key)
            connector = task.connector().start(ready_within=60)
            steps = run(task, "formed", columns)
            with task.follower("formed") as follower:
                follower.until(lambda: connector.check_running() or is_whole(follower.events, steps), lambda: f"all rows; it printed:\n{connector.tail()}", 60)
                found = problems(follower.drain().events, steps, columns, kind)
            assert not found, f"{metadata}: {len(found)} problems:\n" + "\n".join(found[:10])


def test_fault_41_statements_that_change_several_tables_are_published_whole(shop: Task):
    tables = ("first", "second", "third")
    for table in tables:
        shop.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, {'note VARCHAR(9), ' * (table == 'second')}n INT)")
    connector = shop.connector().start(ready_within=60)
    execute(
        shop, *(f"INSERT INTO {table} (id, n) VALUES (1, 1), (2, 2), (3, 3), (4, 4)" for table in tables),
        "UPDATE first JOIN second USING (id) JOIN third USING (id) SET first.n = 10, second.n = 20, second.note = 'x', third.n = 30 WHERE id < 4",
        "UPDATE first, third SET first.n = 11, third.n = 31 WHERE first.id = 1 AND third.id > 2",
        "DELETE first, second, third FROM first JOIN second USING (id) JOIN third USING (id) WHERE id IN (2, 3)",
    )
    events = events_up_to_now(shop, connector, *tables)
    assert [check_equals_select(shop.stack, f"{shop.database}.{table}", events[table], keyed=True) for table in tables] == [2, 2, 2]
    updates = [sum(event.value["op"] == "u" for event in events[table]) for table in tables]
    assert updates == [4, 3, 5]


def test_fault_42_and_fault_43_texts_of_statements_and_checksums_come_and_go(shop: Task):
    stack = shop.stack
    skip_unless(stack, since("mysql56", "mariadb1011"), "binlog_checksum")
    texts = "binlog_annotate_row_events" if stack.kind in MARIADB else "binlog_rows_query_log_events"
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY, n INT)")
    connector = shop.connector().start(ready_within=60)
    try:
        for number, (has_texts, checksum) in enumerate([("ON", "CRC32"), ("OFF", "NONE"), ("ON", "NONE"), ("OFF", "CRC32"), ("ON", "NONE")]):
            stack.sql(f"SET GLOBAL binlog_checksum = {checksum}")
            execute(
                shop, f"SET SESSION {texts} = {has_texts}", f"INSERT INTO orders VALUES ({number}, 0), ({number + 100}, 0)",
                f"SET SESSION {texts} = {'OFF' if has_texts == 'ON' else 'ON'}", "UPDATE orders SET n = n + 1", f"DELETE FROM orders WHERE id = {number + 99}",
            )
            if number == 2:
                connector.kill()
                connector.start(ready_within=60)
        events = events_up_to_now(shop, connector, "orders")["orders"]
        assert check_equals_select(stack, f"{shop.database}.orders", events, keyed=True) == 6
        assert sum(event.value["op"] == "u" for event in events) == 2 + 4 + 5 + 6 + 7
    finally:
        stack.sql("SET GLOBAL binlog_checksum = CRC32")


def test_fault_53_rows_that_take_the_place_of_others_leave_what_select_returns(shop: Task):
    shop.sql("CREATE TABLE orders (id INT PRIMARY KEY, code INT, n INT, UNIQUE KEY (code))")
    shop.sql("CREATE TABLE plain (id INT PRIMARY KEY, n INT)")
    connector = shop.connector().start(ready_within=60)
    execute(
        shop, "INSERT INTO orders VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0)", "REPLACE INTO orders VALUES (1, 1, 1)",
        # It takes the place of two rows.
        "REPLACE INTO orders VALUES (2, 3, 2)", "INSERT INTO orders VALUES (1, 9, 3), (5, 5, 3), (6, 3, 3) ON DUPLICATE KEY UPDATE n = n + 10, id = id + 20",
        "INSERT IGNORE INTO orders VALUES (5, 5, 4), (7, 7, 4)",
        "REPLACE INTO plain VALUES (1, 1), (2, 2)", "REPLACE INTO plain VALUES (2, 3), (3, 3)", "INSERT INTO plain VALUES (1, 0), (1, 0) ON DUPLICATE KEY UPDATE n = n + 1",
    )
    tables = ("orders", "plain")
    events = events_up_to_now(shop, connector, *tables)
    assert [check_equals_select(shop.stack, f"{shop.database}.{table}", events[table], keyed=True) for table in tables] == [4, 3]
    assert [event.value["op"] for event in events["plain"]] == ["c", "c", "u", "c", "u", "u"]


# Replication


@contextmanager
def semi_synchronous(stack: Stack, timeout_ms: int) -> Iterator[str]:
    """The server waits so long for a replica to acknowledge a transaction, of which there is none. Gives the word for its role."""
    if stack.kind in MARIADB:
        role = "master"
    else:
        skip_unless(stack, ("mysql9",), "plugin for it here")
        role = "source"
        stack.sql("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
    try:
        with (
            stack.set_global(f"rpl_semi_sync_{role}_timeout", timeout_ms), stack.set_global(f"rpl_semi_sync_{role}_wait_point", "AFTER_SYNC"),
            stack.set_global(f"rpl_semi_sync_{role}_enabled", "ON"),
        ):
            yield role
    finally:
        if role == "source":
            stack.sql("UNINSTALL PLUGIN rpl_semi_sync_source")


def test_fault_75_what_waits_for_a_replica_to_acknowledge_it_is_published_once(orders: Task):
    stack = orders.stack
    connector = orders.connector().start(ready_within=60)
    insert(orders, 1)
    published(orders, 1)
    with semi_synchronous(stack, 600_000) as role:
        waiting = threading.Thread(target=insert, args=(orders, 2))
        waiting.start()
        try:
            published(orders, 1, 2)
            status = dict(stack.sql(f"SHOW STATUS LIKE 'Rpl_semi_sync_{role}%%'"))
            assert (status[f"Rpl_semi_sync_{role}_clients"], status[f"Rpl_semi_sync_{role}_status"]) == ("0", "ON")
            assert orders.sql("SELECT id FROM orders") == ((1,),), "nobody was waited for"
            # The connector comes back while the transaction is still not over.
            connector.kill()
            connector.start(ready_within=60)
            published(orders, 1, 2)
        finally:
            stack.sql(f"SET GLOBAL rpl_semi_sync_{role}_enabled = OFF")
            waiting.join(60)
        insert(orders, 3)
        published(orders, 1, 2, 3)
    connector.check_running()
