"""Random statements on tables between random rows, while the connector is killed: each event is what a model says."""

import os
import random
from typing import Any

import pytest

from harness.reader import Event, read_all
from harness.stack import Stack
from harness.task import Task

SEED = int(os.environ.get("BINLOG_BRIDGE_TEST_SEED") or random.randrange(10**6))
ROUNDS = int(os.environ.get("BINLOG_BRIDGE_TEST_ROUNDS", "20"))
STATEMENTS_IN_ROUND = 8
COLUMNS_MAX = 8

# Kinds of columns: how they are declared, and what rows of before have in them.
KINDS: dict[str, tuple[str, Any]] = {
    "number": ("INT NULL", None),
    "big": ("BIGINT NOT NULL DEFAULT 7", 7),
    "word": ("VARCHAR(20) CHARACTER SET latin1 NOT NULL DEFAULT 'none'", "none"),
    "size": ("ENUM('s','m','l') CHARACTER SET latin1 NOT NULL DEFAULT 'm'", "m"),
    "price": ("DECIMAL(10,2) UNSIGNED NULL", None),
}


class Table:
    """A table as the model has it: its columns in order, and its rows by id."""

    def __init__(self, columns: list[tuple[str, str]]) -> None:
        self.columns = columns
        self.rows: dict[int, dict[str, Any]] = {}

    def full(self, id: int, row: dict[str, Any]) -> dict[str, Any]:
        return {"id": id, **{name: row[name] for name, _ in self.columns}}

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, its_kind in self.columns if its_kind == kind]


