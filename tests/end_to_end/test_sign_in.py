"""Signing in to real servers: each way that an account may have, with TLS and without."""

import pathlib
import re
from collections.abc import Iterator

import pytest

from harness.columns import MARIADB
from harness.connector import Connector, error_and_remedy
from harness.servers import KINDS
from harness.stack import Stack
from harness.task import Task, ids_of

PASSWORD = "ein gutes Paßwort 'mit' \\Zeichen"
PLUGINS = {
    "mysql55": ["mysql_native_password"],
    "mysql56": ["mysql_native_password"],
    "mysql57": ["mysql_native_password"],
    "mysql8015": ["mysql_native_password", "caching_sha2_password"],
    "mysql80": ["mysql_native_password", "caching_sha2_password"],
    "mysql9": ["caching_sha2_password"],
    "mariadb1011": ["mysql_native_password", "ed25519"],
    "mariadb": ["mysql_native_password", "ed25519"],
}
REFUSED = 3


@pytest.fixture(scope="module", params=KINDS)
def stack(request: pytest.FixtureRequest, stacks) -> Iterator[Stack]:
    with stacks(request.param, f"--server={request.param}") as stack:
        if request.param in MARIADB:
            stack.sql("INSTALL SONAME 'auth_ed25519'")
        yield stack


@pytest.fixture
def shop(stack: Stack, tasks, tmp_path: pathlib.Path) -> Iterator[Task]:
    with tasks(stack, tmp_path) as task:
        task.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
        yield task


def test_each_way_to_sign_in_is_spoken(shop: Task):
    for number, plugin in enumerate(PLUGINS[shop.stack.kind], 1):
        account = f"by_{number}"
        create_account(shop.stack, account, plugin, PASSWORD)
        connector = follow(shop, account, PASSWORD).start(ready_within=60)
        shop.sql(f"INSERT INTO orders VALUES ({number})")
        assert ids_of(shop.read("orders", number)) == list(range(1, number + 1)), plugin
        connector.terminate()


def test_each_way_to_sign_in_is_spoken_within_tls(shop: Task):
    if shop.stack.kind == "mysql55" or shop.stack.kind != "mysql9" and shop.stack.variable("have_ssl") == "DISABLED":
        pytest.skip("the server has no certificate")
    for number, plugin in enumerate(PLUGINS[shop.stack.kind], 1):
        account = f"tls_{number}"
        create_account(shop.stack, account, plugin, PASSWORD)
        old = shop.stack.kind in ("mysql55", "mysql56")
        shop.stack.sql(f"GRANT USAGE ON *.* TO {account} REQUIRE SSL" if old else f"ALTER USER {account} REQUIRE SSL")
        connector = follow(shop, account, PASSWORD, tls={"mode": "encrypt"}).start(ready_within=60)
        shop.sql(f"INSERT INTO orders VALUES ({number})")
        assert ids_of(shop.read("orders", number)) == list(range(1, number + 1)), plugin
        connector.terminate()


def test_an_account_without_a_password_and_one_with_a_wrong_one(shop: Task):
    plugin = PLUGINS[shop.stack.kind][-1]
    if plugin != "ed25519":
        create_account(shop.stack, "without", plugin, "")
        connector = follow(shop, "without", "").start(ready_within=60)
        shop.sql("INSERT INTO orders VALUES (1)")
        assert ids_of(shop.read("orders", 1)) == [1]
        connector.terminate()
    create_account(shop.stack, "wrong", plugin, PASSWORD)
    wrong = follow(shop, "wrong", "another").start()
    assert wrong.wait_exit(30) == REFUSED
    assert "Access denied" in error_and_remedy(wrong.stderr())[0]
    assert "another" not in wrong.stderr()


def test_sha256_password_is_refused_and_the_remedy_works(shop: Task):
    if shop.stack.kind not in ("mysql80", "mysql8015"):
        pytest.skip("the server has no such plugin")
    create_account(shop.stack, "sha256", "sha256_password", PASSWORD)
    connector = follow(shop, "sha256", PASSWORD).start()
    assert connector.wait_exit(30) == REFUSED
    error = error_and_remedy(connector.stderr())[0]
    assert "sha256_password" in error
    statement = re.search(r"ALTER USER 'sha256'@'%' IDENTIFIED WITH caching_sha2_password BY '…'", error)[0]
    shop.stack.sql(statement.replace("'…'", quoted(PASSWORD)))
    connector.start(ready_within=60)
    shop.sql("INSERT INTO orders VALUES (1)")
    assert ids_of(shop.read("orders", 1)) == [1]


def create_account(stack: Stack, name: str, plugin: str, password: str) -> None:
    """With the rights that the connector needs."""
    if plugin == "ed25519":
        stack.sql(f"CREATE USER {name} IDENTIFIED VIA ed25519 USING PASSWORD({quoted(password)})")
    elif stack.kind in MARIADB or stack.kind in ("mysql55", "mysql56"):
        stack.sql(f"CREATE USER {name} IDENTIFIED BY {quoted(password)}")
    else:
        stack.sql(f"CREATE USER {name} IDENTIFIED WITH {plugin} BY {quoted(password)}")
    stack.sql(f"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {name}")
    # The server must not know the password from before: the full exchange is the one to be seen.
    stack.sql("FLUSH PRIVILEGES")


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def follow(task: Task, user: str, password: str, **source: object) -> Connector:
    return task.connector(user, source={"user": user, "password": password, **source})
