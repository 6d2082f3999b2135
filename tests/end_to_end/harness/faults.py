"""The faults of the table, each a row: how it begins, how it ends, how often it comes.

A new row is a `Fault` in `FAULTS`. What `begin` and `end` may use is what a `Scene` has: the connector, the servers, and
the proxies on the ways to them. After `end` all that the fault harmed must be there again; the scene waits until the
connector has caught up, and judges.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .ending import HALTED, ended
from .proxy import CLIENT, SERVER, Line
from .reader import read_state
from .wait import wait_until

if TYPE_CHECKING:
    from .scene import Proxies, Scene
    from .stack import Stack


@dataclass(frozen=True)
class Settings:
    """What differs between the connectors of the rows."""

    is_proxied: bool = False
    silence_timeout_ms: int = 10_000
    transaction_timeout_ms: int = 60_000
    registry_timeout_ms: int = 10_000
    standby: bool = False  # a second one waits for its turn

    def changes(self, stack: "Stack", proxies: "Proxies") -> dict[str, Any]:
        """Of the usual configuration of a test."""
        changes: dict[str, Any] = {
            "source": {"silence_timeout_ms": self.silence_timeout_ms},
            "kafka": {},
            "registry": {"timeout_ms": self.registry_timeout_ms},
            "limits": {"transaction_timeout_ms": self.transaction_timeout_ms, "checkpoint_interval_ms": 1000},
            "standby": self.standby,
        }
        if self.is_proxied:
            changes["source"]["port"] = proxies.mysql.port
            changes["kafka"]["bootstrap_servers"] = f"127.0.0.1:{proxies.kafka.port}"
            changes["registry"]["url"] = stack.registry.replace(f":{proxies.registry.target}/", f":{proxies.registry.port}/")
        return changes


SHORT_MS = 2000
USUAL = Settings()
IMPATIENT = Settings(False, SHORT_MS, SHORT_MS, SHORT_MS)
PROXIED = Settings(True)
PROXIED_IMPATIENT = Settings(True, SHORT_MS, SHORT_MS, SHORT_MS)
WITH_STANDBY = Settings(standby=True)

# Longer than SHORT_MS and what the broker takes to see it: it looks for transactions that timed out each second.
BEYOND_SHORT_SECONDS = 3.5
# What noticing a silence may take beyond the configured time.
MARGIN_SECONDS = 3
# The longest time that a request to Kafka is waited for.
KAFKA_REQUEST_SECONDS = 30
# A start that is cut short lasts at most this long; a connector is ready in about a second.
START_SECONDS_MAX = 1.2
# An instance that was fenced ends within this time.
END_SECONDS_MAX = 30
# Another takes over within this time. Brokers wait 6 s for a sign of life by default.
AFTER_KILL_SECONDS_MAX = 10
AFTER_TERM_SECONDS_MAX = 2


def nothing(scene: "Scene") -> None:
    pass


@dataclass(frozen=True)
class Fault:
    name: str
    numbers: tuple[int, ...]  # of the list of faults, as in the names of other tests
    begin: Callable[["Scene"], None]
    end: Callable[["Scene"], None] = nothing
    often: tuple[int, int] = (1, 10)  # in a usual run and in a long one
    lasts: tuple[float, float] = (0, 0)  # seconds from begin to end, likewise
    settings: Settings = USUAL
    adds_column: bool = False  # while it lasts, so that a schema has to be registered
    restarts: bool | None = None  # whether the connector begins anew, if that is certain
    is_slow_only: bool = False  # checkpoints go on while it lasts
    is_remembered: bool = False  # by the process: see `Scene.renew_if_remembered`
    seconds_max: float | None = None  # from its begin until the first commit of the instance that takes over, where that is promised

    def times(self, is_long: bool) -> int:
        return self.often[is_long]

    def seconds(self, is_long: bool) -> float:
        return self.lasts[is_long]


def start_connector(scene: "Scene") -> None:
    scene.connector.start()


def kill(scene: "Scene") -> None:
    scene.connector.kill()


def kill_again_while_it_starts(scene: "Scene") -> None:
    scene.connector.kill()
    scene.connector.start()
    time.sleep(scene.chance.random() * START_SECONDS_MAX)
    scene.connector.kill()


def terminate(scene: "Scene") -> None:
    scene.connector.wait_ready()
    scene.connector.terminate()


def pause_connector(scene: "Scene") -> None:
    """In the middle of a Kafka transaction; else nothing would be wrong when it goes on."""
    def paused_inside() -> bool:
        scene.connector.signal(signal.SIGSTOP)
        # What it sent before arrives meanwhile, the end of the transaction too.
        is_inside = scene.has_open_transaction() and not time.sleep(0.3) and scene.has_open_transaction()
        if not is_inside:
            scene.connector.signal(signal.SIGCONT)
        return is_inside

    wait_until(paused_inside, "the connector is stopped inside a transaction")


def continue_connector(scene: "Scene") -> None:
    scene.connector.signal(signal.SIGCONT)


def start_another(scene: "Scene") -> None:
    """The one that ran must end by itself and name the one that came."""
    old, new = scene.connector, scene.other_connector()
    new.start()
    error, _ = ended(old, HALTED, "instance", seconds=END_SECONDS_MAX)
    new.wait_ready()
    owner = read_state(scene.stack, scene.task.name)[("owner",)]["instance"]
    assert owner in error, f"the owner is {owner}, but the other one ended with: {error}"
    scene.connector = new


def leave_it_to_the_standby(end: Callable[["Scene"], None]) -> Callable[["Scene"], None]:
    """From here on no other runs, so whatever is covered that was written after it is the work of the one that stood by."""
    def begin(scene: "Scene") -> None:
        end(scene)
        scene.connector = scene.other_connector()
    return begin


def stop_server(service: str, number: str, kills_connector: bool = False) -> Callable[["Scene"], None]:
    """Each second time the connector is killed while the server is away, if so told."""
    def begin(scene: "Scene") -> None:
        scene.stack.stop(service, number)
        if kills_connector and scene.applied % 2 == 1:
            scene.connector.kill()
            scene.connector.start()
    return begin


def start_server(service: str) -> Callable[["Scene"], None]:
    return lambda scene: scene.stack.start(service)


def continue_server(service: str) -> Callable[["Scene"], None]:
    return lambda scene: scene.stack.stop(service, "CONT")


def rotate(scene: "Scene") -> None:
    scene.stack.sql("FLUSH BINARY LOGS")


def on_the_way_to(service: str, harm: Callable[[Any], None]) -> Callable[["Scene"], None]:
    """What a proxy does."""
    return lambda scene: harm(getattr(scene.proxies, service))


def open_ways(scene: "Scene") -> None:
    scene.proxies.reset()


def go_half_open(service: str, within: Callable[["Scene"], float], *turns: tuple[int, ...]) -> Callable[["Scene"], None]:
    """The connections that are open carry nothing any more, in the ways whose turn it is, and nobody is told. It is over
    when the connector has noticed and connects anew."""
    def begin(scene: "Scene") -> None:
        proxy = getattr(scene.proxies, service)
        accepted = proxy.accepted
        proxy.swallow(*turns[scene.applied % len(turns)])
        what = f"it connects anew to {service}"
        wait_until(lambda: proxy.accepted > accepted, lambda: f"{what}; it printed:\n{scene.connector.tail()}", within(scene))
    return begin


def mysql_silence_seconds(scene: "Scene") -> float:
    """Each silence doubles what the connector bears, for a while."""
    return SHORT_MS / 1000 * 2 ** (scene.remembered - 1) + MARGIN_SECONDS


def of_connector() -> list[Fault]:
    return [
        Fault("connector: SIGKILL", (88,), kill, start_connector, often=(24, 240)),
        Fault(
            "connector: SIGKILL, and again while it starts", (86, 88), kill_again_while_it_starts, start_connector, often=(6, 60)
        ),
        Fault("connector: SIGTERM", (89,), terminate, start_connector, often=(3, 30)),
        Fault(
            "connector: SIGSTOP for longer than a transaction may last, SIGCONT", (90,), pause_connector, continue_connector,
            often=(2, 4), lasts=(BEYOND_SHORT_SECONDS, 120), settings=IMPATIENT, restarts=True, is_remembered=True,
        ),
        Fault("connector: a second one of the same task", (79,), start_another, often=(3, 30)),
        Fault(
            "connector with a standby: SIGKILL", (79, 88), leave_it_to_the_standby(kill), often=(2, 20),
            settings=WITH_STANDBY, seconds_max=AFTER_KILL_SECONDS_MAX,
        ),
        Fault(
            "connector with a standby: SIGTERM", (79, 89), leave_it_to_the_standby(terminate), often=(2, 20),
            settings=WITH_STANDBY, seconds_max=AFTER_TERM_SECONDS_MAX,
        ),
    ]


def of_server(service: str, name: str, number: dict[str, int]) -> list[Fault]:
    is_registry = service == "registry"
    return [
        Fault(
            f"{name}: SIGTERM, started again", (number["TERM"],), stop_server(service, "TERM"), start_server(service),
            adds_column=is_registry,
        ),
        Fault(
            f"{name}: SIGKILL, started again", (number["KILL"],), stop_server(service, "KILL", not is_registry),
            start_server(service), often=(1 if is_registry else 2, 10), adds_column=is_registry,
        ),
        Fault(
            f"{name}: SIGSTOP for longer than the time-outs, SIGCONT", (number["STOP"],), stop_server(service, "STOP"),
            continue_server(service), often=(1, 3), lasts=(BEYOND_SHORT_SECONDS, 120), settings=IMPATIENT,
            adds_column=is_registry, is_remembered=True,
        ),
    ]


def of_network(service: str, name: str) -> list[Fault]:
    is_registry = service == "registry"

    def slow(what: str, line: Line) -> Fault:
        return Fault(
            f"network to {name}: {what}", (70,), on_the_way_to(service, lambda proxy: proxy.slow_down(line)), open_ways,
            often=(1, 5), lasts=(2, 20), settings=PROXIED, adds_column=is_registry, restarts=False, is_slow_only=True,
        )

    return [
        Fault(
            f"network to {name}: cut, and nothing connects for a while", (OF_CUT[service],),
            on_the_way_to(service, lambda proxy: proxy.refuse()), open_ways, often=(2, 20), lasts=(0.5, 3), settings=PROXIED,
            adds_column=is_registry,
        ),
        half_open(service, name),
        Fault(
            f"network to {name}: stops, then all of it goes on", (70,), on_the_way_to(service, lambda proxy: proxy.hold()),
            open_ways, often=(1, 5), lasts=(2, 7), settings=PROXIED, adds_column=is_registry, restarts=False,
        ),
        slow("200 ms later each way", Line(delay_seconds=0.2)),
        slow("32 KiB a second", Line(bytes_per_second=32 * 1024, piece_bytes=1024)),
        slow("7 bytes at a time", Line(bytes_per_second=16 * 1024, piece_bytes=7)),
    ]


def half_open(service: str, name: str) -> Fault:
    what = f"network to {name}: half-open, nothing arrives and nobody is told"
    if service == "registry":
        # There may be no connection that is open.
        begin = on_the_way_to(service, lambda proxy: proxy.swallow_all())
        return Fault(
            what, (63,), begin, open_ways, lasts=(BEYOND_SHORT_SECONDS, 20), settings=PROXIED_IMPATIENT, adds_column=True
        )
    if service == "mysql":
        begin = go_half_open(service, mysql_silence_seconds, (CLIENT, SERVER), (SERVER,))
        return Fault(what, (67,), begin, often=(2, 10), settings=PROXIED_IMPATIENT, restarts=True, is_remembered=True)
    within = KAFKA_REQUEST_SECONDS + MARGIN_SECONDS
    begin = go_half_open(service, lambda scene: within, (CLIENT, SERVER), (SERVER,), (CLIENT,))
    return Fault(what, (76, 78), begin, often=(3, 12), settings=PROXIED_IMPATIENT, is_remembered=True)


OF_CUT = {"kafka": 76, "mysql": 67, "registry": 63}

FAULTS = [
    *of_connector(),
    *of_server("kafka", "broker", {"TERM": 76, "KILL": 76, "STOP": 76}),
    *of_server("mysql", "MySQL", {"TERM": 5, "KILL": 6, "STOP": 67}),
    Fault("MySQL: FLUSH BINARY LOGS", (1,), rotate, often=(5, 50), restarts=False),
    *of_server("registry", "registry", {"TERM": 63, "KILL": 63, "STOP": 63}),
    *of_network("kafka", "the broker"),
    *of_network("mysql", "MySQL"),
    *of_network("registry", "the registry"),
]
