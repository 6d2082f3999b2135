"""What a part of the benchmark took, read from /proc, and the table of it."""

import datetime
import os
import pathlib
import re
import statistics
import subprocess
import time
from dataclasses import dataclass

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
RATIO_MAX = 2.5


@dataclass
class Figures:
    """One line of the table."""

    name: str
    rows: int
    seconds: float
    cpu: float
    broker_cpu: float
    mysqld_cpu: float
    peak_bytes: int
    kafka_bytes: int | None = None
    commits: int | None = None
    right: bool = True

    def per_second(self, amount: float) -> float:
        return amount / self.seconds if self.right else 0

    def per_million(self, amount: float) -> float:
        return amount / self.rows * 1e6


class Meter:
    """Measures a process and the two servers from now on."""

    def __init__(self, pid: int, servers: dict[str, int], rows: int) -> None:
        self.pids = {"self": pid, **servers}
        self.rows = rows
        self.before = {name: cpu_seconds(each) for name, each in self.pids.items()}
        # The peak begins anew; what the process holds by now is no part of it.
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        self.held = 0
        self.began = time.monotonic()

    def without_what_is_held(self) -> "Meter":
        self.held = memory_bytes(self.pids["self"], "VmRSS")
        return self

    def read(self, name: str) -> Figures:
        seconds = time.monotonic() - self.began
        cpu = {each: cpu_seconds(pid) - self.before[each] for each, pid in self.pids.items()}
        peak = memory_bytes(self.pids["self"], "VmHWM") - self.held
        return Figures(name, self.rows, seconds, cpu["self"], cpu["kafka"], cpu["mysql"], peak)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its threads that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int, name: str) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def table(parts: list[Figures], binlog_bytes: int) -> str:
    head = [
        "", "rows/s", "MB/s of binlog", "CPU s per million rows", "broker's", "mysqld's",
        "peak RSS, MiB", "Kafka bytes a row", "commits",
    ]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for part in parts:
        lines.append([
            part.name, f"{part.per_second(part.rows):,.0f}", f"{part.per_second(binlog_bytes) / 1e6:.1f}",
            f"{part.per_million(part.cpu):.2f}", f"{part.per_million(part.broker_cpu):.2f}",
            f"{part.per_million(part.mysqld_cpu):.2f}", f"{part.peak_bytes / 2**20:.0f}",
            "" if part.kafka_bytes is None else f"{part.kafka_bytes / part.rows:.0f}",
            "" if part.commits is None else f"{part.commits:.0f}",
        ])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def median(rounds: list[Figures]) -> Figures:
    """Each figure by itself is the median of the rounds; one wrong round makes all of it wrong."""
    right = all(each.right for each in rounds)
    numbers = {name: middle([getattr(each, name) for each in rounds]) for name in vars(rounds[0]) if name != "name"}
    return Figures(**{**numbers, "name": rounds[0].name, "right": right})


def middle(numbers: list[float | None]) -> float | None:
    return None if None in numbers else statistics.median(numbers)


def verdict(rounds: list[tuple[Figures, Figures]]) -> str:
    """Of connector and bare producer."""
    ratios = sorted(connector.cpu / bare.cpu for connector, bare in rounds)
    times = [connector.seconds / bare.seconds for connector, bare in rounds]
    ratio = statistics.median(ratios)
    holds = "holds" if ratio <= RATIO_MAX else "DOES NOT HOLD"
    return (
        f"The connector takes {ratio:.2f} times the CPU of the bare producer for the same rows ({ratios[0]:.2f} to "
        f"{ratios[-1]:.2f} in {len(ratios)} rounds; at most {RATIO_MAX}: {holds}) "
        f"and {statistics.median(times):.2f} times its time."
    )


def dumps(rounds: list[tuple[Figures, Figures]]) -> str:
    """Of our dump and that of mysql_async."""
    cpu = sorted(ours.cpu / theirs.cpu for ours, theirs in rounds)
    memory = statistics.median(ours.peak_bytes / theirs.peak_bytes for ours, theirs in rounds)
    ratio = statistics.median(cpu)
    holds = "holds" if ratio <= 1 and memory < 1 else "DOES NOT HOLD"
    return (
        f"The raw dump takes {ratio:.2f} times the CPU of that of mysql_async ({cpu[0]:.2f} to {cpu[-1]:.2f}) and {memory:.2f} "
        f"times its memory (at most 1 and below 1: {holds})."
    )


def change(rounds: list[tuple[Figures, Figures]]) -> str:
    """Of connector and connector before."""
    cpu = sorted(now.cpu / before.cpu for now, before in rounds)
    times = sorted(now.seconds / before.seconds for now, before in rounds)
    return (
        f"It takes {statistics.median(cpu):.2f} times the CPU of the connector before ({cpu[0]:.2f} to {cpu[-1]:.2f}) "
        f"and {statistics.median(times):.2f} times its time ({times[0]:.2f} to {times[-1]:.2f})."
    )


def machine() -> str:
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = model[1] if model else "unknown processor"
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{cores} cores ({name}), {memory:.0f} GiB, load before the run {load:.1f}"


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/bench/RESULTS.md").strip()
    return git("rev-parse", "--short=12", "HEAD").strip() + (", with changes" if changed else "")


def today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
