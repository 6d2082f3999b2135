"""Kills the connector and restarts MySQL under it, at moments that a seed decides."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from .connector import Connector
from .stack import Stack

# A start that is cut short lasts at most this long; a connector is ready in about half a second.
START_SECONDS_MAX = 1.2
# So long at most a connector runs, once it has published something, before it is killed.
RUN_SECONDS_MAX = 2.0
READY_SECONDS_MAX = 60


@dataclass(frozen=True)
class Plan:
    kills: int
    mysql_restarts: int = 0
    rotations: int = 0


def torment(
    stack: Stack, connector: Connector, plan: Plan, chance: random.Random,
    check: Callable[[], None], progress: Callable[[], None],
) -> None:
    """Ends with a connector that runs and is ready. `check` fails as soon as something is known to be wrong; `progress`
    returns once something was published and checked since it was called."""
    for action in shuffled(plan, chance):
        check()
        if action == "kill while it starts":
            time.sleep(chance.random() * START_SECONDS_MAX)
            restart(connector)
        elif action == "kill":
            connector.wait_ready(READY_SECONDS_MAX)
            progress()
            time.sleep(chance.random() * RUN_SECONDS_MAX)
            restart(connector)
        elif action == "rotate":
            stack.sql("FLUSH BINARY LOGS")
        else:
            restart_mysql(stack, connector, action, chance)
    connector.wait_ready(READY_SECONDS_MAX)


def shuffled(plan: Plan, chance: random.Random) -> list[str]:
    """Restarts spread over the run, so that most of the kills find the server there. The first is a SIGKILL, and one of
    three a SIGTERM. Four of ten kills hit a connector that is still starting; a seed that chose each by itself might leave
    none that runs long enough to publish anything."""
    others = ["TERM" if n % 3 == 1 else "KILL" for n in range(plan.mysql_restarts)]
    others += ["rotate"] * plan.rotations
    chance.shuffle(others)
    early = plan.kills * 4 // 10
    actions = ["kill while it starts"] * early + ["kill"] * (plan.kills - early)
    chance.shuffle(actions)
    for number, other in enumerate(others):
        actions.insert((number + 1) * plan.kills // (len(others) + 1) + number, other)
    return actions


def restart(connector: Connector) -> None:
    connector.kill()
    connector.start()


def restart_mysql(stack: Stack, connector: Connector, signal: str, chance: random.Random) -> None:
    """The connector must live through it; in every other case it is killed while the server is away."""
    connector.wait_ready(READY_SECONDS_MAX)
    stack.stop("mysql", signal)
    time.sleep(chance.random() * RUN_SECONDS_MAX)
    if chance.random() < 0.5:
        restart(connector)
    stack.start("mysql")
    connector.wait_ready(READY_SECONDS_MAX)
