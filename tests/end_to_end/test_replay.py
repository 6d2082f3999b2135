"""An independent client reads every topic of a varied workload: rows, source blocks, partitions, settings, subjects."""

import datetime
import json
import random
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka.admin import ConfigResource, ResourceType

from harness.binlog import events_of
from harness.connector import Connector
from harness.partitioner import partition_of
from harness.reader import Event, read_all, read_state
from harness.replay import check_equals_select
from harness.task import ROW_CANARY, Task

SEED = 20240229
RANDOM_STATEMENTS = 150

TABLES = {
    "numbers": """(id INT PRIMARY KEY, flag BOOL, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, su SMALLINT UNSIGNED,
        m MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, iu INT UNSIGNED, b BIGINT, bu BIGINT UNSIGNED,
        n TINYINT NOT NULL, nu BIGINT UNSIGNED NOT NULL)""",
    "decimals": """(id BIGINT UNSIGNED PRIMARY KEY, big DECIMAL(65,30), whole DECIMAL(65,0), small DECIMAL(1,0),
        fraction DECIMAL(30,30), nine DECIMAL(9,9), eighteen DECIMAL(18,9) NOT NULL, money DECIMAL(10,2) UNSIGNED)""",
    "texts": """(id VARCHAR(40) PRIMARY KEY, c CHAR(10), c_long CHAR(255), v VARCHAR(50), v_long VARCHAR(3000) NOT NULL,
        tiny TINYTEXT, plain TEXT, medium MEDIUMTEXT, longest LONGTEXT)""",
    "times": """(id INT UNSIGNED PRIMARY KEY, d0 DATETIME, d1 DATETIME(1), d3 DATETIME(3), d6 DATETIME(6) NOT NULL,
        t0 TIMESTAMP NULL, t2 TIMESTAMP(2) NULL, t6 TIMESTAMP(6) NOT NULL)""",
    "composite": """(note VARCHAR(20), b INT NOT NULL, a BIGINT UNSIGNED NOT NULL, amount DECIMAL(12,3) NOT NULL,
        PRIMARY KEY (a, amount, b))""",
    "keyless": "(a INT, b VARCHAR(20))",
    "orders": "(id BIGINT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(30) NOT NULL, total DECIMAL(12,2), placed DATETIME(6))",
    "order_lines": "(order_id BIGINT, line INT, item VARCHAR(50), quantity SMALLINT UNSIGNED, PRIMARY KEY (order_id, line))",
}
PARTITIONS = {"orders": 3, "order_lines": 5, "numbers": 2, "texts": 7, "composite": 4}


@dataclass
class Recorded:
    """What the workload left behind, read once and looked at by all tests of this module."""

    task: Task
    began: float
    ended: float
    thread: int
    events: dict[str, list[Event]] = field(default_factory=dict)
    ends: list[Event] = field(default_factory=list)

    def rows(self) -> list[Event]:
        return [event for events in self.events.values() for event in events]


@pytest.fixture(scope="module")
def recorded(stack, tmp_path_factory) -> Recorded:
    task = Task(stack, "replay-all", "replay", tmp_path_factory.mktemp("replay"))
    for table, definition in TABLES.items():
        task.sql(f"CREATE TABLE {table} {definition}")
    overrides = {f"replay.{table}": {"partitions": count} for table, count in PARTITIONS.items()}
    connector = task.connector(kafka={"tables": overrides})
    try:
        connector.start(ready_within=30)
        stack.sql("FLUSH BINARY LOGS")  # so that the binlog to compare with is ours alone
        began = time.time()
        with task.connect() as connection, connection.cursor() as cursor:
            thread = connection.thread_id()
            for statement in statements():
                cursor.execute(*statement)
        recorded = Recorded(task, began, time.time(), thread)
        read_back(recorded, connector)
        connector.terminate()
        assert ROW_CANARY not in connector.everything_printed()
        assert "panicked" not in connector.everything_printed()
    finally:
        connector.close()
    return recorded


