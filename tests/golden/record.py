"""Runs SQL scripts on servers, each with a binlog file of its own, and keeps the files beside the scripts.

    record.py ENV_FILE [CASE...]        the cases of this folder
    record.py ENV_FILE --server KIND    those of every server, in `servers`
"""

import pathlib
import re
import shutil
import sys

import pymysql

FOLDER = pathlib.Path(__file__).parent


SERVERS = FOLDER / "servers"
# Beside what every server can do.
OWN = {"mariadb1011": "mariadb", "mariadb": "mariadb", "mysql80": "mysql", "mysql9": "mysql"}


def main() -> None:
    env_file, *names = sys.argv[1:]
    env = dict(line.split("=", 1) for line in pathlib.Path(env_file).read_text().splitlines())
    data = pathlib.Path(env["MYSQL_SOCKET"]).parent
    if names[:1] == ["--server"]:
        kind = names[1]
        scripts = [SERVERS / f"{name}.sql" for name in ("all", OWN.get(kind)) if name]
        shutil.copyfile(data / record(env, "golden", scripts), SERVERS / f"{kind}.binlog")
        return
    for name in names or sorted(path.stem for path in FOLDER.glob("*.sql")):
        shutil.copyfile(data / record(env, name, [FOLDER / f"{name}.sql"]), FOLDER / f"{name}.binlog")


def record(env: dict[str, str], database: str, scripts: list[pathlib.Path]) -> str:
    """Returns the name of the file that holds what the scripts did."""
    address = {"host": env["MYSQL_HOST"], "port": int(env["MYSQL_PORT"]), "user": "root"}
    with pymysql.connect(**address, charset="utf8", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS `{database}`")
        cursor.execute(f"CREATE DATABASE `{database}`")
        cursor.execute(f"USE `{database}`")
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("FLUSH LOGS")
        cursor.execute("SHOW BINARY LOGS")
        file = cursor.fetchall()[-1][0]
        for script in scripts:
            for statement in statements(script.read_text()):
                cursor.execute(statement)
        # The server marks a file as closed only then.
        cursor.execute("FLUSH LOGS")
        return file


def statements(script: str) -> list[str]:
    script = re.sub(r"^--.*\n", "", script, flags=re.MULTILINE)
    return [statement.strip() for statement in re.split(r";\n", script) if statement.strip()]


if __name__ == "__main__":
    main()
