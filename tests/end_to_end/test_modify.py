"""What is published changes while a task runs: its configuration file is the one truth."""

import os
import random
import threading
from typing import Any

import pytest

from harness.connector import Connector, to_yaml
from harness.proxy import Line, Proxy
from harness.reader import Event, Follower, json_decoder, read_all, state_topic
from harness.stack import Stack
from harness.task import Task, ids_of
from harness.wait import wait_until

SEED = int(os.environ.get("BINLOG_BRIDGE_TEST_SEED") or random.randrange(10**6))
CHANGES = 20
KILLS = 6
TABLES = ["a", "b", "c", "d"]


def modify(connector: Connector, config: dict[str, Any]) -> None:
    """As a ConfigMap is replaced: at once."""
    new = connector.config_file.with_suffix(".new")
    new.write_text(to_yaml(config))
    new.replace(connector.config_file)


def selections(task: Task) -> list[tuple[tuple[str, int], str]]:
    """Where another selection took effect, as the state has it, one behind the other."""
    found: list[tuple[tuple[str, int], str]] = []
    for event in read_all(task.stack, state_topic(task.name), decode=json_decoder):
        if event.key == ["checkpoint"]:
            at, selection = event.value["position"], event.value["selection"]
            if not found or found[-1][1] != selection:
                found.append(((at["file"], at["offset"]), selection))
    return found


class Writer(threading.Thread):
    """Changes rows of all tables, several in a transaction, until it is told to stop."""

    def __init__(self, task: Task, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.task, self.chance, self.stopped, self.rows = task, chance, threading.Event(), 0

    def run(self) -> None:
        with self.task.connect(autocommit=False) as connection, connection.cursor() as cursor:
            id = 0
            while not self.stopped.wait(0.01):
                for table in self.chance.sample(TABLES, self.chance.randint(1, len(TABLES))):
                    id += 1
                    statement = self.chance.choice(["UPDATE {} SET n = n + 1", "DELETE FROM {}"]).format(table)
                    self.rows += cursor.execute(f"INSERT INTO {table} VALUES ({id}, 0)")
                    self.rows += cursor.execute(f"{statement} ORDER BY id DESC LIMIT {self.chance.randint(0, 2)}")
                connection.commit()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_fault_93_a_selection_that_is_changed_under_load_is_complete_from_its_position_on(rough_stack: Stack, tasks, tmp_path, say, metadata: str):
    chance = random.Random(SEED)
    with tasks(rough_stack, tmp_path) as task, rough_stack.metadata(metadata):
        for table in TABLES:
            task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, n INT)")
        # One that has everything, to compare with.
        everything = Task.__new__(Task)
        everything.__dict__.update(task.__dict__, name=f"{task.name}-all")
        everything.connector("everything", task=everything.name).start(ready_within=30)
        selected = [TABLES[:2]]
        config = task.config(select=selecting(task, selected[0], "tables"))
        connector = task.connector_with(config).start(ready_within=30)
        writer = Writer(task, random.Random(chance.random()))
        writer.start()
        killed = chance.sample(range(1, CHANGES + 1), KILLS)
        for number in range(1, CHANGES + 1):
            selected.append(chance.choice([tables for tables in subsets() if tables != selected[-1]]))
            modify(connector, {**config, "select": selecting(task, selected[-1], chance.choice(FORMS))})
            if number in killed:
                connector.kill()
                connector.start(ready_within=30)
            wait_until(lambda: len(selections(task)) > number, f"change {number} takes effect")
        writer.stopped.set()
        writer.join()
        wanted = check_complete(task, everything, writer.rows, selected)
        assert connector.runs == KILLS + 1 and connector.metric("configuration_refused") == 0
        say(f"seed {SEED}: {CHANGES} changes, {KILLS} kills, {wanted} of {writer.rows} events")


def check_complete(task: Task, everything: Task, rows: int, selected: list[list[str]]) -> int:
    """From each position on there are the tables of its selection; events of a transaction begin behind it."""
    found = selections(task)
    assert len(found) == CHANGES + 1
    with everything.follower(*TABLES) as all_events, task.follower(*TABLES) as events:
        all_events.until(lambda: len(all_events.events) >= rows, "all events there are", 120)
        expected = {table: [] for table in TABLES}
        for event in all_events.drain().events:
            source = event.value["source"]
            at = (source["file"], source["pos"])
            last = max(index for index, (position, _) in enumerate(found) if position <= at)
            if source["table"] in selected[last]:
                expected[source["table"]].append(in_short(event))
        wanted = sum(map(len, expected.values()))
        events.until(lambda: len(events.events) >= wanted, f"{wanted} events", 120)
        events.drain()
        for table in TABLES:
            assert list(map(in_short, events.of(task.topic(table)))) == expected[table], table
    assert len(all_events.events) == rows and 0 < wanted < rows
    return wanted


def in_short(event: Event) -> tuple[Any, ...]:
    return event.value["op"], event.value["before"], event.value["after"], event.value["source"]["pos"]