def read_back(recorded: Recorded, connector: Connector) -> None:
    """The last statement is an insert that everything before it precedes."""
    task = recorded.task
    with task.follower(*TABLES) as follower:
        def last_row_read() -> bool:
            connector.check_running()
            rows = (event.value["after"] or {} for event in follower.of(task.topic("orders")))
            return any(row.get("customer") == "last" for row in rows)

        follower.until(last_row_read, "the row inserted last", 60)
        follower.drain()
        recorded.events = {table: follower.of(task.topic(table)) for table in TABLES}
    recorded.ends = read_all(task.stack, task.transactions_topic)


def statements():
    yield from ((s,) for s in number_statements())
    yield from ((s,) for s in decimal_statements())
    yield from text_statements()
    yield from ((s,) for s in time_statements())
    yield from ((s,) for s in key_statements())
    yield from random_statements(random.Random(SEED))
    yield ("INSERT INTO orders (customer) VALUES ('last')",)


def number_statements():
    columns = {"t": 8, "s": 16, "m": 24, "i": 32, "b": 64}
    lowest = [f"{-(2 ** (bits - 1))}, 0" for bits in columns.values()]
    highest = [f"{2 ** (bits - 1) - 1}, {2 ** bits - 1}" for bits in columns.values()]
    middle = [f"-1, {2 ** (bits - 1)}" for bits in columns.values()]
    yield (
        f"INSERT INTO numbers VALUES (-2147483648, 0, {', '.join(lowest)}, -128, 0), "
        f"(2147483647, 1, {', '.join(highest)}, 127, 18446744073709551615), "
        f"(0, NULL, {', '.join(['NULL'] * 10)}, 0, 9223372036854775808), (1, 1, {', '.join(middle)}, -1, 1)"
    )
    yield "UPDATE numbers SET t = NULL, bu = NULL, i = 5 WHERE id = 2147483647"
    yield "UPDATE numbers SET t = 1, bu = 255, b = 256 WHERE id = 0"
    yield "DELETE FROM numbers WHERE id = 1"


def decimal_statements():
    big, whole = "9" * 35 + "." + "9" * 30, "9" * 65
    yield (
        f"INSERT INTO decimals VALUES (0, {big}, {whole}, 9, 0.{'9' * 30}, 0.999999999, 999999999.999999999, 99999999.99), "
        f"(18446744073709551615, -{big}, -{whole}, -9, -0.{'9' * 30}, -0.999999999, -999999999.999999999, 0), "
        f"(1, 0, 0, 0, 0, 0, 0, 0), (2, -0.{'0' * 29}1, -1, -1, -0.{'0' * 29}1, -0.000000001, -0.5, 0.01), "
        "(3, NULL, NULL, NULL, NULL, NULL, 128, NULL), (4, -128, -128, 1, 0.5, 0.1, -128.000000001, 1.28), "
        "(5, 255.5, 32768, 2, 0.25, 0.125, 256, 655.36)"
    )
    yield "UPDATE decimals SET big = -big, money = NULL WHERE id < 5"
    yield "DELETE FROM decimals WHERE id = 3"


def text_statements():
    insert = "INSERT INTO texts VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    four_bytes = "\U0001f980\U00010348\U0010ffff"
    yield insert, ("", "", "", "", "", "", "", "", "")
    yield insert, ("nulls", None, None, None, "not null", None, None, None, None)
    yield insert, (four_bytes, four_bytes, four_bytes * 85, four_bytes, four_bytes * 1000, four_bytes * 21,
                   four_bytes * 5461, four_bytes * 7000, four_bytes * 30000)
    yield insert, ("control \x00\x01\n\"'\\", "tail  ", "\x7f", "\t ", " \x00", "\r\n", "ÿ€", "日本語", ROW_CANARY)
    yield insert, ("lengths", "a" * 10, "b" * 255, "c" * 50, "d" * 3000, "e" * 255, "f" * 65535, "g" * 70000, "h" * 200000)
    yield insert, ("a" * 40, "é", "ß" * 128, "x" * 49, "y" * 256, "z" * 254, "w" * 256, "v" * 65536, "u")
    yield "UPDATE texts SET v = %s, tiny = NULL, plain = '' WHERE id = %s", (ROW_CANARY, four_bytes)
    yield "DELETE FROM texts WHERE id = ''", None


