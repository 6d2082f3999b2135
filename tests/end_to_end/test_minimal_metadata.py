"""`binlog_row_metadata=MINIMAL`, the servers' default: rows are published with the right names and members, or not at all."""

from typing import Any

import pytest
from pymysql.cursors import DictCursor

from harness.ending import HALTED, ended
from harness.stack import PASSWORD, Stack
from harness.task import Task

REMEDY = "SET PERSIST binlog_row_metadata=FULL"


@pytest.fixture(autouse=True)
def minimal(stack: Stack):
    with stack.metadata("MINIMAL"):
        yield


# Each changes what values mean and leaves the table map as it is: a table, a row, and two statements.
CHANGES: dict[str, tuple[str, str, list[str]]] = {
    "names are swapped": (
        "a INT NOT NULL, b INT NOT NULL", "1, 2", ["RENAME COLUMN a TO b, RENAME COLUMN b TO a"] * 2,
    ),
    "members are reordered": (
        "size ENUM('small','large') NOT NULL", "'small'", ["MODIFY size ENUM('large','small') NOT NULL", "MODIFY size ENUM('small','large') NOT NULL"],
    ),
    "the sign changes": (
        "n SMALLINT NOT NULL", "7", ["MODIFY n SMALLINT UNSIGNED NOT NULL", "MODIFY n SMALLINT NOT NULL"],
    ),
    "the character set changes": (
        "word VARCHAR(20) CHARACTER SET latin1 NOT NULL", "'ä'",
        ["MODIFY word VARCHAR(20) CHARACTER SET cp1251 NOT NULL", "MODIFY word VARCHAR(20) CHARACTER SET latin1 NOT NULL"],
    ),
}
# What a row of before the first statement reads like behind it, as the server converts it.
ROWS: dict[str, list[dict[str, Any]]] = {
    "names are swapped": [{"a": 1, "b": 2}] * 3,
    "members are reordered": [{"size": "small"}] * 3,
    "the sign changes": [{"n": 7}] * 3,
    "the character set changes": [{"word": "ä"}, {"word": "ж"}, {"word": "ä"}],
}


@pytest.fixture(params=CHANGES)
def change(request, task: Task) -> tuple[str, list[str]]:
    columns, _, statements = CHANGES[request.param]
    task.sql(f"CREATE TABLE changed (id INT PRIMARY KEY, {columns})")
    return request.param, statements


def insert(task: Task, what: str, id: int) -> None:
    row = "'ж'" if (what, id) == ("the character set changes", 1) else CHANGES[what][1]
    task.sql(f"INSERT INTO changed (id, {names_of(what)}) VALUES ({id}, {row})")


def names_of(what: str) -> str:
    return ", ".join(ROWS[what][0])


def afters(task: Task, table: str, count: int) -> list[dict[str, Any]]:
    return [event.value["after"] for event in task.read(table, count)]


def test_rows_behind_each_change_are_right_while_it_follows(task: Task, change):
    what, statements = change
    connector = task.connector().start(ready_within=30)
    insert(task, what, 0)
    found = afters(task, "changed", 1)
    for number, statement in enumerate(statements, 1):
        task.sql(f"ALTER TABLE changed {statement}")
        insert(task, what, number)
        found = afters(task, "changed", number + 1)
    assert found == [{"id": id, **row} for id, row in enumerate(ROWS[what])]
    connector.check_running()


def backlog(task: Task, change: tuple[str, list[str]]) -> None:
    """Three rows, and a statement behind each of the first two."""
    what, statements = change
    for number, statement in enumerate(statements):
        insert(task, what, number)
        task.sql(f"ALTER TABLE changed {statement}")
    insert(task, what, 2)


def executed(task: Task) -> str:
    [(gtids,)] = task.stack.sql("SELECT @@GLOBAL.gtid_executed")
    return gtids.replace("\n", "")


def test_rows_between_statements_are_read_by_what_these_made_of_the_table(task: Task, change):
    backlog(task, change)
    task.connector(source={"start": "earliest"}).start(ready_within=30)
    assert afters(task, "changed", 3) == [{"id": id, **row} for id, row in enumerate(ROWS[change[0]])]


@pytest.mark.parametrize("start", ["gtid_set", "file"])
def test_rows_before_a_statement_are_not_published_if_the_table_was_made_before_the_start(task: Task, change, start: str):
    file, offset = task.stack.binlog_end()
    begin = {"gtid_set": executed(task)} if start == "gtid_set" else {"file": file, "offset": offset}
    backlog(task, change)
    connector = task.connector(source={"start": begin})
    connector.start()
    ended(connector, HALTED, "changed", "may have changed", "select.exclude_tables", REMEDY)
    assert task.stack.partitions(task.topic("changed")) == []


