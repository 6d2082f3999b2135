"""The table of faults: a line for each row, printed and, if a file is named, kept there."""

import pathlib
import statistics

from .ledger import Kind
from .scene import Row

KINDS = (Kind.LOST, Kind.DOUBLED, Kind.TORN, Kind.ORDER, Kind.WRONG)
HEAD = [
    "| fault | of | count | checks made | " + " | ".join(kind.value for kind in KINDS)
    + " | seconds to recover, median | most | planted, and found |",
    "|---|---|---:|---:|" + "---:|" * (len(KINDS) + 2) + "---|",
]


def line_of(row: Row, planted: str) -> str:
    recoveries = row.recoveries or [float("nan")]
    cells = [
        row.fault.name, ", ".join(map(str, row.fault.numbers)), row.count, row.checks,
        *(row.counts[kind] for kind in KINDS),
        f"{statistics.median(recoveries):.1f}", f"{max(recoveries):.1f}", planted,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def name_of(line: str) -> str:
    return line.split("|")[1].strip()


class TableFile:
    """Rows that are done, in the order of `names`. Those that it has already need not be run again."""

    def __init__(self, path: pathlib.Path, names: list[str]) -> None:
        self.path, self.names = path, names

    def lines(self) -> dict[str, str]:
        lines = self.path.read_text().splitlines()[len(HEAD) :] if self.path.exists() else []
        return {name_of(line): line for line in lines}

    def add(self, line: str) -> None:
        lines = {**self.lines(), name_of(line): line}
        self.path.write_text("\n".join([*HEAD, *(lines[name] for name in self.names if name in lines)]) + "\n")
