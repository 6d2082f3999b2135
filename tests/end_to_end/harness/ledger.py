"""Judges the events of the bank. Pure: it is given events and checkpoints, and returns what is wrong, each of a kind.

The bank: accounts in two tables, each with a balance and a version. A transfer moves money between an account of
one table and an account of the other, and raises the version of both by one. So the balances of all accounts sum
to a constant at every transaction boundary, and the versions of an account are 1, 2, 3... in order.
"""

import enum
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from .reader import Event

Account = tuple[str, int]
State = tuple[int, int]  # balance, version
Position = tuple[int, int]  # number of the binlog file, offset in it


class Kind(enum.Enum):
    LOST = "lost"  # a version of an account that the table had was not published
    DOUBLED = "doubled"  # an event, or a version of an account, was published again
    TORN = "torn"  # a transfer is not whole, in the end or at a checkpoint
    ORDER = "out of order"  # an event comes after a later one of its partition, or of its account
    WRONG = "wrong"  # a row that the table never had


@dataclass(frozen=True)
class Problem:
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text}"


def counted(problems: Iterable[Problem]) -> Counter[Kind]:
    return Counter(problem.kind for problem in problems)


@dataclass(frozen=True)
class Change:
    """A row event of the bank, with what is needed to judge it."""

    partition: tuple[str, int]
    offset: int
    account: Account
    before: State | None
    after: State
    transaction: str
    position: Position
    row: int

    @property
    def identity(self) -> tuple[Position, int]:
        """Its place in the binlog."""
        return self.position, self.row

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

    def __init__(self, constant: int, start: dict[Account, State] | None = None) -> None:
        self.constant = constant
        self.balances: dict[Account, State] = dict(start or {})
        self.pending: dict[tuple[str, int], deque[Change]] = defaultdict(deque)
        self.last: dict[tuple[str, int], tuple[Position, int]] = {}
        self.seen: set[tuple[Position, int]] = set()
        self.checkpoint: Position = (0, 0)
        self.problems: list[Problem] = []

    def add(self, change: Change) -> None:
        """A change that comes again counts once, as that."""
        if change.identity in self.seen:
            self.found(Kind.DOUBLED, f"twice: {change}")
            return
        self.seen.add(change.identity)
        last = self.last.get(change.partition, ((0, 0), -1))
        if change.identity < last:
            self.found(Kind.ORDER, f"out of order in its partition: {change} after {last}")
        self.last[change.partition] = change.identity
        self.pending[change.partition].append(change)

    def compare(self, checkpoint: dict) -> list[Problem]:
        """What was found wrong since the last comparison."""
        position = position_of(checkpoint)
        if position < self.checkpoint:
            self.found(Kind.ORDER, f"the checkpoint went back from {self.checkpoint} to {position}")
        if checkpoint["skip_rows"] != 0 and checkpoint["split"] is None:
            self.found(Kind.TORN, f"the checkpoint at {position} lies {checkpoint['skip_rows']} rows inside a transaction")
        self.checkpoint = position
        tables_of = defaultdict(set)
        for queue in self.pending.values():
            while queue and queue[0].position < position:
                change = queue.popleft()
                if self.apply(change):
                    tables_of[change.transaction].add(change.account[0])
        for transaction, tables in tables_of.items():
            if len(tables) != 2:
                self.found(Kind.TORN, f"before the checkpoint at {position}, {transaction} has rows of {tables} only")
        total = sum(balance for balance, _ in self.balances.values())
        if self.balances and total != self.constant:
            self.found(Kind.TORN, f"at the checkpoint {position} the sum is {total}, not {self.constant}")
        found, self.problems = self.problems, []
        return found

    def uncovered(self, newest: dict) -> list[Problem]:
        """Changes that were visible, but are not before a checkpoint read after them: rows travel with their own."""
        position = position_of(newest)
        changes = [change for queue in self.pending.values() for change in queue if change.position >= position]
        if not changes:
            return []
        text = f"{len(changes)} changes visible, but the newest checkpoint is {position}; one of them is {changes[0]}"
        return [Problem(Kind.TORN, text)]

    def apply(self, change: Change) -> bool:
        """False for one that was published before."""
        before = self.balances.get(change.account)
        version = before[1] if before else 0
        if change.after[1] <= version:
            self.found(Kind.DOUBLED, f"version {version} is followed by {change}")
            return False
        if change.after[1] > version + 1:
            self.found(Kind.LOST, f"version {version} is followed by {change}")
        elif change.before != before:
            self.found(Kind.WRONG, f"the row before was {before}, the event says {change.before}: {change}")
        self.balances[change.account] = change.after
        return True

    def found(self, kind: Kind, text: str) -> None:
        self.problems.append(Problem(kind, text))