def time_statements():
    yield (
        "INSERT INTO times VALUES "
        "(0, '1000-01-01', '1000-01-01 00:00:00.1', '1969-12-31 23:59:59.999', '1000-01-01 00:00:00.000001', "
        " '1970-01-01 00:00:01', '1970-01-01 00:00:01.01', '1970-01-01 00:00:01.000001'), "
        "(4294967295, '9999-12-31 23:59:59', '9999-12-31 23:59:59.9', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999', "
        " '2038-01-19 03:14:07', '2038-01-19 03:14:07.99', '2038-01-19 03:14:07.999999'), "
        "(1, NULL, NULL, NULL, '2024-02-29 12:34:56.789012', NULL, NULL, '2024-02-29 12:34:56.789012'), "
        "(2, '1970-01-01', '1970-01-01', '1970-01-01', '1970-01-01', '2000-01-01', '2000-01-01', '2000-01-01')"
    )
    yield (
        "INSERT INTO times VALUES (10, '0000-00-00', '2024-00-15', '2024-01-00', '0000-00-00', "
        "'0000-00-00', '0000-00-00', '0000-00-00')"
    )
    yield "UPDATE times SET d0 = '2024-06-01 08:00:00', t6 = '2024-06-01' WHERE id = 10"
    yield "UPDATE times SET d6 = '0000-00-00' WHERE id = 2"
    # TIMESTAMP is a moment: written in another zone, it is published in UTC.
    yield "SET time_zone = '+05:30'"
    yield "INSERT INTO times (id, d6, t0, t6) VALUES (20, '2024-01-01 00:00:00', '2024-01-01 00:00:00', '2024-01-01')"
    yield "SET time_zone = '+00:00'"


def key_statements():
    yield (
        "INSERT INTO composite VALUES ('one', -1, 18446744073709551615, -0.001), ('two', 2, 0, 999999999.999), "
        "(NULL, 3, 7, 0), ('four', 2147483647, 7, 1)"
    )
    yield "UPDATE composite SET b = b + 1 WHERE b < 100"
    yield "UPDATE composite SET note = 'same key' WHERE a = 7"
    yield "UPDATE composite SET a = 8, note = 'other key' WHERE a = 7 AND b = 4"
    yield "DELETE FROM composite WHERE a = 0"
    yield "INSERT INTO keyless VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL), (2, '')"
    yield "UPDATE keyless SET b = 'changed' WHERE a = 1 LIMIT 1"
    yield "DELETE FROM keyless WHERE a IS NULL"
    yield "INSERT INTO orders (id, customer) VALUES (900001, 'moves')"
    yield "UPDATE orders SET id = 900002 WHERE id = 900001"
    yield "UPDATE orders SET id = id + 1, customer = 'moved again' WHERE id = 900002"


def random_statements(chance: random.Random):
    """Orders with lines in transactions of several statements, some rolled back, over several tables at once."""
    for number in range(1, RANDOM_STATEMENTS + 1):
        yield ("BEGIN",)
        yield "INSERT INTO orders VALUES (%s, %s, %s, NOW(6))", (number, f"customer {number % 17}", number / 4)
        rows = ", ".join(f"({number}, {line}, 'item {chance.randint(1, 99)}', {line})" for line in range(chance.randint(1, 6)))
        yield (f"INSERT INTO order_lines VALUES {rows}",)
        if chance.random() < 0.2:
            yield ("SAVEPOINT here",)
            yield "DELETE FROM order_lines WHERE order_id < %s", (number,)
            yield ("ROLLBACK TO SAVEPOINT here",)
        if chance.random() < 0.4:
            yield (
                "UPDATE orders o JOIN order_lines l ON l.order_id = o.id SET o.total = o.total + 1, l.quantity = l.quantity + 1 "
                "WHERE o.id BETWEEN %s AND %s", (number - 8, number - 2),
            )
        if chance.random() < 0.2:
            yield (
                "DELETE o, l FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.id = %s", (chance.randint(1, number),)
            )
        if chance.random() < 0.2:
            yield "INSERT INTO keyless VALUES (%s, 'random'), (%s, NULL)", (chance.randint(1, 5), chance.randint(1, 5))
        if chance.random() < 0.2:
            yield "REPLACE INTO orders VALUES (%s, 'replaced', 1, NULL)", (chance.randint(1, number),)
        if chance.random() < 0.2:
            yield (
                "INSERT INTO orders VALUES (%s, 'upsert', 2, NULL) ON DUPLICATE KEY UPDATE total = total + 2",
                (chance.randint(1, number),),
            )
        yield ("ROLLBACK",) if chance.random() < 0.15 else ("COMMIT",)


