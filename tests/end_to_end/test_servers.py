"""Servers of each kind: every column type that one has through insert, update and delete, compared with what the server
itself selects; and the bank under SIGKILL.

The kinds are those in BINLOG_BRIDGE_TEST_SERVERS: all in a long check.
"""

import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import pytest

from harness.columns import FAMILIES, MARIADB, MYSQL, Type
from harness.connector import error_and_remedy
from harness.images import create, is_whole, problems, run
from harness.servers import KINDS, metadata_of, row_metadata
from harness.stack import Stack
from harness.task import Task
from harness.torment import Plan
from test_bank import run_bank

TYPES = {each.name: each for types in FAMILIES.values() for each in types}
LONG_CHECK_KINDS_MIN = 7
PUBLISHED_WITHIN_SECONDS = 60

# A type, and what the binlog says of columns beside their types: `binlog_row_metadata`.
Place = tuple[str, str]


@dataclass(frozen=True)
class Defect:
    """What is known to be wrong. To be taken out once it is mended: the test fails where it finds right what is here."""

    why: str
    types: tuple[str, ...]
    kinds: tuple[str, ...]
    metadata: tuple[str, ...] = ("FULL", "MINIMAL", "NO_LOG", "none")

    def places(self, kind: str) -> set[Place]:
        return {(name, each) for name in self.types for each in self.metadata if kind in self.kinds}


DEFECTS = [
    Defect(
        "MySQL 5.7 shows whole doubles without .0, the connector as MySQL 8.0 does",
        ("JSON, doubles that are whole numbers",), ("mysql57",),
    ),
    Defect(
        "MySQL 5.7 shows line ends in the base64 of long bytes bare, which is no JSON; the connector as MySQL 8.0 does",
        ("JSON, long bytes",), ("mysql57",),
    ),
    Defect(
        "MySQL 8.0.13 to 8.0.17 log the key's hidden column: with names, of which it has one of 32 letters, it is published, as unset",
        ("a key of an expression",), ("mysql8015",), ("FULL",),
    ),
]


@dataclass
class Result:
    """What was found wrong with each type that a server has; nothing where all is right."""

    version: str
    found: dict[Place, list[str]] = field(default_factory=dict)


RESULTS: dict[str, Result] = {}


@pytest.fixture(scope="module", params=KINDS)
def stack(request: pytest.FixtureRequest, stacks) -> Iterator[Stack]:
    with stacks(request.param, f"--server={request.param}") as stack:
        yield stack


@pytest.mark.timeout(600)
def test_values_are_what_select_returns_on_each_server(stack: Stack, tasks, tmp_path: pathlib.Path):
    result = RESULTS[stack.kind] = Result(stack.variable("version"))
    for metadata in metadata_of(stack.kind):
        with row_metadata(stack, metadata):
            left = types_of(stack.kind, metadata)
            while left:
                # After one that ends the connector the others get another connector.
                with tasks(stack, tmp_path / f"{metadata}-{len(left)}") as task:
                    result.found |= {(name, metadata): found for name, found in judge(task, left).items()}
                left = [each for each in left if (each.name, metadata) not in result.found]
    wrong = {place for place, found in result.found.items() if found}
    known = {place for defect in DEFECTS for place in defect.places(stack.kind)} & set(result.found)
    unknown = [f"{name}, {metadata}: {each}" for name, metadata in sorted(wrong - known) for each in result.found[name, metadata][:5]]
    assert not unknown, f"{len(unknown)} problems:\n" + "\n".join(unknown)
    assert known <= wrong, f"right now, so no defect any more: {known - wrong}"


def types_of(kind: str, metadata: str) -> list[Type]:
    """With NULL as one more value, so that updates come from it and go to it."""
    types = [each.on(kind, metadata == "FULL") for each in TYPES.values()]
    return [
        replace(each, columns=[
            replace(column, values=[*column.values, "NULL"]) if column.values else column for column in each.columns
        ])
        for each in types if each.columns
    ]


