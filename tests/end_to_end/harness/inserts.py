"""Rows of `orders`, which numbers them itself, one after another while something happens to the connector."""

import threading

from .task import Task


class Inserts:
    """A thread that inserts until it is told to end, a row each few milliseconds."""

    def __init__(self, task: Task, pause_seconds: float = 0.02) -> None:
        self.task, self.pause_seconds, self.count = task, pause_seconds, 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        with self.task.connect() as connection, connection.cursor() as cursor:
            while not self.is_over.wait(self.pause_seconds):
                cursor.execute("INSERT INTO orders VALUES ()")
                self.count += 1

    def __enter__(self) -> "Inserts":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()