@pytest.mark.parametrize("table", TABLES)
def test_the_replayed_state_equals_select(recorded: Recorded, table: str):
    rows = check_equals_select(recorded.task.stack, f"replay.{table}", recorded.events[table], keyed=table != "keyless")
    assert rows > 0


def test_fault_51_a_changed_primary_key_is_a_delete_of_the_old_and_a_create_of_the_new_key(recorded: Recorded):
    ops = [(e.value["op"], e.key["id"]) for e in recorded.events["orders"] if 900000 < e.key["id"] < 900004]
    assert Counter(ops) == Counter([("c", 900001), ("d", 900001), ("c", 900002), ("d", 900002), ("c", 900003)])


def test_there_are_no_tombstones(recorded: Recorded):
    assert [event for event in recorded.rows() if event.value_bytes is None] == []


def test_zero_dates_are_null_and_named(recorded: Recorded):
    by_id = defaultdict(list)
    for event in recorded.events["times"]:
        by_id[event.key["id"]].append(event.value)
    created, updated = by_id[10]
    every = ["d0", "d1", "d3", "d6", "t0", "t2", "t6"]
    assert [created["after"][name] for name in every] == [None] * 7
    assert sorted(created["source"]["invalid_after"]) == every and created["source"]["invalid_before"] == []
    assert sorted(updated["source"]["invalid_before"]) == every
    assert sorted(updated["source"]["invalid_after"]) == ["d1", "d3", "d6", "t0", "t2"]
    assert updated["after"]["d0"] == datetime.datetime(2024, 6, 1, 8)
    others = [v["source"] for key, values in by_id.items() if key not in (10, 2) for v in values]
    assert all(source["invalid_before"] == source["invalid_after"] == [] for source in others)
    assert by_id[2][1]["source"]["invalid_after"] == ["d6"]


def test_fault_66_a_timestamp_is_published_in_utc(recorded: Recorded):
    after = next(e.value["after"] for e in recorded.events["times"] if e.key["id"] == 20)
    assert after["t0"] == datetime.datetime(2023, 12, 31, 18, 30, tzinfo=datetime.timezone.utc)
    assert after["d6"] == datetime.datetime(2024, 1, 1)


def test_the_fields_of_an_event_stand_in_the_order_of_the_contract(recorded: Recorded):
    value = recorded.events["orders"][0].value
    assert list(value) == ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"]
    assert list(value["source"]) == [
        "version", "connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us", "ts_ns", "table", "server_id",
        "gtid", "file", "pos", "row", "thread", "query", "unset_before", "unset_after", "invalid_before", "invalid_after",
    ]


def test_the_constant_fields_of_source_are_those_of_the_contract(recorded: Recorded):
    server_id = recorded.task.stack.variable("server_id")
    for table, events in recorded.events.items():
        for source in (event.value["source"] for event in events):
            assert source["version"] == "1"
            assert source["connector"] == "mysql"
            assert source["name"] == "replay-all"
            assert source["snapshot"] == "false"
            assert (source["db"], source["table"]) == ("replay", table)
            assert source["sequence"] is None
            assert source["query"] is None
            assert source["server_id"] == server_id
            assert source["thread"] == recorded.thread
            assert source["unset_before"] == source["unset_after"] == []