class Model:
    """The database, and the events that a table of each name must have had."""

    def __init__(self, task: Task, chance: random.Random) -> None:
        self.task, self.chance = task, chance
        self.tables: dict[str, Table] = {}
        self.events: dict[str, list[tuple[str, Any, Any]]] = {}
        self.names = self.ids = 0
        self.statements: list[str] = []

    def sql(self, statement: str) -> None:
        self.statements.append(statement)
        self.task.sql(statement)

    def ddl(self) -> list[str]:
        return [statement for statement in self.statements if statement.split()[0] in ("CREATE", "ALTER", "DROP", "RENAME")]

    def new_name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def step(self) -> None:
        steps = [self.insert] * 6 + [self.update] * 4 + [self.delete] * 2 + [self.alter] * 6 + [self.rename, self.create, self.drop, self.swap_tables]
        self.chance.choice(steps)()

    def table(self) -> tuple[str, Table]:
        if not self.tables:
            self.create()
        name = self.chance.choice(sorted(self.tables))
        return name, self.tables[name]

    def value(self, kind: str) -> Any:
        chance = self.chance
        return {
            "number": lambda: chance.choice([None, chance.randrange(-1000, 1000)]), "big": lambda: chance.randrange(2**40),
            "word": lambda: chance.choice(["", "ä", "it's", "word"]), "size": lambda: chance.choice("sml"),
            "price": lambda: chance.choice([None, f"{chance.randrange(1000)}.{chance.randrange(10, 100)}"]),
        }[kind]()

    def event(self, name: str, op: str, before: Any, after: Any) -> None:
        self.events.setdefault(name, []).append((op, before, after))

    def insert(self) -> None:
        name, table = self.table()
        self.ids += 1
        row = {column: self.value(kind) for column, kind in table.columns}
        names = "".join(f", `{column}`" for column in row)
        self.sql(f"INSERT INTO {name} (id{names}) VALUES ({self.ids}{''.join(f', {literal(value)}' for value in row.values())})")
        table.rows[self.ids] = row
        self.event(name, "c", None, table.full(self.ids, row))

    def update(self) -> None:
        name, table = self.table()
        if not table.rows or not table.columns:
            return
        id, (column, kind) = self.chance.choice(sorted(table.rows)), self.chance.choice(table.columns)
        before, value = table.full(id, table.rows[id]), self.value(kind)
        self.sql(f"UPDATE {name} SET `{column}` = {literal(value)} WHERE id = {id}")
        if before[column] != value:
            table.rows[id][column] = value
            self.event(name, "u", before, table.full(id, table.rows[id]))

    def delete(self) -> None:
        name, table = self.table()
        if table.rows:
            id = self.chance.choice(sorted(table.rows))
            self.sql(f"DELETE FROM {name} WHERE id = {id}")
            self.event(name, "d", table.full(id, table.rows.pop(id)), None)

    def alter(self) -> None:
        name, table = self.table()
        clauses = self.chance.choice([self.add, self.add, self.drop_column, self.rename_column, self.swap_columns, self.move, self.nothing])(table)
        if clauses:
            self.sql(f"ALTER TABLE {name} {clauses}")

    def add(self, table: Table) -> str:
        if len(table.columns) >= COLUMNS_MAX:
            return ""
        column, kind = self.new_name("c"), self.chance.choice(list(KINDS))
        index = self.chance.randint(0, len(table.columns))
        before = table.columns[index - 1][0] if index else "id"
        last = index == len(table.columns)
        table.columns.insert(index, (column, kind))
        for row in table.rows.values():
            row[column] = KINDS[kind][1]
        return f"ADD COLUMN `{column}` {KINDS[kind][0]}{'' if last else f' AFTER `{before}`'}"

    def drop_column(self, table: Table) -> str:
        if not table.columns:
            return ""
        column, _ = table.columns.pop(self.chance.randrange(len(table.columns)))
        for row in table.rows.values():
            del row[column]
        return f"DROP `{column}`"

    def rename_column(self, table: Table) -> str:
        if not table.columns:
            return ""
        index = self.chance.randrange(len(table.columns))
        (old, kind), new = table.columns[index], self.new_name("c")
        table.columns[index] = (new, kind)
        for row in table.rows.values():
            row[new] = row.pop(old)
        return self.chance.choice([f"RENAME COLUMN `{old}` TO `{new}`", f"CHANGE `{old}` `{new}` {KINDS[kind][0]}"])

    def swap_columns(self, table: Table) -> str:
        """Two columns of a kind give each other their names: the table map stays as it is."""
        pairs = [names for kind in KINDS if len(names := table.of_kind(kind)) > 1]
        if not pairs:
            return ""
        one, other = self.chance.sample(self.chance.choice(pairs), 2)
        swapped = {one: other, other: one}
        table.columns = [(swapped.get(name, name), kind) for name, kind in table.columns]
        for row in table.rows.values():
            row[one], row[other] = row[other], row[one]
        return f"RENAME COLUMN `{one}` TO `{other}`, RENAME COLUMN `{other}` TO `{one}`"

    def move(self, table: Table) -> str:
        if len(table.columns) < 2:
            return ""
        column, kind = table.columns.pop(self.chance.randrange(len(table.columns)))
        index = self.chance.randint(0, len(table.columns))
        before = table.columns[index - 1][0] if index else "id"
        table.columns.insert(index, (column, kind))
        return f"MODIFY `{column}` {KINDS[kind][0]} AFTER `{before}`"

    def nothing(self, table: Table) -> str:
        return self.chance.choice(["COMMENT 'a word'", "ENGINE=InnoDB", "ADD INDEX (id)", "FORCE, ALGORITHM=COPY"])

    def create(self) -> None:
        name = self.new_name("t")
        kinds = [self.chance.choice(list(KINDS)) for _ in range(self.chance.randint(1, 4))]
        columns = [(self.new_name("c"), kind) for kind in kinds]
        declared = "".join(f", `{column}` {KINDS[kind][0]}" for column, kind in columns)
        self.sql(f"CREATE TABLE {name} (id INT PRIMARY KEY{declared}) CHARSET=utf8mb4")
        self.tables[name] = Table(columns)

    def drop(self) -> None:
        if len(self.tables) > 2:
            name, _ = self.table()
            self.sql(f"DROP TABLE {name}")
            del self.tables[name]

    def rename(self) -> None:
        name, table = self.table()
        new = self.new_name("t")
        self.sql(self.chance.choice([f"RENAME TABLE {name} TO {new}", f"ALTER TABLE {name} RENAME {new}"]))
        self.tables[new] = self.tables.pop(name)

    def swap_tables(self) -> None:
        """A new table like another takes its place, as tools that change tables online do it."""
        name, table = self.table()
        new, old = self.new_name("_new"), self.new_name("_old")
        self.sql(f"CREATE TABLE {new} LIKE {name}")
        clauses = self.add(copy := Table(list(table.columns)))
        if clauses:
            self.sql(f"ALTER TABLE {new} {clauses}")
        self.sql(f"RENAME TABLE {name} TO {old}, {new} TO {name}")
        self.tables[name], self.tables[old] = copy, table


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row and {name: value if value is None or isinstance(value, (int, str)) else f"{value:.2f}" for name, value in row.items()}