FORMS = ["tables", "exclusions", "patterns"]


def selecting(task: Task, tables: list[str], form: str) -> dict[str, list[str]]:
    """A selection of these of the four tables."""
    named = [f"{task.database}.{table}" for table in tables]
    others = [f"{task.database}.{table}" for table in TABLES if table not in tables]
    return {
        "tables": {"databases": [], "tables": named},
        "exclusions": {"databases": [task.database], "exclude_tables": others},
        "patterns": {"databases": [], "tables": [f"{task.database}.?"], "exclude_tables": others},
    }[form]


def subsets() -> list[list[str]]:
    return [[table for bit, table in enumerate(TABLES) if number >> bit & 1] for number in range(1, 16)]


STREAMING = '"message":"streaming"'  # as each run says


def test_what_tables_are_published_as_changes_while_the_task_runs(task: Task):
    """Each change takes effect with the next source transaction, and the process is the same."""
    task.sql("CREATE TABLE t (id INT PRIMARY KEY, customer INT NOT NULL, mail VARCHAR(20), day DATE)")
    config = task.config(registry={"incompatible": "new_version"})
    connector = task.connector_with(config).start(ready_within=30)
    task.sql("INSERT INTO t VALUES (1, 7, 'a@b', '2020-01-01')")
    task.read("t", 1)
    events, kafka = {}, dict(config["kafka"])
    for number, (change, table, expected) in enumerate([
        ({"columns": [{"names": [f"{task.database}.t.mail"], "mask": {"truncate": 1}}]}, "t", ({"id": 2}, {"id": 2, "customer": 7, "mail": "a"})),
        ({"message_key": [{"tables": [f"{task.database}.t"], "columns": ["customer"]}]}, "t", ({"customer": 7}, {"id": 3, "customer": 7, "mail": "a"})),
        ({"topic_name": task.topic("moved")}, "moved", ({"customer": 7}, {"id": 4, "customer": 7, "mail": "a"})),
        ({"columns": [{"names": ["*.t.mail"], "mask": "leave_out"}]}, "moved", ({"customer": 7}, {"id": 5, "customer": 7})),
        ({"topic_name": None}, "t", ({"customer": 7}, {"id": 6, "customer": 7})),
    ], 2):
        if "topic_name" in change:
            tables = {f"{task.database}.t": change} if change["topic_name"] else {}
            kafka = {**kafka, "tables": tables}
        else:
            events |= change
        runs = connector.stderr().count(STREAMING)
        modify(connector, {**config, "events": events, "kafka": kafka})
        wait_until(lambda: connector.stderr().count(STREAMING) > runs and connector.is_ready(), "it takes effect")
        task.sql(f"INSERT INTO t VALUES ({number}, 7, 'a@b', '2020-01-01')")
        count = {"t": {2: 2, 3: 3, 6: 4}, "moved": {4: 1, 5: 2}}[table][number]
        event = task.read(table, count)[-1]
        after = {name: value for name, value in event.value["after"].items() if name != "day"}
        assert (event.key, after) == expected, change
    assert connector.runs == 1 and connector.metric("configuration_refused") == 0


def test_a_change_that_cannot_be_used_is_told_and_the_one_before_stays_in_force(stack: Stack, task: Task):
    task.sql("CREATE TABLE a (id INT PRIMARY KEY)")
    task.sql("CREATE TABLE b (id INT PRIMARY KEY)")
    config = task.config(select={"databases": [], "tables": [f"{task.database}.a"]})
    connector = task.connector_with(config).start(ready_within=30)
    both = {"databases": [], "tables": [f"{task.database}.a", f"{task.database}.b"]}
    for number, (change, told) in enumerate([
        ({"selekt": {}}, "selekt"), ({"kafka": {**config["kafka"], "partitions": 3}}, "kafka.partitions: takes effect at the next start"),
        ({"select": {"databases": ["nowhere"]}}, "nowhere"),
        ({"kafka": {**config["kafka"], "tables": {f"{task.database}.b": {"topic_name": task.topic("a")}}}, "select": both}, "both be published"),
    ]):
        modify(connector, {**config, **change})
        wait_until(lambda: connector.metric("configuration_refused") == 1, "it is told")
        wait_until(lambda: told in connector.stderr() and "stays in force" in connector.stderr(), "why")
        task.sql(f"INSERT INTO a VALUES ({2 * number})")
        assert ids_of(task.read("a", 2 * number + 1))[-1] == 2 * number
        # What is in force may be written again.
        modify(connector, {**config, "events": {"tombstones": number % 2 == 0}})
        wait_until(lambda: connector.metric("configuration_refused") == 0, "a good one is used")
        task.sql(f"INSERT INTO a VALUES ({2 * number + 1})")
        task.read("a", 2 * number + 2)
    # One that was refused may have been there for a moment.
    changes = len(selections(task))
    modify(connector, {**config, "select": both, "events": {"tombstones": True}})
    wait_until(lambda: len(selections(task)) > changes and connector.is_ready(), "the other table, too")
    task.sql("INSERT INTO b VALUES (1)")
    task.sql("DELETE FROM b")
    assert [event.value and event.value["op"] for event in task.read("b", 3)] == ["c", "d", None]
    assert connector.runs == 1