def test_source_times_are_the_commit_time(recorded: Recorded):
    for event in recorded.rows():
        source, value = event.value["source"], event.value
        assert recorded.began - 1 <= source["ts_us"] / 1e6 <= recorded.ended + 1
        assert source["ts_ms"] == source["ts_us"] // 1000 and source["ts_ns"] == source["ts_us"] * 1000
        assert (value["ts_ms"], value["ts_us"], value["ts_ns"]) == (source["ts_ms"], source["ts_us"], source["ts_ns"])
    assert len({event.value["source"]["ts_us"] % 1_000_000 for event in recorded.rows()}) > 10, "no microseconds in ts_us"


def test_source_positions_are_those_of_the_servers_rows_events(recorded: Recorded):
    files = {}
    kinds = {"c": {"Write_rows", "Update_rows"}, "u": {"Update_rows"}, "d": {"Delete_rows", "Update_rows"}}
    rows_seen = defaultdict(set)
    for event in recorded.rows():
        source = event.value["source"]
        events = files.setdefault(source["file"], None) or events_of(recorded.task.stack, source["file"])
        files[source["file"]] = events
        there = events.get(source["pos"])
        assert there is not None, f"no event of the binlog starts at {source['file']}:{source['pos']}"
        assert there.kind in kinds[event.value["op"]], f"{event.value['op']} from a {there.kind} event"
        assert there.gtid == source["gtid"]
        assert there.server_id == source["server_id"]
        rows_seen[source["file"], source["pos"], source["table"]].add(source["row"])
    for place, rows in rows_seen.items():
        assert rows == set(range(len(rows))), f"the rows of {place} are numbered {sorted(rows)}"


def test_every_row_of_the_binlog_is_published_once(recorded: Recorded):
    identities = Counter(
        (s["file"], s["pos"], s["row"], event.value["op"], str(event.key)) for event in recorded.rows() for s in [event.value["source"]]
    )
    assert [identity for identity, count in identities.items() if count > 1] == []


def test_rows_stand_in_binlog_order_in_every_partition(recorded: Recorded):
    last = {}
    for event in recorded.rows():
        source, at = event.value["source"], (event.topic, event.partition)
        identity = (source["file"], source["pos"], source["row"])
        assert identity >= last.get(at, ("", 0, 0)), f"{identity} stands after {last[at]} in {at}"
        last[at] = identity


def test_keys_decide_the_partition_by_murmur2_without_the_schema_id(recorded: Recorded):
    for table, events in recorded.events.items():
        count = PARTITIONS.get(table, 1)
        assert recorded.task.stack.partitions(recorded.task.topic(table)) == list(range(count))
        for event in events:
            assert event.partition == partition_of(event.key_bytes, count), f"{event.key} of {table}"
    assert {event.partition for event in recorded.events["orders"]} == {0, 1, 2}


def test_the_key_has_the_primary_keys_columns_in_its_order(recorded: Recorded):
    assert list(recorded.events["composite"][0].key) == ["a", "amount", "b"]
    assert all(event.key is None for event in recorded.events["keyless"])


def test_the_numbers_in_the_transaction_block_count_from_one_without_gap(recorded: Recorded):
    orders, of_table = defaultdict(list), defaultdict(list)
    for event in recorded.rows():
        block = event.value["transaction"]
        assert block["id"] == event.value["source"]["gtid"]
        orders[block["id"]].append(block["total_order"])
        of_table[block["id"], event.value["source"]["table"]].append(block["data_collection_order"])
    for where, numbers in [*orders.items(), *of_table.items()]:
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), f"{where}: {sorted(numbers)}"


