"""Waits until servers of a set answer requests, not only connections: await_ready.py SET_DIR SERVICE..."""

import pathlib
import socket
import sys
import time
import urllib.request

SECONDS_MAX = 120


def main() -> None:
    set_dir, services = pathlib.Path(sys.argv[1]), sys.argv[2:]
    ports = dict(line.split("=") for line in (set_dir / "ports").read_text().split())
    deadline = time.monotonic() + SECONDS_MAX
    for service in services:
        while not answers(service, int(ports[service])):
            for each in services:
                if not lives(int((set_dir / f"{each}.pid").read_text())):
                    give_up(set_dir, each, "died")
            if time.monotonic() > deadline:
                give_up(set_dir, service, f"does not answer after {SECONDS_MAX} s")
            time.sleep(0.1)


def answers(service: str, port: int) -> bool:
    """Connects first, as that is cheap while the server still starts on the same few cores."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        answers_of = {"kafka": kafka_answers, "mysql": mysql_answers, "registry": registry_answers}
        return answers_of[service.partition("-")[0]](port)
    except OSError:
        return False


def kafka_answers(port: int) -> bool:
    """The broker lists itself only when it may lead partitions."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, "error_cb": lambda error: None})
    try:
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def mysql_answers(port: int) -> bool:
    import pymysql

    try:
        with pymysql.connect(host="127.0.0.1", port=port, user="root", connect_timeout=2) as connection:
            connection.ping(reconnect=False)
        return True
    except pymysql.Error:
        return False


def registry_answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/apis/ccompat/v7/subjects", timeout=5) as answer:
        return answer.status == 200


def lives(pid: int) -> bool:
    """False also for a process that has ended but was not collected yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def give_up(set_dir: pathlib.Path, service: str, what: str) -> None:
    log = set_dir / f"{service}.log"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
    sys.exit(f"{service} {what}; the end of its log:\n{tail}")


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
