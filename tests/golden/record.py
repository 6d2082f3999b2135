"""Runs SQL scripts on a server, each with a binlog file of its own, and keeps the files beside the scripts."""

import pathlib
import re
import shutil
import sys

import pymysql

FOLDER = pathlib.Path(__file__).parent


def main() -> None:
    env_file, *names = sys.argv[1:]
    env = dict(line.split("=", 1) for line in pathlib.Path(env_file).read_text().splitlines())
    names = names or sorted(path.stem for path in FOLDER.glob("*.sql"))
    data = pathlib.Path(env["MYSQL_SOCKET"]).parent
    for name in names:
        shutil.copy(data / record(env, name), FOLDER / f"{name}.binlog")


def record(env: dict[str, str], name: str) -> str:
    """Returns the name of the file that holds what the script did."""
    address = {"host": env["MYSQL_HOST"], "port": int(env["MYSQL_PORT"]), "user": "root"}
    with pymysql.connect(**address, charset="utf8mb4", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}`")
        cursor.execute(f"USE `{name}`")
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("FLUSH BINARY LOGS")
        cursor.execute("SHOW MASTER STATUS")
        file = cursor.fetchone()[0]
        for statement in statements((FOLDER / f"{name}.sql").read_text()):
            cursor.execute(statement)
        # The server marks a file as closed only then.
        cursor.execute("FLUSH BINARY LOGS")
        return file


def statements(script: str) -> list[str]:
    script = re.sub(r"^--.*\n", "", script, flags=re.MULTILINE)
    return [statement.strip() for statement in re.split(r";\n", script) if statement.strip()]


if __name__ == "__main__":
    main()