def test_each_transaction_has_one_end_record_that_counts_its_events(recorded: Recorded):
    counted = defaultdict(Counter)
    for event in recorded.rows():
        counted[event.value["transaction"]["id"]][f"replay.{event.value['source']['table']}"] += 1
    ends = {event.value["id"]: event for event in recorded.ends if event.value["status"] == "END"}
    assert len(ends) == len(recorded.ends), "something else than one END for each transaction"
    assert ends.keys() == counted.keys()
    binlog = {file: events_of(recorded.task.stack, file) for file in {e.value["file"] for e in recorded.ends}}
    for identity, event in ends.items():
        value = event.value
        assert event.key == {"id": identity} and value["gtid"] == identity
        assert value["event_count"] == sum(counted[identity].values())
        assert {c["data_collection"]: c["event_count"] for c in value["data_collections"]} == dict(counted[identity])
        assert any(e.kind == "Xid" and e.end == value["pos"] and e.gtid == identity for e in binlog[value["file"]].values())
        assert recorded.began - 1 <= value["ts_ms"] / 1000 <= recorded.ended + 1


def test_end_records_stand_in_the_order_of_commit(recorded: Recorded):
    numbers = [int(event.value["id"].rpartition(":")[2]) for event in recorded.ends]
    assert numbers == sorted(numbers)


def test_topics_have_the_designed_settings(recorded: Recorded):
    task = recorded.task
    rows = {
        "retention.ms": "86400000", "segment.ms": "3600000", "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1", "unclean.leader.election.enable": "false",
    }
    state = {
        "cleanup.policy": "compact", "segment.bytes": "16777216", "segment.ms": "600000",
        "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "60000", "min.insync.replicas": "1",
        "unclean.leader.election.enable": "false",
    }
    for topic in [*map(task.topic, TABLES), task.transactions_topic]:
        found = settings_of(task, topic)
        assert {name: found[name] for name in rows} == rows, topic
        assert int(found["max.message.bytes"]) >= 16777216, topic
    found = settings_of(task, task.state_topic)
    assert {name: found[name] for name in state} == state
    assert task.stack.partitions(task.state_topic) == task.stack.partitions(task.transactions_topic) == [0]
    assert all(event.timestamp_type == TIMESTAMP_LOG_APPEND_TIME for event in recorded.rows())


def settings_of(task: Task, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return {name: entry.value for name, entry in task.stack.admin.describe_configs([resource])[resource].result().items()}


def test_subjects_are_named_by_topic_and_backward_compatible(recorded: Recorded):
    task = recorded.task
    subjects = {s for s in task.stack.registry_get("subjects") if s.startswith(f"{task.name}.")}
    topics = [*map(task.topic, TABLES), task.transactions_topic]
    expected = {f"{topic}-key" for topic in topics} | {f"{topic}-value" for topic in topics}
    assert subjects == expected - {f"{task.topic('keyless')}-key"}
    for subject in subjects:
        level = task.stack.registry_get(f"config/{subject}")
        assert level.get("compatibilityLevel", level.get("compatibility")) == "BACKWARD", subject


def test_schemas_have_the_names_of_the_contract(recorded: Recorded):
    task = recorded.task
    key, value = (
        json.loads(task.stack.registry_get(f"subjects/{task.topic('composite')}-{part}/versions/latest")["schema"])
        for part in ("key", "value")
    )
    namespace = f"{task.namespace}.composite"
    assert (key["namespace"], key["name"]) == (namespace, "Key")
    assert (value["namespace"], value["name"]) == (namespace, "Envelope")
    assert not re.search(r'"(mysql\.type|doc|default)"', json.dumps(key)), "a key schema carries what an ALTER may change"
    row = next(t for t in value["fields"][0]["type"] if isinstance(t, dict))
    assert row["name"] == "Value" and [f["name"] for f in row["fields"]] == ["note", "b", "a", "amount"]
    assert all("mysql.type" in json.dumps(column) for column in row["fields"])


def test_the_state_topic_knows_the_tables_the_topics_and_the_checkpoint(recorded: Recorded):
    task = recorded.task
    state = read_state(task.stack, task.name)
    for table in TABLES:
        assert ("table", "replay", table) in state
        assert ("topic", task.topic(table)) in state
    checkpoint = state["checkpoint",]
    assert checkpoint["format"] == 1 and checkpoint["skip_rows"] == 0 and checkpoint["split"] is None
    position, last = checkpoint["position"], recorded.ends[-1].value
    assert position["kind"] == "gtid" and position["gtid_set"]
    assert (position["file"], position["offset"]) >= (last["file"], last["pos"])
