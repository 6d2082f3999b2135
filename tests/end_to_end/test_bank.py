"""Exactly once, for real: a bank under concurrent transfers, the connector killed at random moments.

This is a run of a few kills, enough to tell a connector that commits half a transaction from a right one. All other
faults, and more kills, are in the table of faults.
"""

import os
import random
import time
from collections.abc import Callable

import pytest

from harness.bank import CONSTANT, TABLES, Workload, create_tables, open_accounts, read_accounts
from harness.ledger import Change, change_of, check_history
from harness.task import Task
from harness.torment import Plan, torment
from harness.watcher import Watcher

PARTITIONS = 4


@pytest.fixture(scope="module")
def stack(stacks):
    with stacks("bank") as stack:
        yield stack


@pytest.mark.timeout(150)
def test_short_bank_is_right_at_each_checkpoint_though_the_connector_is_killed_ten_times(task: Task, say):
    run_bank(task, say, Plan(kills=10))


def run_bank(task: Task, say: Callable[[str], None], plan: Plan) -> None:
    seed = int(os.environ.get("BINLOG_BRIDGE_TEST_SEED", time.time_ns() % 1_000_000))
    say(f"BINLOG_BRIDGE_TEST_SEED={seed} repeats this plan: {plan}")
    create_tables(task.stack, task.database)
    connector = task.connector(kafka={"partitions": PARTITIONS}).start(ready_within=30)
    open_accounts(task.stack, task.database)
    topics = [task.topic(table) for table in TABLES]
    with Watcher(task.stack, task.name, topics, CONSTANT) as watcher, Workload(task.stack, task.database, seed) as workload:
        torment(
            task.stack, connector, plan, random.Random(seed),
            lambda: (watcher.check(), workload.check()), watcher.wait_for_a_check,
        )
        watcher.wait_for_a_check()
        workload.stop()
        workload.check()
        final, changes = read_everything(task)
        watcher.stop()
    say(f"{watcher.checks} checks at checkpoints; {len(changes)} changes; {connector.runs} runs of the connector")
    watcher.check()
    problems = check_history(changes, final)
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(map(str, problems[:20]))
    assert {task.stack.partitions(topic)[-1] for topic in topics} == {PARTITIONS - 1}
    assert watcher.checks > plan.kills
    check_that_defects_would_be_found(changes, final)


def read_everything(task: Task) -> tuple[dict, list[Change]]:
    """The tables as they are now, and every change published up to the same moment, read afresh."""
    final = read_accounts(task.stack, task.database)
    versions = sum(version for _, version in final.values())
    with task.follower(*TABLES) as follower:
        follower.until(lambda: len(follower.events) >= versions, f"{versions} changes, the sum of all versions", 90)
        follower.drain()
    return final, [change_of(event) for event in follower.events]


def check_that_defects_would_be_found(changes: list[Change], final: dict) -> None:
    """Plants each defect in what was really recorded."""
    places = [at for at, change in enumerate(changes) if change.account == changes[-1].account]
    first, second = places[len(places) // 2 - 1 : len(places) // 2 + 1]
    dropped = changes[:first] + changes[first + 1 :]
    doubled = changes[: second + 1] + changes[first:]
    swapped = changes.copy()
    swapped[first], swapped[second] = changes[second], changes[first]
    for defect in (dropped, doubled, swapped):
        assert check_history(defect, final) != []
