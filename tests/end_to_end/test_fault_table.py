"""The table of faults: exactly once under each of them, with the bank under load.

Each row applies its fault several times, waits each time until the connector has caught up, and then judges every change
that was published meanwhile. It also plants a defect in what was recorded, which the same check must find.

BINLOG_BRIDGE_TEST_SEED repeats a plan. BINLOG_BRIDGE_TEST_FAULTS=long has many more and longer faults.
BINLOG_BRIDGE_TEST_FAULTS_TABLE names a file that the rows are written to; those that it has already are not run again.
"""

import os
import pathlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from confluent_kafka import Producer

from harness.bank import TABLES
from harness.defects import plant
from harness.fault_table import HEAD, KINDS, TableFile, line_of
from harness.faults import FAULTS, Fault
from harness.ledger import Kind, change_of, check_history, counted
from harness.proxy import Proxy
from harness.scene import Proxies, Row, Scene
from harness.task import Task

SEED = int(os.environ.get("BINLOG_BRIDGE_TEST_SEED", time.time_ns() % 1_000_000))
IS_LONG = os.environ.get("BINLOG_BRIDGE_TEST_FAULTS") == "long"


@pytest.fixture(scope="module")
def proxies() -> Iterator[Proxies]:
    with Proxy() as mysql, Proxy() as kafka, Proxy() as registry:
        yield Proxies(mysql, kafka, registry)


@pytest.fixture(scope="module")
def stack(stacks, proxies: Proxies):
    with stacks("faults", f"--kafka-proxy={proxies.kafka.port}") as stack:
        proxies.kafka.target = int(stack.env["KAFKA_BEHIND_PROXY"].rpartition(":")[2])
        proxies.mysql.target = stack.mysql_port
        proxies.registry.target = int(stack.registry.split(":")[2].partition("/")[0])
        yield stack


class Scenes:
    """A scene goes from row to row as long as rows pass; after one that failed there is a new one."""

    def __init__(self, new_task: Callable[[], AbstractContextManager[Task]], proxies: Proxies) -> None:
        self.new_task, self.proxies = new_task, proxies
        self.exits = ExitStack()
        self.scene: Scene | None = None

    def current(self) -> Scene:
        if self.scene is None:
            self.scene = Scene(self.exits.enter_context(self.new_task()), self.proxies, IS_LONG)
        return self.scene

    def leave(self) -> None:
        self.proxies.reset()
        self.scene = None
        self.exits.close()


@pytest.fixture(scope="module")
def scenes(stack, tasks, proxies: Proxies, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    scenes = Scenes(lambda: tasks(stack, tmp_path_factory.mktemp("faults")), proxies)
    yield scenes
    scenes.leave()


@pytest.fixture
def table(request: pytest.FixtureRequest, tell: Callable[[str], None]) -> TableFile | None:
    """Its lines are printed without the name of a test, so that they are a table."""
    rows = (item for item in request.session.items if "table" in item.fixturenames)
    if request.node is next(rows):
        tell(f"BINLOG_BRIDGE_TEST_SEED={SEED} repeats the plan of this table")
        for line in HEAD:
            tell(line)
    path = os.environ.get("BINLOG_BRIDGE_TEST_FAULTS_TABLE")
    return TableFile(pathlib.Path(path), [fault.name for fault in FAULTS]) if path else None


def name_of(fault: Fault) -> str:
    return " ".join([*(f"fault_{number}" for number in fault.numbers), fault.name])


def parameter_of(fault: Fault):
    """Rows that measure time need the machine for themselves."""
    return pytest.param(fault, id=name_of(fault), marks=[pytest.mark.alone] if fault.seconds_max else [])


@pytest.mark.parametrize("fault", [parameter_of(fault) for fault in FAULTS])
def test_nothing_is_lost_doubled_or_torn_by(fault: Fault, scenes: Scenes, table: TableFile | None, tell, request):
    if table is not None and fault.name in table.lines():
        pytest.skip("the table has this row already")
    row, planted, scene = Row(fault, SEED), "not tried", scenes.current()
    try:
        scene.run(row)
        planted = check_that_a_planted_defect_is_found(row)
        problems = list(map(str, row.problems + row.problems_at_checkpoints))
        assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])
    except BaseException:
        request.node.add_report_section("call", "what the connector printed", scene.connector.tail() if scene.connector else "")
        scenes.leave()
        raise
    finally:
        tell(line_of(row, planted))
    if table is not None:
        table.add(line_of(row, planted))


def check_that_a_planted_defect_is_found(row: Row) -> str:
    """One kind for each row in turn, in what the row has really recorded."""
    kind = KINDS[FAULTS.index(row.fault) % len(KINDS)]
    chance = random.Random(f"{row.seed} {row.fault.name}")
    changes, expected = plant(kind, row.changes, chance)
    found = counted(check_history(changes, row.final, row.start)) - counted(row.problems)
    assert found == expected, f"planted: {kind.value}; found: {found} instead of {expected}"
    return kind.value


def publish_again(scene: Scene) -> None:
    """What no fence and no checkpoint of the connector could undo: a record is there twice."""
    topic = scene.task.topic(TABLES[0])
    with scene.task.follower(TABLES[0]) as follower:
        event = max(follower.drain().events, key=lambda event: change_of(event).identity)
    producer = Producer({"bootstrap.servers": scene.stack.kafka})
    producer.produce(topic, event.value_bytes, event.key_bytes, event.partition)
    assert producer.flush(30) == 0


def test_a_row_in_which_a_record_is_really_published_twice_counts_it(scenes: Scenes):
    row = Row(Fault("a record is published again", (), publish_again, often=(1, 1)), SEED)
    scenes.current().run(row)
    assert counted(row.problems) == counted(row.problems_at_checkpoints) == row.counts == {Kind.DOUBLED: 1}