def check_history(
    changes: Iterable[Change], final: dict[Account, State], start: dict[Account, State] | None = None
) -> list[Problem]:
    """What is wrong with all changes published between two contents of the tables. The changes are given in the order
    of each partition; without `start` the tables were empty. A change that comes again is judged once."""
    problems: list[Problem] = []
    once = []
    seen: dict[tuple[Position, int], Change] = {}
    for change in changes:
        if change.identity in seen:
            problems.append(Problem(Kind.DOUBLED, f"twice: {change} and {seen[change.identity]}"))
        elif start and change.account in start and change.after[1] <= start[change.account][1]:
            problems.append(Problem(Kind.DOUBLED, f"it was published before the start: {change}"))
        else:
            seen[change.identity] = change
            once.append(change)
    return problems + out_of_order(once) + torn(once) + against_the_tables(once, final, start or {})


def out_of_order(changes: list[Change]) -> list[Problem]:
    problems = []
    last: dict[tuple[str, int], tuple[Position, int]] = {}
    partitions: dict[Account, tuple[str, int]] = {}
    for change in changes:
        if change.identity < last.get(change.partition, ((0, 0), -1)):
            text = f"out of order in its partition: {change} after {last[change.partition]}"
            problems.append(Problem(Kind.ORDER, text))
        elif partitions.setdefault(change.account, change.partition) != change.partition:
            problems.append(Problem(Kind.ORDER, f"elsewhere before, in {partitions[change.account]}: {change}"))
        last[change.partition] = change.identity
    return problems


def torn(changes: list[Change]) -> list[Problem]:
    """Transfers that do not move as much out of one table as into the other. The opening of accounts moves nothing."""
    moved: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    openings = set()
    for change in changes:
        moved[change.transaction][change.account[0]] += change.after[0] - (change.before[0] if change.before else 0)
        if change.before is None:
            openings.add(change.transaction)
    return [
        Problem(Kind.TORN, f"not a whole transfer: {transaction} moved {dict(tables)}")
        for transaction, tables in moved.items()
        if len(tables) != 2 or (transaction not in openings and sum(tables.values()) != 0)
    ]


def against_the_tables(
    changes: list[Change], final: dict[Account, State], start: dict[Account, State]
) -> list[Problem]:
    """Each version of each account once, from the tables' first content to their last."""
    problems = []
    versions: dict[Account, dict[int, Change]] = defaultdict(dict)
    for change in changes:
        known, version = versions[change.account], change.after[1]
        if version in known:
            problems.append(Problem(Kind.DOUBLED, f"a version that was published before: {change}"))
        elif version > final.get(change.account, (0, 0))[1]:
            problems.append(Problem(Kind.WRONG, f"the table never had it, it ends with {final.get(change.account)}: {change}"))
        else:
            known[version] = change
    for account, end in final.items():
        before = start.get(account)
        for version in range((before[1] if before else 0) + 1, end[1] + 1):
            change = versions[account].get(version)
            if change is None:
                problems.append(Problem(Kind.LOST, f"version {version} of {account}"))
            elif is_known(before) and change.before != before:
                problems.append(Problem(Kind.WRONG, f"after {before}, balance and version: {change}, before it {change.before}"))
            before = change.after if change else (None, version)
        if before != end and is_known(before):
            problems.append(Problem(Kind.WRONG, f"{account} ends with {before}, the table has {end}"))
    return problems


def is_known(before: State | tuple[None, int] | None) -> bool:
    """False after a version that is lost: nothing published says what it was."""
    return before is None or before[0] is not None
