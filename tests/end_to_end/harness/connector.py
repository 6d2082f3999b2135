"""The connector as a process: its configuration, its life and death, what it prints."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from typing import Any

from .wait import wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
TAIL_LINES = 25


def binary() -> pathlib.Path:
    return pathlib.Path(os.environ.get("BINLOG_BRIDGE_BIN", REPOSITORY / "target/debug/binlog-bridge"))


class Connector:
    """One configuration, run as often as wanted. Each run has its own files of what it printed."""

    def __init__(self, directory: pathlib.Path, config: dict[str, Any] | str, name: str = "connector") -> None:
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        self.config_file = self.directory / "config.yaml"
        self.config_file.write_text(config if isinstance(config, str) else to_yaml(config))
        self.health = config["http"]["health"] if isinstance(config, dict) and "http" in config else None
        self.process: subprocess.Popen[bytes] | None = None
        self.runs = 0

    def start(
        self, *, ready_within: float | None = None, variables: dict[str, str] | None = None, program: pathlib.Path | None = None
    ) -> "Connector":
        """Starts the process; waits until it says that it is ready only if `ready_within` says how long.
        `variables` are set in its environment; `program` is another than the tested one."""
        assert not self.is_running(), "the connector runs already"
        self.runs += 1
        with open(self.output("out"), "wb") as out, open(self.output("err"), "wb") as err:
            self.process = subprocess.Popen(
                [program or binary(), "run", "--config", self.config_file],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**environment(), **(variables or {})},
            )
        if ready_within is not None:
            self.wait_ready(ready_within)
        return self

    def command(self, *arguments: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Runs another command of the binary to its end: `command("offsets", "show")`."""
        return subprocess.run(
            command_line(self.config_file, *arguments), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds, env=environment(),
        )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_ready(self) -> bool:
        return self.readiness() == 200

    def readiness(self) -> int | None:
        """The status of /readyz; None where nobody answers."""
        return self.http_get("readyz")[0]

    def is_active(self) -> bool:
        """It runs the task, which readiness does not tell: one that stands by is ready too."""
        return self.http_get("readyz") == (200, "ready\n")

    def is_standby(self) -> bool:
        return self.http_get("readyz") == (200, "standby\n")

    def http_get(self, path: str) -> tuple[int | None, str]:
        try:
            with urllib.request.urlopen(f"http://{self.health}/{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None, ""

    def metric(self, name: str) -> float | None:
        """The value of `binlog_bridge_<name>`, which has no labels; None where nobody answers."""
        found = re.search(rf"^binlog_bridge_{name} (\S+)$", self.http_get("metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None

    def wait_ready(self, seconds: float = 30) -> None:
        def ready() -> bool:
            self.check_running()
            return self.is_ready()

        wait_until(ready, lambda: f"the connector is ready; it printed:\n{self.tail()}", seconds)

    def check_running(self) -> None:
        assert self.process is not None, "the connector was never started"
        code = self.process.poll()
        assert code is None, f"the connector ended by itself with {code}; it printed:\n{self.tail()}"

    def kill(self) -> None:
        """SIGKILL. Fails if the connector has ended by itself before."""
        self.check_running()
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def terminate(self, seconds: float = 5) -> None:
        """SIGTERM, to which it must answer with a clean end."""
        self.check_running()
        self.signal(signal.SIGTERM)
        code = self.wait_exit(seconds)
        assert code == 0, f"after SIGTERM the connector ended with {code}; it printed:\n{self.tail()}"

    def wait_exit(self, seconds: float = 30) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the connector did not end within {seconds:g} s; it printed:\n{self.tail()}") from None

    def close(self) -> None:
        if self.is_running():
            self.process.kill()
            self.process.wait(10)

    def output(self, kind: str, run: int | None = None) -> pathlib.Path:
        return self.directory / f"{run or self.runs:03d}.{kind}"

    def stderr(self) -> str:
        """What the latest run printed on stderr."""
        return self.output("err").read_text(errors="replace") if self.runs else ""

    def tail(self) -> str:
        return "\n".join(self.stderr().splitlines()[-TAIL_LINES:]) or "(nothing)"

    def everything_printed(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.directory.glob("[0-9]*.*")))

    def memory_peak_bytes(self) -> int:
        """The largest resident size since the process started (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def command_line(config_file: pathlib.Path, *arguments: str) -> list[Any]:
    return [binary(), *arguments, "--config", config_file]


def environment() -> dict[str, str]:
    """Ours without what could change the connector's configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("BINLOG_BRIDGE_", "RUST_"))}


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def to_yaml(tree: dict[str, Any], indent: str = "") -> str:
    """Block style for what is nested, JSON (which YAML includes) for the leaves."""
    lines = []
    for name, value in tree.items():
        name = name if name.isidentifier() else json.dumps(name)
        if isinstance(value, dict) and value:
            lines.append(f"{indent}{name}:\n{to_yaml(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {json.dumps(value)}\n")
    return "".join(lines)


def error_and_remedy(stderr: str) -> tuple[str, str]:
    """The two sentences with which a terminal error ends what the connector prints."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    assert len(lines) >= 2 and lines[-2].startswith("error: ") and lines[-1].startswith("remedy: "), (
        "the last lines are not the cause and the remedy:\n" + "\n".join(lines[-TAIL_LINES:])
    )
    error, remedy = lines[-2].removeprefix("error: ").strip(), lines[-1].removeprefix("remedy: ").strip()
    assert len(error.split()) >= 3, f"not a sentence of cause: {error!r}"
    assert len(remedy.split()) >= 3, f"not a sentence of remedy: {remedy!r}"
    return error, remedy