def judge(task: Task, types: list[Type]) -> dict[str, list[str]]:
    """What is wrong with each type that is published whole, and with the one that ended the connector."""
    tables = {each.name: f"t{number}" for number, each in enumerate(types)}
    for each in types:
        create_table(task, tables[each.name], each)
    connector = task.connector().start(ready_within=60)
    steps = {each.name: run(task, tables[each.name], each.columns, each.has_history) for each in types}
    with task.follower(*tables.values()) as follower:
        def whole(each: Type) -> bool:
            return is_whole(follower.of(task.topic(tables[each.name])), steps[each.name])

        def read() -> bool:
            return not connector.is_running() or all(map(whole, types))

        follower.until(read, lambda: f"all rows of all types; the connector printed:\n{connector.tail()}", PUBLISHED_WITHIN_SECONDS)
        follower.drain()
        events = {each.name: follower.of(task.topic(tables[each.name])) for each in types}
        judged = {each.name: problems(events[each.name], steps[each.name], each.columns, task.stack.kind) for each in types if whole(each)}
    if not connector.is_running():
        error = error_and_remedy(connector.stderr())[0]
        ended_by = next(name for name, table in tables.items() if re.search(rf"\b{task.database}\.{table}\b", error))
        judged[ended_by] = [error]
    return judged


def create_table(task: Task, name: str, each: Type) -> None:
    with task.stack.set_global(*each.made_with) if each.made_with else nullcontext():
        create(task, name, each.columns, each.table, each.options)


@pytest.mark.timeout(300)
def test_bank_is_right_at_each_checkpoint_on_each_server(task: Task, say):
    run_bank(task, say, Plan(kills=10, mysql_restarts=1, rotations=2))


def test_table_of_types_and_servers(tell):
    """Behind the tests of all kinds: what they found, and that the page says so."""
    assert len(KINDS) <= 2 or len(KINDS) >= LONG_CHECK_KINDS_MIN
    for kind in KINDS:
        places = {(each.name, metadata) for metadata in metadata_of(kind) for each in types_of(kind, metadata)}
        assert kind in RESULTS and set(RESULTS[kind].found) == places, f"the test of {kind} did not come to its end"
    for kind in KINDS:
        marks = Counter(mark(kind, name) for name in TYPES)
        tell(f"{kind} {version_of(kind)}: {marks['ok']} types are as SELECT shows them, {marks['defect']} are not")
    tell(line("", KINDS))
    for name in TYPES:
        tell(line(name, [mark(kind, name) for kind in KINDS]))
    for defect in DEFECTS:
        if set(defect.kinds) & set(KINDS):
            tell(f"defect of {', '.join(defect.types)} on {', '.join(defect.kinds)}: {defect.why}")
    if "BINLOG_BRIDGE_REWRITE" in os.environ:
        before = PAGE.read_text().partition(PAGE_HEADING)[0]
        PAGE.write_text(before + PAGE_HEADING + page())
    on_page = [row.split(" | ") for row in PAGE.read_text().partition(PAGE_HEADING)[2].splitlines() if row.startswith("| ")]
    columns = {heading.strip(" |").split(" ")[0]: number for number, heading in enumerate(on_page[0])}
    for kind in KINDS:
        said = {row[0].strip("| "): row[columns[kind]].strip(" |") for row in on_page[1:]}
        assert said == {name: page_mark(kind, name) for name in TYPES}, f"schemas/types.md says something else of {kind}"


PAGE = pathlib.Path(__file__).parents[2] / "schemas" / "types.md"
PAGE_HEADING = """
## Servers
"""


def page() -> str:
    """The table as Markdown, for a reader who has one server."""
    rows = [f"| {name} | {' | '.join(page_mark(kind, name) for kind in KINDS)} |" for name in TYPES]
    notes = [f"{number}. {', '.join(defect.types)}: {defect.why}." for number, defect in enumerate(DEFECTS, 1)]
    heads = [f"{kind} {version_of(kind)}" for kind in KINDS]
    return (
        "\nInserts, updates and deletes of each type, with all that the binlog can say of columns and with the least, compared with what\n"
        "the server's own SELECT shows. Tests write this table (`make soak servers`). `–`: the server does not have it; a number: see\n"
        f"below.\n\n| type | {' | '.join(heads)} |\n|---|{'---|' * len(KINDS)}\n" + "\n".join(rows) + "\n\n" + "\n".join(notes) + "\n"
    )


def page_mark(kind: str, name: str) -> str:
    known = [str(number) for number, defect in enumerate(DEFECTS, 1) if kind in defect.kinds and name in defect.types]
    return {"-": "–", "ok": "yes", "defect": ", ".join(known)}[mark(kind, name)]


def version_of(kind: str) -> str:
    return RESULTS[kind].version.split("-")[0]


def line(name: str, cells: list[str]) -> str:
    wide = max(map(len, MYSQL + MARIADB))
    return "  ".join([name.ljust(max(map(len, TYPES))), *[cell.ljust(wide) for cell in cells]]).rstrip()


def mark(kind: str, name: str) -> str:
    found = [found for (each, _), found in RESULTS[kind].found.items() if each == name]
    if not found:
        return "-"  # not on this server
    return "defect" if any(found) else "ok"
