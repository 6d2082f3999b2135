"""The README's first command, as a new user runs it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


# It measures how soon the first event can be read.
@pytest.mark.alone
def test_make_demo_prints_events_of_every_table_and_cleans_up():
    done = subprocess.run(
        ["make", "--no-print-directory", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    first = re.search(r"^200 events; the first was readable ([0-9.]+) s after", done.stdout, re.MULTILINE)
    assert first, done.stdout[-2000:]
    print(f"first event after {first.group(1)} s of at most 5")
    assert float(first.group(1)) < 5
    for table in ("customers", "orders", "order_lines", "products"):
        assert re.search(rf"^  demo\.binlog_bridge_demo\.{table}: c=", done.stdout, re.MULTILINE), table
    assert "database binlog_bridge_demo dropped" in done.stdout
    listed = subprocess.run([ROOT / "tests/stack/list"], capture_output=True, text=True, timeout=10, check=True)
    assert "demo-" not in listed.stdout, "the demo's servers are still there"
