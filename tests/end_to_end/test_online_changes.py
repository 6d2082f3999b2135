"""Tables that are changed online: pt-online-schema-change itself, and the statements of gh-ost, under load and kill -9."""

import os
import queue
import random
import shutil
import subprocess
import threading
import time
from typing import Any

import pytest

from harness.reader import read_all
from harness.stack import Stack
from harness.task import Task
from harness.wait import wait_until

SEED = int(os.environ.get("BINLOG_BRIDGE_TEST_SEED") or random.randrange(10**6))
ROUNDS = int(os.environ.get("BINLOG_BRIDGE_TEST_ROUNDS", "1"))
ROWS_FIRST = 400
COPIED_AT_ONCE = 25
KILLS = 3
CHANGE = "ADD COLUMN added INT NOT NULL DEFAULT 5, MODIFY word VARCHAR(40) CHARACTER SET utf8mb4"
CHANGE_WITHIN_SECONDS = 120


class Writer(threading.Thread):
    """Changes rows of `t` until it is told to stop; what it has done can be taken, as gh-ost takes it from the binlog."""

    def __init__(self, task: Task, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.task, self.chance, self.stopped = task, chance, threading.Event()
        self.done: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self.count = 0

    def run(self) -> None:
        try:
            ids = list(range(ROWS_FIRST))
            with self.task.connect() as connection, connection.cursor() as cursor:
                while not self.stopped.is_set():
                    id, word = self.chance.choice(ids), f"ä{self.chance.randrange(10**6)}"
                    match self.chance.randrange(4):
                        case 0:
                            id = len(ids)
                            ids.append(id)
                            cursor.execute("INSERT INTO t (id, word) VALUES (%s, %s)", (id, word))
                        case 1:
                            cursor.execute("DELETE FROM t WHERE id = %s", (id,))
                            word = None
                        case _:
                            if not cursor.execute("UPDATE t SET word = %s WHERE id = %s", (word, id)):
                                continue
                    self.done.put((id, word))
                    self.count += 1
                    time.sleep(0.002)
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        self.stopped.set()
        self.join(30)
        if self.error:
            raise self.error


def ghost(task: Task, writer: Writer) -> None:
    """The statements of gh-ost, and its cut-over: two tables locked, a RENAME that waits for them, the sentry dropped."""
    with task.connect() as one, task.connect() as two, task.connect() as three:
        locker, renamer, applier = one.cursor(), two.cursor(), three.cursor()
        applier.execute(
            "CREATE /* gh-ost */ TABLE `_t_ghc` (id BIGINT AUTO_INCREMENT, last_update TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
            " ON UPDATE CURRENT_TIMESTAMP, hint VARCHAR(64) CHARSET ascii NOT NULL, value VARCHAR(4096) CHARSET ascii NOT NULL,"
            " PRIMARY KEY (id), UNIQUE KEY hint_uidx (hint)) AUTO_INCREMENT=256"
        )
        applier.execute("CREATE /* gh-ost */ TABLE `_t_gho` LIKE `t`")
        applier.execute(f"ALTER /* gh-ost */ TABLE `_t_gho` {CHANGE}")

        def apply() -> None:
            while not writer.done.empty():
                id, word = writer.done.get()
                if word is None:
                    applier.execute("DELETE /* gh-ost */ FROM `_t_gho` WHERE id = %s", (id,))
                else:
                    applier.execute("REPLACE /* gh-ost */ INTO `_t_gho` (id, word) VALUES (%s, %s)", (id, word))
            applier.execute("INSERT INTO `_t_ghc` (hint, value) VALUES ('heartbeat', NOW()) ON DUPLICATE KEY UPDATE value = NOW()")

        for low in range(0, ROWS_FIRST, COPIED_AT_ONCE):
            apply()
            applier.execute(
                "INSERT /* gh-ost */ IGNORE INTO `_t_gho` (id, word) (SELECT id, word FROM `t` FORCE INDEX (PRIMARY)"
                " WHERE id >= %s AND id < %s LOCK IN SHARE MODE)", (low, low + COPIED_AT_ONCE),
            )
            time.sleep(0.1)
        locker.execute("CREATE /* gh-ost */ TABLE `_t_del` (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB COMMENT='ghost-cut-over-sentry'")
        locker.execute("LOCK /* gh-ost */ TABLES `t` WRITE, `_t_del` WRITE")
        wait_until(lambda: waits(task, "INSERT INTO t", "DELETE FROM t", "UPDATE t"), "the writer waits, and has told what it did")
        apply()
        renaming = threading.Thread(target=lambda: renamer.execute("RENAME /* gh-ost */ TABLE `t` TO `_t_del`, `_t_gho` TO `t`"))
        renaming.start()
        wait_until(lambda: waits(task, "RENAME"), "the RENAME waits")
        locker.execute("DROP /* gh-ost */ TABLE `_t_del`")
        # It takes its locks one after the other, and only one that waits for `t` goes before the rows that do.
        wait_until(
            lambda: task.sql(
                "SELECT 1 FROM performance_schema.metadata_locks WHERE object_schema = %s AND object_name = 't'"
                " AND lock_type = 'EXCLUSIVE' AND lock_status = 'PENDING'", task.database,
            ),
            "the RENAME waits for the table",
        )
        locker.execute("UNLOCK TABLES")
        renaming.join(30)
        applier.execute("DROP /* gh-ost */ TABLE IF EXISTS `_t_ghc`")
        applier.execute("DROP /* gh-ost */ TABLE IF EXISTS `_t_del`")


def waits(task: Task, *statements: str) -> bool:
    """True if one of these waits for a lock of a table."""
    return any(
        str(row[7]).startswith(statements) and row[6] == "Waiting for table metadata lock" for row in task.sql("SHOW FULL PROCESSLIST")
    )


def percona(task: Task, writer: Writer) -> None:
    tool = shutil.which("pt-online-schema-change")
    if not tool:
        pytest.skip("pt-online-schema-change is not there: install Debian's percona-toolkit")
    dsn = f"h=127.0.0.1,P={task.stack.mysql_port},u=root,D={task.database},t=t"
    done = subprocess.run(
        [tool, "--execute", "--alter", CHANGE, "--recursion-method=none", f"--chunk-size={COPIED_AT_ONCE}", "--sleep=0.1",
         "--chunk-time=0", "--no-version-check", dsn],
        capture_output=True, text=True, timeout=CHANGE_WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


SELECTIONS = {
    "databases": lambda task: {"databases": [task.database]},
    "tables": lambda task: {"databases": [], "tables": [f"{task.database}.t"]},
    "patterns": lambda task: {"databases": [], "tables": [f"{task.database}.*t*"]},
}


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize(("change", "selection", "metadata"), [
    (ghost, "databases", "FULL"), (ghost, "tables", "MINIMAL"), (percona, "patterns", "FULL"), (percona, "databases", "MINIMAL"),
])
def test_fault_56_a_table_that_is_changed_online_goes_on_in_its_topic(stack: Stack, task: Task, change: Any, selection: str, metadata: str, round: int, say):
    chance = random.Random(f"{SEED} {change.__name__} {metadata} {round}")
    with stack.metadata(metadata):
        connector = task.connector(events={"schema_updates": True}, select=SELECTIONS[selection](task)).start(ready_within=30)
        task.sql("CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(20) CHARACTER SET latin1)")
        rows = ", ".join(f"({id}, 'word {id}')" for id in range(ROWS_FIRST))
        task.sql(f"INSERT INTO t VALUES {rows}")
        writer = Writer(task, chance)
        writer.start()
        changing = Changing(change, task, writer)
        changing.start()
        for _ in range(KILLS):
            changing.join(chance.uniform(0.2, 1.2))
            connector.kill()
            connector.start(ready_within=30)
        changing.join(CHANGE_WITHIN_SECONDS)
        behind = writer.count
        wait_until(lambda: writer.count > behind + 30, "rows of after the change, too")
        writer.stop()
        if changing.error:
            raise changing.error
        wanted = {row[0]: row for row in task.sql("SELECT id, word, added FROM t")}
        with task.follower("t") as follower:
            try:
                follower.until(lambda: replayed(follower.events) == wanted, "the topic has what SELECT has", 60)
            except AssertionError:
                found = replayed(follower.events)
                print("only in the topic", sorted(set(found.values()) - set(wanted.values())))
                print("only in the table", sorted(set(wanted.values()) - set(found.values())))
                raise
            assert replayed(follower.drain().events) == wanted
        check_events(follower.events)
        topics = {topic for topic in stack.admin.list_topics(timeout=10).topics if topic.startswith(f"{task.name}.")}
        assert topics == {task.topic("t"), task.transactions_topic, f"{task.name}.schema-changes"}
        made, altered = [record.value for record in read_all(stack, f"{task.name}.schema-changes")]
        assert [(each["kind"], [name["name"] for name in each["objects"]]) for each in (made, altered)] == [("CREATE", ["t"]), ("ALTER", ["t"])]
        (table,) = altered["tables"]
        assert [column["name"] for column in table["before"]["columns"]] == ["id", "word"]
        assert [(column["name"], column["type"]) for column in table["after"]["columns"]] == [
            ("id", "int"), ("word", "varchar(40)"), ("added", "int"),
        ]
        connector.check_running()
    say(f"seed {SEED}: {len(follower.events)} events, {KILLS} kills")


class Changing(threading.Thread):
    def __init__(self, change: Any, task: Task, writer: Writer) -> None:
        super().__init__(daemon=True)
        self.change, self.task, self.writer = change, task, writer
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.change(self.task, self.writer)
        except BaseException as error:
            self.error = error


def replayed(events: list[Any]) -> dict[int, tuple[int, str, int]]:
    """What a consumer has that replays the topic with the last schema, which has a default for what was added."""
    rows: dict[int, tuple[int, str, int]] = {}
    for event in events:
        after = event.value["after"]
        if after is None:
            rows.pop(event.key["id"], None)
        else:
            rows[after["id"]] = (after["id"], after["word"], after.get("added", 5))
    return rows


def check_events(events: list[Any]) -> None:
    """Each event begins where the last of its row ended: none is lost, doubled or of another table."""
    rows: dict[int, Any] = {}
    for event in events:
        before, after, id = event.value["before"], event.value["after"], event.key["id"]
        had = rows.get(id)
        assert (before and before["word"]) == (had and had["word"]), (before, had)
        assert (event.value["op"] == "c") == (had is None)
        rows[id] = after
