"""Servers, databases and connectors for the tests; what a failing test prints."""

import itertools
import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

pytest.register_assert_rewrite("harness")

from harness import connector
from harness.kafka_proxy import KafkaProxy
from harness.stack import PASSWORD, Stack, remove_left_overs
from harness.task import ROW_CANARY, Task

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def stacks() -> Callable[..., Iterator[Stack]]:
    """Starts sets of servers by name; each is taken down when its `with` ends."""
    remove_left_overs()

    @contextmanager
    def started(name: str, *mysqld_options: str) -> Iterator[Stack]:
        stack = Stack(f"e2e-{os.getpid()}-{name}")
        try:
            yield stack.up(*mysqld_options)
        finally:
            stack.down()

    return started


@pytest.fixture(scope="session")
def shared_stack(stacks) -> Iterator[Stack]:
    """For tests that leave the servers as they are."""
    with stacks("shared") as stack:
        yield stack


@pytest.fixture(scope="session")
def rough_stack(stacks) -> Iterator[Stack]:
    """For tests that stop servers or change their settings, and put everything back."""
    with stacks("rough") as stack:
        yield stack


@pytest.fixture(scope="module")
def proxy() -> Iterator[KafkaProxy]:
    """On the way to the broker of `stack_behind_proxy`."""
    with KafkaProxy() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def stack_behind_proxy(stacks, proxy: KafkaProxy, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """For a module of its own."""
    with stacks(request.module.__name__, f"--kafka-proxy={proxy.port}") as stack:
        proxy.target = int(stack.env["KAFKA_BEHIND_PROXY"].rpartition(":")[2])
        yield stack


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    """Modules that are hard on the servers override this."""
    return shared_stack


@pytest.fixture
def task(stack: Stack, tmp_path: pathlib.Path) -> Iterator[Task]:
    """A task with a database of its own. At the end nothing it printed may hold a secret, a row or a panic."""
    with new_task(stack, tmp_path) as task:
        yield task


@pytest.fixture
def orders(task: Task) -> Task:
    """A task with the table that `insert` and `published` are about. Modules that need more in it override this."""
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    return task


@pytest.fixture(scope="session")
def tasks() -> Callable[..., Iterator[Task]]:
    """Opens tasks; for those that outlive a test."""
    return new_task


@contextmanager
def new_task(stack: Stack, directory: pathlib.Path) -> Iterator[Task]:
    assert connector.binary().is_file(), f"there is no connector at {connector.binary()} (BINLOG_BRIDGE_BIN names it)"
    number = next(numbers)
    task = Task(stack, f"task-{number}", f"shop{number}", directory)
    try:
        yield task
    finally:
        for each in task.connectors:
            each.close()
        stack.restore()
    for each in task.connectors:
        printed = each.everything_printed()
        for word in (PASSWORD, ROW_CANARY, "panicked"):
            assert word not in printed, f"the connector printed {word!r}:\n{lines_with(word, printed)}"


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at the end of the run, whether the test passes or not."""
    return lambda line: request.node.user_properties.append(("say", f"{request.node.name}: {line}"))


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """The same without the name of a test: for lines that belong together."""
    return lambda line: request.node.user_properties.append(("say", line))


def pytest_terminal_summary(terminalreporter) -> None:
    """What tests say comes with their reports, also from processes that run them side by side."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    for report in reports:
        if getattr(report, "when", None) == "call":
            for name, line in report.user_properties:
                if name == "say":
                    terminalreporter.write_line(line)


def lines_with(word: str, text: str) -> str:
    return "\n".join([line for line in text.splitlines() if word in line][:5])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """A failure shows the end of what the connectors of the test have printed."""
    report = (yield).get_result()
    task = getattr(item, "funcargs", {}).get("task")
    if report.failed and task is not None:
        for each in task.connectors:
            report.sections.append((f"{each.directory.name}, run {each.runs}: end of stderr", each.tail()))
