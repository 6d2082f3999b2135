"""When checkpoints become visible: a thread that follows the state topic from where it ends now."""

import threading
import time

from .ledger import Position, position_of
from .reader import Follower, json_decoder, state_topic
from .stack import Stack


class Pulse:
    def __init__(self, stack: Stack, task: str) -> None:
        at = (state_topic(task), 0)
        self.follower = Follower(stack, [at[0]], json_decoder, begin=stack.end_offsets([at]))
        self.newest: Position = (0, 0)
        self.checkpoints = 0
        # When an instance that had begun by then committed its first checkpoint.
        self.first_commit_at = 0.0
        self.has_begun = False
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Pulse":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def run(self) -> None:
        try:
            self.follower.look_for_partitions()
            while not self.stopping.is_set():
                self.follower.step(0.02)
                for event in self.follower.events:
                    if event.key == ["owner"] and event.value is not None:
                        self.has_begun = True
                    if event.key == ["checkpoint"]:
                        if self.has_begun:
                            self.first_commit_at = time.monotonic()
                        self.has_begun = False
                        self.newest = position_of(event.value)
                        self.checkpoints += 1
                self.follower.events.clear()
        except BaseException as failure:
            self.failure = failure
        finally:
            self.follower.close()
