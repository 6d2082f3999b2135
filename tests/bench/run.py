"""Runs the benchmark: raw dumps, connector and bare producer, one after another on the same servers."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))

from confluent_kafka.admin import NewTopic
from figures import Figures, Meter, change, commit, dumps, machine, median, table, today, verdict
from harness.connector import Connector, binary, free_address
from harness.reader import read_checkpoint
from harness.stack import PASSWORD, USER, Stack
from harness.wait import wait_until

import bulk

ROWS = 2_000_000
RESULTS = pathlib.Path(__file__).with_name("RESULTS.md")
ROUNDS = 3
WITHIN_SECONDS = 900


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    other = f"other than {ROWS} for a trial: the results are not kept"
    parser.add_argument("--rows", type=int, default=ROWS, help=other)
    parser.add_argument("--before", type=pathlib.Path, help="an older connector, to be compared with in the same rounds")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds that count, if not {ROUNDS}")
    arguments = parser.parse_args()
    before = machine()
    stack = Stack(f"bench-{os.getpid()}")
    try:
        stack.up(*bulk.MYSQLD_OPTIONS)
        content = bulk.load(stack, arguments.rows)
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(stack, content, pathlib.Path(directory), arguments.before)
            return run(bench, before, arguments.rounds, keep=arguments.rows == ROWS)
    finally:
        stack.down()


def run(bench: "Bench", before: str, count: int, keep: bool) -> int:
    bench.round(0)  # the servers' programs become fast only after some work
    rounds = [bench.round(number) for number in range(1, count + 1)]
    parts = [median(list(each)) for each in zip(*rounds)]
    text = table(parts, bench.bulk.end)
    wrong = sorted(bench.wrong)
    last = f"WRONG, and so no figures: {', '.join(wrong)}." if wrong else verdict([each[1:3] for each in rounds])
    if not wrong:
        last += "\n\n" + dumps([(each[0], each[-1]) for each in rounds])
    if bench.older and not wrong:
        last += "\n\n" + change([(each[1], each[3]) for each in rounds])
    print(f"{text}\n\n{last}")
    if keep:
        RESULTS.write_text(report(bench, before, text, last))
    return 1 if wrong else 0


def report(bench: "Bench", before: str, text: str, last: str) -> str:
    return (
        "# Results of `make bench`\n\n"
        f"{today()}, commit {commit()}.\n{before}.\n"
        f"{bench.bulk.rows:,} rows in inserts of {bulk.ROWS_PER_INSERT:,}, "
        f"{bench.bulk.end / bench.bulk.rows:.0f} bytes of binlog a row.\n"
        f"What the lines mean stands in [README.md](README.md).\n\n{text}\n\n{last}\n"
    )


class Bench:
    """The servers, the binlog, and the parts that are compared."""

    def __init__(self, stack: Stack, content: bulk.Bulk, directory: pathlib.Path, older: pathlib.Path | None) -> None:
        self.stack, self.bulk, self.directory, self.older = stack, content, directory, older
        self.wrong: set[str] = set()
        self.begin(0)

    def begin(self, number: int | str) -> None:
        """Each round has topics of its own."""
        self.task, self.bare_topic = f"bench-{number}", f"bare-{number}"
        self.topic = f"{self.task}.{bulk.DATABASE}.{bulk.TABLE}"
        self.bytes_per_commit = 0

    def round(self, number: int) -> list[Figures]:
        self.begin(number)
        older = []
        # Whoever is first has the broker's caches as the last round left them: each is that in every other round.
        if self.older and number % 2:
            older = [self.connector_of_before(number)]
        figures = [self.dump(), self.connector(), self.bare_producer()]
        if self.older and not number % 2:
            older = [self.connector_of_before(number)]
        figures += [*older, self.dump("--mysql-async")]
        self.wrong.update(f"{each.name} in round {number}" for each in figures if not each.right)
        return figures

    def meter(self, pid: int) -> Meter:
        servers = {name: int(self.stack.env[f"{name.upper()}_PID"]) for name in ("kafka", "mysql")}
        return Meter(pid, servers, self.bulk.rows)

    def dump(self, *client: str) -> Figures:
        """The bytes of the binlog are all there, or the figure is wrong."""
        with Helper(
            "dump", "--port", self.stack.mysql_port, "--user", USER, "--password", PASSWORD,
            "--file", self.bulk.file, "--end", self.bulk.end, *client,
        ) as helper:
            helper.line()
            meter = self.meter(helper.process.pid)
            helper.go()
            done = helper.line()
            figures = meter.read("dump of mysql_async" if client else "raw dump")
        figures.right = done["bytes"] >= self.bulk.end
        return figures

    def connector_of_before(self, number: int) -> Figures:
        self.begin(f"{number}-before")
        figures = self.connector(self.older, "connector before")
        self.begin(number)
        return figures

    def connector(self, program: pathlib.Path | None = None, name: str = "connector") -> Figures:
        """From the start of the process to the commit of the last row."""
        connector = Connector(self.directory, self.config(), self.task).start(program=program)
        try:
            meter = self.meter(connector.process.pid)
            wait_until(lambda: self.rows_encoded(connector) >= self.bulk.rows, connector.tail, WITHIN_SECONDS, 0.1)
            wait_until(self.is_committed, "the last checkpoint", 60, 0.02)
            figures = meter.read(name)
            self.add_commits(figures, connector)
            connector.terminate()
        finally:
            connector.close()
        return self.checked(figures, self.topic)

    def config(self) -> dict[str, Any]:
        """The defaults, but for what has none."""
        return {
            "task": self.task,
            "source": {
                "host": "127.0.0.1", "port": self.stack.mysql_port, "user": USER, "password": PASSWORD,
                "tls": {"mode": "off"}, "start": "earliest",
            },
            "select": {"tables": [f"{bulk.DATABASE}.{bulk.TABLE}"]},
            "kafka": {"bootstrap_servers": self.stack.kafka},
            "registry": {"url": self.stack.registry},
            "http": {"health": free_address()},
        }

    def rows_encoded(self, connector: Connector) -> float:
        connector.check_running()
        return metric(connector.http_get("metrics")[1], 'rows_encoded_total{operation="create"}')

    def is_committed(self) -> bool:
        checkpoint = read_checkpoint(self.stack, self.task)
        if checkpoint is None:
            return False
        position = checkpoint["position"]
        at = position.get("at", position)
        return (at["file"], at["offset"]) >= (self.bulk.file, self.bulk.end)

    def add_commits(self, figures: Figures, connector: Connector) -> None:
        metrics = connector.http_get("metrics")[1]
        figures.commits = int(metric(metrics, "commits_total"))
        self.bytes_per_commit = int(metric(metrics, "published_bytes_total") / figures.commits)
        for name in ("unknown_commits_total", "restarts_total"):
            if count := metric(metrics, name):
                print(f"the connector's {name}: {count:.0f}", file=sys.stderr)

    def bare_producer(self) -> Figures:
        """The records are in its memory before the measurement begins, and not counted."""
        made = self.stack.admin.create_topics([NewTopic(self.bare_topic, 1, 1)])
        made[self.bare_topic].result(30)
        with Helper(
            "produce", "--bootstrap", self.stack.kafka, "--from", self.topic, "--to", self.bare_topic,
            "--transaction-bytes", self.bytes_per_commit,
        ) as helper:
            helper.line()
            meter = self.meter(helper.process.pid).without_what_is_held()
            helper.go()
            done = helper.line()
            figures = meter.read("bare producer")
        figures.commits = done["commits"]
        return self.checked(figures, self.bare_topic)

    def checked(self, figures: Figures, topic: str) -> Figures:
        """A fast wrong answer counts as zero."""
        schemas = []
        for kind in ("key", "value"):
            schema = self.stack.registry_get(f"subjects/{self.topic}-{kind}/versions/latest")["schema"]
            schemas += [f"--{kind}-schema", self.directory / kind]
            (self.directory / kind).write_text(schema)
        with Helper("check", "--bootstrap", self.stack.kafka, "--topic", topic, *schemas) as helper:
            found = helper.line()
        wanted = {"rows": self.bulk.rows, "keys": self.bulk.keys, "checksums": self.bulk.checksums, "out_of_order": 0}
        figures.right = found == wanted
        if not figures.right:
            print(f"{topic} holds {found} instead of {wanted}", file=sys.stderr)
        log = self.stack.mysql_data.parent / "kafka" / f"{topic}-0"
        figures.kafka_bytes = sum(segment.stat().st_size for segment in log.glob("*.log"))
        return figures


class Helper:
    """A process of the benchmark's own program, which says each line as JSON and waits for one."""

    def __init__(self, *arguments: Any) -> None:
        program = binary().with_name("binlog-bridge-bench")
        self.process = subprocess.Popen(
            [program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Helper":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()  # whoever waits for a line goes on
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def line(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, f"{self.process.args[1]} ended with {self.process.wait(10)}; what it says stands above"
        return json.loads(line)

    def go(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def metric(text: str, name: str) -> float:
    found = re.search(rf"^binlog_bridge_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
