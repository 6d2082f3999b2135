"""The bulk binlog: many rows in multi-row inserts, made once and kept as a copy of the server's data directory."""

import hashlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass

from harness.stack import Stack, parse_env

DATABASE, TABLE = "bench", "orders"
ROWS_PER_INSERT = 1000
# Nothing here has to survive a crash.
MYSQLD_OPTIONS = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0")

CREATE = f"""
CREATE TABLE {DATABASE}.{TABLE} (
  id BIGINT NOT NULL PRIMARY KEY,
  customer_id INT NOT NULL,
  quantity INT UNSIGNED NOT NULL,
  price DECIMAL(12, 2) NOT NULL,
  discount DECIMAL(7, 2),
  status VARCHAR(16) NOT NULL,
  customer VARCHAR(64) NOT NULL,
  note VARCHAR(255),
  ordered_at DATETIME(3) NOT NULL,
  changed_at TIMESTAMP(6) NOT NULL
) DEFAULT CHARACTER SET utf8mb4
"""

# %s is the number of rows before; the table of numbers holds 1 to 1000.
INSERT = f"""
INSERT INTO {DATABASE}.{TABLE}
SELECT k, k * 7919 MOD 100003, 1 + k MOD 12, (k * 31337 MOD 1000000) / 100,
  IF(k MOD 4 = 0, (k MOD 5000 - 2500) / 100, NULL),
  ELT(1 + k MOD 5, 'new', 'paid', 'packed', 'shipped', 'delivered'),
  CONCAT(ELT(1 + k MOD 7, 'anna', 'björn', 'chloé', 'dora', 'emil', 'frida', 'gustav'), '.',
    k * 7919 MOD 100003, '@example.org'),
  IF(k MOD 8 = 0, NULL, CONCAT('leave it with the neighbours next door if nobody opens, ',
    'and ring twice before that, please; reference ', MD5(k), '.')),
  '2026-01-01' + INTERVAL k * 37000 MICROSECOND, '2026-01-01' + INTERVAL k * 37123 MICROSECOND
FROM (SELECT %s + number AS k FROM {DATABASE}.numbers ORDER BY number) AS numbered
"""

# Each column as the checker writes it: numbers unscaled, times in microseconds, no value as a dash.
CHECKSUM = f"""
SELECT COUNT(*), SUM(id), SUM(CRC32(CONCAT_WS('|', id, customer_id, quantity, CAST(price * 100 AS SIGNED),
  IFNULL(CAST(discount * 100 AS SIGNED), '-'), status, customer, IFNULL(note, '-'),
  TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ordered_at), CAST(UNIX_TIMESTAMP(changed_at) * 1000000 AS SIGNED))))
FROM {DATABASE}.{TABLE}
"""


@dataclass(frozen=True)
class Bulk:
    """Which file holds the rows, where it ends, and what the server says of the rows in it."""

    file: str
    end: int
    rows: int
    keys: int
    checksums: int


def load(stack: Stack, rows: int) -> Bulk:
    """Lets the stack's server go on from a data directory that holds the binlog."""
    made_by = hashlib.sha256((CREATE + INSERT + CHECKSUM).encode()).hexdigest()[:12]
    servers = stack.mysql_data.parent
    kept = servers.parents[1] / "templates" / f"bulk-{rows}-{made_by}"
    if not kept.exists():
        print(f"making {rows:,} rows, once", file=sys.stderr)
        bulk = fill(stack, rows)
        stack.stop("mysql")
        new = kept.with_suffix(f".{stack.name}")
        shutil.copytree(stack.mysql_data, new / "mysql")
        (new / "bulk.json").write_text(json.dumps(asdict(bulk)))
        new.rename(kept)
    else:
        stack.stop("mysql")
    shutil.rmtree(stack.mysql_data)
    shutil.copytree(kept / "mysql", stack.mysql_data)
    stack.start("mysql")
    stack.env = parse_env((servers / "env").read_text())
    return Bulk(**json.loads((kept / "bulk.json").read_text()))


def fill(stack: Stack, rows: int) -> Bulk:
    assert rows % ROWS_PER_INSERT == 0, f"the rows are inserted {ROWS_PER_INSERT} at a time"
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        cursor.execute(CREATE)
        cursor.execute(f"CREATE TABLE {DATABASE}.numbers (number INT PRIMARY KEY)")
        cursor.executemany(f"INSERT INTO {DATABASE}.numbers VALUES (%s)", [(n + 1,) for n in range(ROWS_PER_INSERT)])
        cursor.execute("FLUSH BINARY LOGS")
        for before in range(0, rows, ROWS_PER_INSERT):
            cursor.execute(INSERT, (before,))
        file, end = stack.binlog_end()
        cursor.execute("FLUSH BINARY LOGS")
        cursor.execute(CHECKSUM)
        bulk = Bulk(file, end, *(int(number) for number in cursor.fetchone()))
        # The binlog is all that is wanted of the rows.
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute(f"TRUNCATE TABLE {DATABASE}.{TABLE}")
    assert bulk.rows == rows, f"{bulk.rows} rows were inserted instead of {rows}"
    return bulk
