"""What the server itself says about its binlog."""

import re
from dataclasses import dataclass

from .stack import Stack


@dataclass(frozen=True)
class BinlogEvent:
    kind: str
    position: int
    end: int
    server_id: int
    gtid: str | None  # of the transaction it is in


def events_of(stack: Stack, file: str) -> dict[int, BinlogEvent]:
    """The events of a file by their start position."""
    events, gtid = {}, None
    for _, position, kind, server_id, end, info in stack.sql(f"SHOW BINLOG EVENTS IN '{file}'"):
        if kind == "Gtid":
            gtid = re.search(r"'(.*)'", info)[1]
        events[position] = BinlogEvent(kind, position, end, server_id, gtid)
    return events