def test_what_statements_do_to_a_table_while_it_is_not_selected_is_not_taken_for_known(stack: Stack, task: Task):
    """Names that are swapped leave the table map of MINIMAL metadata as it is."""
    other = f"{task.database}x"
    stack.sql(f"CREATE DATABASE {other}")
    task.sql("CREATE TABLE a (id INT PRIMARY KEY)")
    config = task.config(select={"databases": [task.database, other]})
    with stack.metadata("MINIMAL"):
        connector = task.connector_with(config).start(ready_within=30)
        stack.sql(f"CREATE TABLE {other}.t (id INT PRIMARY KEY, x INT, y INT)")
        stack.sql(f"INSERT INTO {other}.t VALUES (1, 1, 2)")
        topic = f"{task.name}.{other}.t"
        wait_until(lambda: len(read_all(stack, topic)) == 1, "its row")
        modify(connector, {**config, "select": {"databases": [task.database]}})
        wait_until(lambda: len(selections(task)) == 2 and connector.is_ready(), "it is not selected")
        stack.sql(f"ALTER TABLE {other}.t RENAME COLUMN x TO y, RENAME COLUMN y TO x")
        task.sql("INSERT INTO a VALUES (1)")
        task.read("a", 1)
        modify(connector, config)
        wait_until(lambda: len(selections(task)) == 3 and connector.is_ready(), "it is selected again")
        stack.sql(f"INSERT INTO {other}.t (id, x, y) VALUES (2, 1, 2)")
        wait_until(lambda: len(read_all(stack, topic)) == 2, "its row")
        assert [event.value["after"] for event in read_all(stack, topic)] == [{"id": 1, "x": 1, "y": 2}, {"id": 2, "y": 2, "x": 1}]
        connector.check_running()
    stack.sql(f"DROP DATABASE {other}")


SPLIT_LIMITS = {"transaction_bytes_max": 256 * 1024, "batch_bytes_max": 64 * 1024}
SPLIT_TURNS, SPLIT_ROWS = 40, 50  # the tables take turns, with so many rows each time
SPLIT_LINE = Line(bytes_per_second=4 << 20)  # slow enough to be met in the middle


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_table_that_is_deselected_and_selected_again_within_a_split_transaction_comes_once(stack: Stack, task: Task, is_killed: bool):
    for table in "a", "b":
        task.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, payload TEXT NOT NULL)")
    with Proxy(stack.mysql_port) as proxy, Follower(stack, [task.transactions_topic]) as marks:
        config = task.config(source={"port": proxy.port}, kafka={"partitions": 1}, limits=SPLIT_LIMITS)
        connector = task.connector_with(config).start(ready_within=30)
        proxy.slow_down(SPLIT_LINE)
        insert_by_turns(task)
        for select in {"databases": [], "tables": [f"{task.database}.b"]}, config["select"]:
            seen = len(marks.events)
            marks.until(lambda: len(marks.events) >= seen + 3, "more parts")
            proxy.hold()
            assert all(event.value["status"] == "SPLIT" for event in marks.drain().events)
            if is_killed:
                connector.kill()
            modify(connector, {**config, "select": select})
            if not is_killed:
                wait_until(lambda: connector.metric("active") == 0, "its run ends")
            proxy.reset()
            proxy.slow_down(SPLIT_LINE)
            if is_killed:
                connector.start()
        marks.until(lambda: marks.events[-1].value["status"] == "END", "the END record")
    rows = list(range(SPLIT_TURNS * SPLIT_ROWS))
    for table in "a", "b":
        assert ids_of(task.read(table, len(rows))) == rows, table
    # What is published of a table is known while it is not selected, too.
    counts = [published_of(split, "a") for split in splits(task)]
    assert counts == sorted(counts) and len(selections(task)) == 3
    connector.check_running()


def insert_by_turns(task: Task) -> None:
    """In one transaction."""
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for first in range(0, SPLIT_TURNS * SPLIT_ROWS, SPLIT_ROWS):
            for table in "a", "b":
                rows = ", ".join(f"({id}, REPEAT('-', 4096))" for id in range(first, first + SPLIT_ROWS))
                cursor.execute(f"INSERT INTO {table} VALUES {rows}")
        connection.commit()


def splits(task: Task) -> list[dict[str, Any]]:
    """What the checkpoints know of a split transaction, one behind the other."""
    state = read_all(task.stack, state_topic(task.name), decode=json_decoder)
    return [event.value["split"] for event in state if event.key == ["checkpoint"] and event.value["split"]]


def published_of(split: dict[str, Any], table: str) -> int:
    return sum(each["rows"] for each in split["tables"] if each["table"] == table)