def test_fault_58_rows_before_a_statement_that_only_the_server_understands_are_not_published(task: Task):
    task.sql("CREATE TABLE changed (id INT PRIMARY KEY, word ENUM('a','b') CHARACTER SET latin1 NOT NULL)")
    task.sql("INSERT INTO changed VALUES (1, 'a')")
    task.sql("ALTER TABLE changed CONVERT TO CHARACTER SET utf8mb4, ADD letter CHAR(1) CHARACTER SET latin1")
    task.sql("INSERT INTO changed VALUES (2, 'a', 'c')")
    task.sql("ALTER TABLE changed COMMENT 'a word'")
    connector = task.connector(source={"start": "earliest"}).start()
    ended(connector, HALTED, "changed", "may have changed", REMEDY)
    assert afters(task, "changed", 1) == [{"id": 1, "word": "a"}]


def test_what_was_known_before_it_was_killed_holds_up_to_the_first_change(task: Task, change):
    what, statements = change
    connector = task.connector().start(ready_within=30)
    insert(task, what, 0)
    task.read("changed", 1)
    connector.kill()
    task.sql("INSERT INTO changed SELECT id + 10, " + names_of(what) + " FROM changed")
    task.sql(f"ALTER TABLE changed {statements[0]}")
    insert(task, what, 1)
    connector.start(ready_within=30)
    first, second, third = ROWS[what][0], ROWS[what][0], ROWS[what][1]
    assert afters(task, "changed", 3) == [{"id": 0, **first}, {"id": 10, **second}, {"id": 1, **third}]
    # Of two statements the server knows what was behind the second; what was behind the first is known by its text.
    connector.kill()
    task.sql(f"ALTER TABLE changed {statements[1]}")
    with task.connect(cursorclass=DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM changed WHERE id = 10")
        row = cursor.fetchone()
    task.sql("DELETE FROM changed WHERE id = 10")
    task.sql("ALTER TABLE changed COMMENT 'a word'")
    connector.start(ready_within=30)
    assert task.read("changed", 4)[3].value["before"] == row


def test_a_backlog_without_changes_is_published_through_many_files(task: Task):
    task.sql("CREATE TABLE notes (id INT UNSIGNED PRIMARY KEY, note VARCHAR(20) CHARACTER SET latin1, kind ENUM('x','y') NOT NULL DEFAULT 'y')")
    for id in range(5):
        task.sql(f"INSERT INTO notes (id, note) VALUES ({4294967295 - id}, 'ä')")
        task.sql("FLUSH BINARY LOGS")
    # A statement on another table, and one that only has the name as a part.
    task.sql("CREATE TABLE notes_of_others (id INT PRIMARY KEY)")
    task.sql("FLUSH BINARY LOGS")
    connector = task.connector(source={"start": "earliest"})
    connector.start(ready_within=30)
    assert afters(task, "notes", 5) == [{"id": 4294967295 - id, "note": "ä", "kind": "y"} for id in range(5)]


def test_a_table_that_is_gone_is_known_by_its_statement(task: Task):
    task.sql("CREATE TABLE gone (id INT PRIMARY KEY, word VARCHAR(9) CHARACTER SET latin1)")
    task.sql("INSERT INTO gone VALUES (1, 'ä')")
    task.sql("RENAME TABLE gone TO renamed")
    task.sql("INSERT INTO renamed VALUES (2, 'ö')")
    task.sql("DROP TABLE renamed")
    task.connector(source={"start": "earliest"}).start(ready_within=30)
    assert afters(task, "gone", 1) == [{"id": 1, "word": "ä"}]
    assert afters(task, "renamed", 1) == [{"id": 2, "word": "ö"}]


def test_a_table_that_is_gone_and_whose_making_was_not_seen_halts_and_says_so(task: Task):
    task.sql("CREATE TABLE gone (id INT PRIMARY KEY)")
    begin = executed(task)
    task.sql("INSERT INTO gone VALUES (1)")
    task.sql("DROP TABLE gone")
    connector = task.connector(source={"start": {"gtid_set": begin}}).start()
    ended(connector, HALTED, "gone", "no such table any more", "select.exclude_tables")


def test_an_account_that_may_not_read_the_table_halts_with_the_grant(task: Task):
    user = f"reader_{task.database}"
    task.sql("CREATE TABLE private (id INT PRIMARY KEY)")
    task.stack.sql(f"CREATE USER {user} IDENTIFIED BY %s", PASSWORD)
    task.stack.sql(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}")
    # So that the database is seen, as `run` asks for.
    task.sql("CREATE TABLE public (id INT PRIMARY KEY)")
    task.stack.sql(f"GRANT SELECT ON {task.database}.public TO {user}")
    connector = task.connector(source={"user": user}).start(ready_within=30)
    task.sql("INSERT INTO private VALUES (1)")
    ended(connector, HALTED, "private", "Grant the account SELECT")
    task.stack.sql(f"GRANT SELECT ON {task.database}.private TO {user}")
    connector.start(ready_within=30)
    assert afters(task, "private", 1) == [{"id": 1}]


def test_the_server_may_be_switched_while_it_is_followed(task: Task):
    task.sql("CREATE TABLE notes (id INT PRIMARY KEY, n TINYINT UNSIGNED NOT NULL, s SET('a','b') NOT NULL)")
    connector = task.connector().start(ready_within=30)
    for id, value in enumerate(["MINIMAL", "FULL", "MINIMAL", "FULL"]):
        task.stack.sql(f"SET GLOBAL binlog_row_metadata = {value}")
        task.sql(f"INSERT INTO notes VALUES ({id}, 255, 'a,b')")
        assert afters(task, "notes", id + 1)[id] == {"id": id, "n": 255, "s": ["a", "b"]}
    connector.check_running()
    assert len(task.stack.registry_get(f"subjects/{task.topic('notes')}-value/versions")) == 1


def test_an_end_is_asked_for_while_it_reads_ahead(task: Task):
    """The connector asked to end in the middle of a long binlog that it reads ahead does so at once, and goes on later."""
    task.sql("CREATE TABLE first (id INT PRIMARY KEY)")
    task.sql("INSERT INTO first VALUES (1)")
    task.sql("CREATE TABLE filler (id INT PRIMARY KEY AUTO_INCREMENT, body LONGBLOB)")
    with task.stack.metadata("FULL"):
        for _ in range(12):
            task.sql("INSERT INTO filler (body) VALUES (REPEAT('x', 8000000))")
    connector = task.connector(source={"start": "earliest"}, select={"databases": [], "tables": [f"{task.database}.first"]})
    connector.start(ready_within=30)
    connector.terminate()
    connector.start(ready_within=60)
    assert afters(task, "first", 1) == [{"id": 1}]


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_a_truncate_does_not_bring_back_what_was_changed(task: Task, change, is_restarted: bool):
    what, statements = change
    connector = task.connector().start(ready_within=30)
    insert(task, what, 0)
    task.read("changed", 1)
    if is_restarted:
        connector.kill()
    task.sql(f"ALTER TABLE changed {statements[0]}")
    task.sql("TRUNCATE TABLE changed")
    insert(task, what, 1)
    if is_restarted:
        connector.start(ready_within=30)
    found = [event.value["after"] for event in task.read("changed", 3) if event.value["op"] == "c"]
    assert found == [{"id": 0, **ROWS[what][0]}, {"id": 1, **ROWS[what][1]}]


def test_fault_35_a_statement_that_is_not_in_the_binlog_is_noticed_where_rows_tell(task: Task):
    task.sql("CREATE TABLE hidden (id INT PRIMARY KEY, n INT NOT NULL)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO hidden VALUES (1, 1)")
    task.read("hidden", 1)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute("ALTER TABLE hidden MODIFY n INT UNSIGNED NOT NULL")
    task.sql("INSERT INTO hidden VALUES (2, 4294967295)")
    ended(connector, HALTED, "hidden", "column n", "not in the binlog", REMEDY)
    assert afters(task, "hidden", 1) == [{"id": 1, "n": 1}]


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_fault_35_a_column_that_came_without_the_binlog_is_published_where_it_has_names_and_noticed_elsewhere(task: Task, metadata: str):
    task.sql("CREATE TABLE hidden (id INT PRIMARY KEY, n INT NOT NULL)")
    connector = task.connector().start(ready_within=30)
    with task.stack.metadata(metadata):
        task.sql("INSERT INTO hidden VALUES (1, 1)")
        task.read("hidden", 1)
        with task.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_log_bin = 0")
            cursor.execute("ALTER TABLE hidden ADD more INT NOT NULL DEFAULT 5 FIRST")
        task.sql("INSERT INTO hidden (id, n) VALUES (2, 1)")
        if metadata == "FULL":
            assert afters(task, "hidden", 2) == [{"id": 1, "n": 1}, {"more": 5, "id": 2, "n": 1}]
            connector.check_running()
        else:
            ended(connector, HALTED, "hidden", "not in the binlog", REMEDY)
            assert afters(task, "hidden", 1) == [{"id": 1, "n": 1}]


def test_fault_36_names_that_were_swapped_without_the_binlog_are_right_where_it_has_names(task: Task):
    task.sql("CREATE TABLE hidden (id INT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL)")
    task.connector().start(ready_within=30)
    with task.stack.metadata("FULL"):
        task.sql("INSERT INTO hidden VALUES (1, 1, 2)")
        task.read("hidden", 1)
        with task.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_log_bin = 0")
            cursor.execute("ALTER TABLE hidden RENAME COLUMN a TO b, RENAME COLUMN b TO a")
        task.sql("INSERT INTO hidden (id, a, b) VALUES (2, 1, 2)")
        assert [event.value["after"] for event in task.read("hidden", 2)] == [{"id": 1, "a": 1, "b": 2}, {"id": 2, "b": 2, "a": 1}]


def test_fault_36_a_statement_that_is_not_in_the_binlog_is_noticed_where_names_tell(task: Task):
    task.sql("CREATE TABLE hidden (id INT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL)")
    connector = task.connector().start(ready_within=30)
    task.sql("INSERT INTO hidden VALUES (1, 1, 2)")
    task.read("hidden", 1)
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute("ALTER TABLE hidden RENAME COLUMN a TO b, RENAME COLUMN b TO a")
    # Nothing is looked at anew before a statement that is in the binlog.
    task.sql("ALTER TABLE hidden COMMENT 'a word'")
    task.sql("INSERT INTO hidden VALUES (2, 1, 2)")
    ended(connector, HALTED, "hidden", "column a", "not in the binlog", REMEDY)
    assert afters(task, "hidden", 1) == [{"id": 1, "a": 1, "b": 2}]


# Tables without a primary key, and the columns of the key that the server takes in its place.
UNIQUE: dict[str, tuple[str, set[str]]] = {
    "one": ("a INT NOT NULL, b INT NOT NULL, UNIQUE KEY (b)", {"b"}),
    "the first of two": ("a INT NOT NULL, b INT NOT NULL, UNIQUE KEY z (a), UNIQUE KEY y (b)", {"a"}),
    "behind one that may be null": ("a INT, b INT NOT NULL, UNIQUE KEY x (a), UNIQUE KEY y (b)", {"b"}),
    "behind one with a prefix": ("a VARCHAR(20) NOT NULL, b INT NOT NULL, UNIQUE KEY x (a(3)), UNIQUE KEY y (b)", {"b"}),
    "of two columns": ("a INT NOT NULL, b INT NOT NULL, KEY (a), UNIQUE KEY (b, a)", {"a", "b"}),
    "behind an expression": ("a INT NOT NULL, b INT NOT NULL, UNIQUE KEY x ((a + 1)), UNIQUE KEY y (b)", {"b"}),
    "none that is not null": ("a INT, b INT NOT NULL, UNIQUE KEY (a), KEY (b)", set()),
    "a prefix alone": ("a VARCHAR(20) NOT NULL, b INT NOT NULL, UNIQUE KEY (a(3))", set()),
    "a primary key behind": ("a INT NOT NULL, b INT NOT NULL, UNIQUE KEY (a), PRIMARY KEY (b)", {"b"}),
}


@pytest.mark.parametrize("what", UNIQUE)
def test_the_key_is_the_same_whether_the_binlog_names_it(task: Task, what: str):
    columns, key = UNIQUE[what]
    task.sql(f"CREATE TABLE keyed ({columns})")
    connector = task.connector().start(ready_within=30)
    for number, metadata in enumerate(["FULL", "MINIMAL"]):
        task.stack.sql(f"SET GLOBAL binlog_row_metadata = {metadata}")
        # So that nothing is known of before.
        task.sql(f"ALTER TABLE keyed COMMENT '{metadata}'")
        task.sql(f"INSERT INTO keyed VALUES ({number}, {number + 5})")
        task.read("keyed", number + 1)
    connector.check_running()
    keys = [set(event.key or {}) for event in task.read("keyed", 2)]
    assert keys == [key, key]


def test_a_statement_that_another_server_ran_first_is_seen(task: Task):
    """What is in the set of GTIDs to begin with may lie anywhere in this server's binlog."""
    known = executed(task)
    task.sql("CREATE TABLE merged (id INT PRIMARY KEY, a INT, b INT)")
    task.sql("INSERT INTO merged VALUES (1, 111, 222)")
    other = "11111111-2222-3333-4444-555555555555:1"
    with task.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET gtid_next = '{other}'")
        cursor.execute("ALTER TABLE merged RENAME COLUMN a TO b, RENAME COLUMN b TO a")
    gtids = ",".join([known, other])
    connector = task.connector(source={"start": {"gtid_set": gtids}}).start()
    ended(connector, HALTED, "merged", "may have changed", REMEDY)
