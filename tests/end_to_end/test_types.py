"""Every column type with its edge values: insert, update and delete on a real server, compared with what SELECT returns."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.columns import FAMILIES as TYPES
from harness.columns import Column
from harness.images import Steps, create, is_whole, problems, run
from harness.reader import Event
from harness.stack import Stack
from harness.task import Task

# A table for each; what is not of this server, or needs a table of its own, is in test_servers.py.
FAMILIES: dict[str, list[Column]] = {
    family: [column for each in TYPES[family] for column in each.on(Stack.kind, True).columns]
    for family in ("integers", "decimals", "floats", "bits", "texts", "binaries", "temporals", "members", "json", "geometries")
}


@dataclass(frozen=True)
class Published:
    """The events of each family, and what SELECT returned after each of the steps."""

    families: dict[str, list[Column]]
    events: dict[str, list[Event]]
    selected: dict[str, Steps]


@pytest.fixture(scope="module", params=["FULL", "MINIMAL"])
def published(request, stack, tmp_path_factory) -> Iterator[Published]:
    with stack.metadata(request.param):
        yield publish(stack, request.param.lower(), tmp_path_factory.mktemp("types"))


def publish(stack, name: str, directory) -> Published:
    task = Task(stack, f"types-{name}", f"types_{name}", directory)
    families = {
        family: [column for column in columns if name == "full" or not column.needs_names]
        for family, columns in FAMILIES.items()
    }
    for family, columns in families.items():
        create(task, family, columns)
    connector = task.connector().start(ready_within=30)
    try:
        selected = {family: run(task, family, columns) for family, columns in families.items()}
        with task.follower(*FAMILIES) as follower:
            def all_rows_read() -> bool:
                connector.check_running()
                return all(is_whole(follower.of(task.topic(family)), steps) for family, steps in selected.items())

            follower.until(all_rows_read, "all rows", 60)
            events = {family: follower.of(task.topic(family)) for family in FAMILIES}
    finally:
        connector.close()
    return Published(families, events, selected)


@pytest.mark.parametrize("family", FAMILIES)
def test_fault_61_values_are_what_select_returns(published: Published, family: str):
    found = problems(published.events[family], published.selected[family], published.families[family], Stack.kind)
    assert not found, f"{len(found)} problems:\n" + "\n".join(found[:25])


def test_fault_60_dates_that_are_none_are_null_and_named(published: Published):
    for value in (event.value for event in published.events["temporals"]):
        for image in ("before", "after"):
            if value[image] is not None and value[image]["id"] != 0:
                is_date = [n for n, c in enumerate(FAMILIES["temporals"]) if c.sql.startswith(("DATE", "TIMESTAMP"))]
                null = sorted(f"c{n}" for n in is_date if value[image][f"c{n}"] is None)
                assert sorted(value["source"][f"invalid_{image}"]) == null
