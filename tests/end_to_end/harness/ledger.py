"""Judges the events of the bank. Pure: it is given events and checkpoints, and returns what is wrong.

The bank: accounts in two tables, each with a balance and a version. A transfer moves money between an account of
one table and an account of the other, and raises the version of both by one. So the balances of all accounts sum
to a constant at every transaction boundary, and the versions of an account are 1, 2, 3... in order.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from .reader import Event

Account = tuple[str, int]
Position = tuple[int, int]  # number of the binlog file, offset in it


@dataclass(frozen=True)
class Change:
    """A row event of the bank, with what is needed to judge it."""

    partition: tuple[str, int]
    offset: int
    account: Account
    before: tuple[int, int] | None  # balance, version
    after: tuple[int, int]
    transaction: str
    position: Position
    row: int

    def __str__(self) -> str:
        return f"{self.account} version {self.after[1]} at {self.position} row {self.row} ({self.partition} offset {self.offset})"


def change_of(event: Event) -> Change:
    source, before, after = event.value["source"], event.value["before"], event.value["after"]
    return Change(
        partition=(event.topic, event.partition),
        offset=event.offset,
        account=(source["table"], event.key["id"]),
        before=before and (before["balance"], before["version"]),
        after=(after["balance"], after["version"]),
        transaction=event.value["transaction"]["id"],
        position=(file_number(source["file"]), source["pos"]),
        row=source["row"],
    )


def file_number(name: str) -> int:
    return int(name.rpartition(".")[2])


def position_of(checkpoint: dict) -> Position:
    return file_number(checkpoint["position"]["file"]), checkpoint["position"]["offset"]


class Ledger:
    """Follows the bank from checkpoint to checkpoint.

    `add` takes changes in the order of their partition. `compare` looks at those before the checkpoint's position,
    over both tables: they must be whole transactions, next in version, and sum to the constant.
    """

    def __init__(self, constant: int) -> None:
        self.constant = constant
        self.balances: dict[Account, tuple[int, int]] = {}
        self.pending: dict[tuple[str, int], deque[Change]] = defaultdict(deque)
        self.last: dict[tuple[str, int], tuple[Position, int]] = {}
        self.checkpoint: Position = (0, 0)
        self.problems: list[str] = []

    def add(self, change: Change) -> None:
        identity = (change.position, change.row)
        if identity <= self.last.get(change.partition, ((0, 0), -1)):
            self.problems.append(f"out of order or twice in its partition: {change} after {self.last[change.partition]}")
        self.last[change.partition] = identity
        self.pending[change.partition].append(change)

    def compare(self, checkpoint: dict) -> list[str]:
        """What was found wrong since the last comparison."""
        position = position_of(checkpoint)
        if position < self.checkpoint:
            self.problems.append(f"the checkpoint went back from {self.checkpoint} to {position}")
        if checkpoint["skip_rows"] != 0 and checkpoint["split"] is None:
            self.problems.append(f"the checkpoint at {position} lies {checkpoint['skip_rows']} rows inside a transaction")
        self.checkpoint = position
        tables_of = defaultdict(set)
        for queue in self.pending.values():
            while queue and queue[0].position < position:
                change = queue.popleft()
                self.apply(change)
                tables_of[change.transaction].add(change.account[0])
        for transaction, tables in tables_of.items():
            if len(tables) != 2:
                self.problems.append(f"before the checkpoint at {position}, {transaction} has rows of {tables} only")
        total = sum(balance for balance, _ in self.balances.values())
        if self.balances and total != self.constant:
            self.problems.append(f"at the checkpoint {position} the sum is {total}, not {self.constant}")
        found, self.problems = self.problems, []
        return found

    def uncovered(self, newest: dict) -> list[str]:
        """Changes that were visible, but are not before a checkpoint read after them: rows travel with their own."""
        position = position_of(newest)
        changes = [change for queue in self.pending.values() for change in queue if change.position >= position]
        if not changes:
            return []
        return [f"{len(changes)} changes visible, but the newest checkpoint is {position}; one of them is {changes[0]}"]

    def apply(self, change: Change) -> None:
        before = self.balances.get(change.account)
        if change.before != before:
            self.problems.append(f"the row before was {before}, the event says {change.before}: {change}")
        if change.after[1] != (before[1] if before else 0) + 1:
            self.problems.append(f"version {before and before[1]} is followed by {change}")
        self.balances[change.account] = change.after


def check_history(changes: Iterable[Change], final: dict[Account, tuple[int, int]]) -> list[str]:
    """What is wrong with all changes ever published, given in the order of each partition, and the table's content."""
    problems: list[str] = []
    seen: dict[tuple[Position, int], Change] = {}
    last: dict[tuple[str, int], tuple[Position, int]] = {}
    accounts: dict[Account, tuple[int, int]] = {}
    moved: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for change in changes:
        identity = (change.position, change.row)
        if identity in seen:
            problems.append(f"twice: {change} and {seen[identity]}")
        seen[identity] = change
        if identity < last.get(change.partition, ((0, 0), -1)):
            problems.append(f"out of order in its partition: {change} after {last[change.partition]}")
        last[change.partition] = identity
        before = accounts.get(change.account)
        if change.before != before or change.after[1] != (before[1] if before else 0) + 1:
            problems.append(f"after {before}, which is balance and version: {change}, before it {change.before}")
        accounts[change.account] = change.after
        table = change.account[0]
        moved[change.transaction][table] += change.after[0] - (change.before[0] if change.before else 0)
    opening = next(iter(moved), None)
    for transaction, tables in moved.items():
        if len(tables) != 2 or (transaction != opening and sum(tables.values()) != 0):
            problems.append(f"not a whole transfer: {transaction} moved {dict(tables)}")
    for account in final.keys() | accounts.keys():
        if accounts.get(account) != final.get(account):
            problems.append(f"{account} ends with {accounts.get(account)}, the table has {final.get(account)}")
    return problems
