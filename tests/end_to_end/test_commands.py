"""`tail` and `offsets show` print what an independent reader sees; the probes and metrics answer."""

import json
import os
import pathlib
import select
import subprocess
import time
from typing import Any

import pytest

from harness.connector import binary, command_line, environment
from harness.reader import Event, read_state
from harness.task import Task

ROWS = 20


@pytest.fixture
def orders(task: Task) -> Task:
    task.sql("CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(20))")
    task.connector(kafka={"partitions": 2}).start(ready_within=30)
    for number in range(1, ROWS + 1):
        task.sql("INSERT INTO orders VALUES (%s, %s)", number, f"name {number}")
    task.read("orders", ROWS)
    return task


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def shown(line: dict[str, Any]) -> tuple:
    value = line["value"]
    return line["topic"], line["partition"], line["offset"], line["timestamp"], line["key"], value["op"], value["after"]


def expected(event: Event) -> tuple:
    return event.topic, event.partition, event.offset, event.timestamp_ms, event.key, event.value["op"], event.value["after"]


def test_tail_prints_what_an_independent_reader_reads(orders: Task):
    done = orders.connectors[0].command("tail", orders.topic("orders"), "--from", "beginning", "--no-follow")
    assert done.returncode == 0, done.stderr
    events = orders.read("orders", ROWS)
    assert sorted(map(shown, lines_of(done.stdout)), key=str) == sorted(map(expected, events), key=str)
    value = lines_of(done.stdout)[0]["value"]
    assert list(value) == list(events[0].value) and value["source"]["db"] == orders.database


def test_tail_without_topics_prints_all_topics_of_the_task(orders: Task):
    done = orders.connectors[0].command("tail", "--from", "beginning", "--no-follow")
    assert done.returncode == 0, done.stderr
    topics = [line["topic"] for line in lines_of(done.stdout)]
    assert topics.count(orders.topic("orders")) == ROWS
    assert topics.count(orders.transactions_topic) == ROWS


def test_tail_ends_after_the_number_of_events_asked_for(orders: Task):
    done = orders.connectors[0].command("tail", orders.topic("orders"), "--from", "beginning", "--count", "3")
    assert done.returncode == 0, done.stderr
    assert len(lines_of(done.stdout)) == 3


def test_tail_from_the_end_follows_what_is_new_and_ends_by_sigterm(orders: Task):
    command = command_line(orders.connectors[0].config_file, "tail", orders.topic("orders"), "--from", "end")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as tail:
        try:
            lines = insert_until_printed(orders, tail)
        finally:
            tail.terminate()
        assert tail.wait(5) == 0
    ids = [line["value"]["after"]["id"] for line in lines]
    assert min(ids) > ROWS and sorted(ids) == list(range(min(ids), max(ids) + 1))


def insert_until_printed(orders: Task, tail: subprocess.Popen) -> list[dict[str, Any]]:
    """Nothing says when tail has found the end, so rows are inserted until one is printed."""
    number, printed, deadline = ROWS, b"", time.monotonic() + 20
    while b"\n" not in printed:
        assert time.monotonic() < deadline, "tail prints nothing"
        number += 1
        orders.sql("INSERT INTO orders VALUES (%s, 'new')", number)
        if select.select([tail.stdout], [], [], 0.3)[0]:
            printed += os.read(tail.stdout.fileno(), 65536)
    return lines_of(printed.decode())


def test_offsets_show_prints_the_state_topic(orders: Task):
    connector = orders.connectors[0]
    connector.terminate()
    done = connector.command("offsets", "show")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    state = read_state(orders.stack, orders.name)
    for key, value in state.items():
        assert holds(printed, value), f"{list(key)} is not shown"


def holds(tree: Any, wanted: Any) -> bool:
    if tree == wanted:
        return True
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return any(holds(child, wanted) for child in children)


def test_offsets_show_leaves_a_running_connector_alone(orders: Task):
    done = orders.connectors[0].command("offsets", "show")
    assert done.returncode == 0 and json.loads(done.stdout)
    orders.sql("INSERT INTO orders VALUES (1000, 'later')")
    orders.read("orders", ROWS + 1)
    orders.connectors[0].check_running()


def test_probes_and_metrics_answer(orders: Task):
    connector = orders.connectors[0]
    assert connector.http_get("healthz")[0] == 200
    assert connector.http_get("readyz")[0] == 200
    status, text = connector.http_get("metrics")
    assert status == 200
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert names and all(name.startswith(("binlog_bridge_", "process_")) for name in names), names
    assert connector.output("out").read_bytes() == b"", "run prints on stdout"
    for line in connector.stderr().splitlines():
        json.loads(line)


def test_decode_prints_the_rows_of_a_binlog_file_without_any_server():
    golden = pathlib.Path(__file__).resolve().parents[1] / "golden"
    done = decode(golden / "numbers.binlog", golden / "texts.binlog")
    assert (done.returncode, done.stderr) == (0, "")
    expected = [json.loads(line) for name in ("numbers", "texts") for line in (golden / f"{name}.jsonl").read_text().splitlines()]
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{name: line[name] for name in wanted} for line, wanted in zip(printed, expected, strict=True)] == expected
    only = decode("--database", "texts", golden / "numbers.binlog", golden / "texts.binlog")
    assert {json.loads(line)["table"] for line in only.stdout.splitlines()} == {"texts.texts", "texts.binaries"}


def test_decode_says_what_is_wrong_with_a_file(tmp_path: pathlib.Path):
    whole = (pathlib.Path(__file__).resolve().parents[1] / "golden" / "numbers.binlog").read_bytes()
    damaged = whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]
    for content, words in ((b"not a binlog", "no binlog file"), (b"", "no binlog file"), (whole[:3000], "ends inside"), (damaged, "CRC32")):
        (tmp_path / "file").write_bytes(content)
        done = decode(tmp_path / "file")
        assert done.returncode == 1 and words in done.stderr and "panicked" not in done.stderr, done.stderr
    missing = decode(tmp_path / "missing")
    assert missing.returncode == 1 and "missing" in missing.stderr


def decode(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary(), "decode", *arguments], capture_output=True, text=True, timeout=30)