def check_changes(records: list[Event], model: Model) -> None:
    """Each statement was told once and in order, and what a table was behind one it is before the next."""
    told = [record.value for record in records][1:]  # the first makes the database
    assert [change["kind"] for change in told] == [statement.split()[0] for statement in model.ddl()]
    for change, statement in zip(told, model.ddl()):
        if change["kind"] == "DROP":  # the server writes it anew
            assert [each["name"] for each in change["objects"]] == [statement.split()[-1]]
        else:
            assert change["statement"] == statement
    behind: dict[str, Any] = {}
    for table in (table for change in told for table in change["tables"]):
        name = table["table"]
        if name in behind and table["state_before"] == "KNOWN":
            assert shape(table["before"]) == shape(behind[name]), name
        if table["state_after"] == "KNOWN":
            behind[name] = table["after"]
        else:
            behind.pop(name, None)
    for name, table in model.tables.items():
        if name in behind:
            assert [column["name"] for column in behind[name]["columns"]] == ["id", *(column for column, _ in table.columns)], name
    assert len(behind) >= len(model.tables) / 2, "little is known of tables"


def shape(definition: Any) -> Any:
    """What a statement can leave open are defaults that only the server can write."""
    return [(column["name"], column["type"], column["nullable"], column["collation"]) for column in definition["columns"]]


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
def test_rows_between_random_statements_are_what_a_model_says_though_it_is_killed(stack: Stack, task: Task, metadata: str, say):
    chance = random.Random(f"{SEED} {metadata}")
    model = Model(task, chance)
    kills = 0
    with stack.metadata(metadata):
        connector = task.connector(source={"start": "earliest"}, events={"schema_updates": True}).start(ready_within=30)
        for _ in range(ROUNDS):
            is_killed = chance.random() < 0.7
            at = chance.randrange(STATEMENTS_IN_ROUND)
            for number in range(STATEMENTS_IN_ROUND):
                if is_killed and number == at:
                    connector.kill()
                    kills += 1
                model.step()
            if is_killed:
                connector.start(ready_within=30)
        wanted = {name: events for name, events in model.events.items() if events}
        try:
            with task.follower(*wanted) as follower:
                count = sum(map(len, wanted.values()))
                follower.until(lambda: len(follower.events) >= count, f"{count} events", 60 + 2 * ROUNDS)
                events = follower.drain().events
            found: dict[str, list[Any]] = {}
            for event in events:
                value = event.value
                table = event.topic.rpartition(".")[2]
                found.setdefault(table, []).append((value["op"], plain(value["before"]), plain(value["after"])))
            for name, expected in wanted.items():
                assert found[name] == expected, name
            assert found.keys() == wanted.keys()
            connector.check_running()
            check_changes(read_all(stack, f"{task.name}.schema-changes"), model)
        except BaseException:
            print(";\n".join(model.statements[-60:]))
            raise
    say(f"seed {SEED}: {len(model.statements)} statements, {len(events)} events, {kills} kills")
