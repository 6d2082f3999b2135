"""A TCP proxy that can harm what goes through it: cut it, swallow it without telling anybody, stop it, or slow it down."""

import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass

Pair = tuple[socket.socket, socket.socket]  # client, server

# The ways through a connection, named after who sends.
CLIENT, SERVER = 0, 1
BOTH_WAYS = (CLIENT, SERVER)

# What one way of a connection may hold back. Beyond it nothing more is read, so that the sender feels it.
HELD_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Line:
    """How fast each way of a connection is."""

    delay_seconds: float = 0
    bytes_per_second: float = 0  # 0: as fast as it can
    piece_bytes: int = 4096  # so many bytes are sent at once


class Proxy:
    """Forwards from a port of its own to `target`, with a thread for each way of a connection."""

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.open: set[Pair] = set()
        self.silent: set[tuple[Pair, int]] = set()  # connections that carry nothing, and which way
        self.left: dict[Pair, int] = {}  # bytes that may still come from the server
        self.swallowed_anew: tuple[int, ...] = ()  # ways of new connections that carry nothing
        self.refusing = False
        self.line = Line()
        self.released = threading.Event()
        self.released.set()
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.2)
        self.port = self.listener.getsockname()[1]
        self.accepted = 0
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self) -> "Proxy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        self.thread.join()
        self.listener.close()
        self.cut()

    def reset(self) -> None:
        """From now on all new connections work, and old ones that were not swallowed."""
        self.refusing, self.swallowed_anew, self.line = False, (), Line()
        self.released.set()

    def cut(self) -> None:
        """Ends all connections; new ones are accepted."""
        for pair in list(self.open):
            self.open.discard(pair)
            shut(pair)

    def refuse(self) -> None:
        """Ends all connections, and new ones at once, until `reset`."""
        self.refusing = True
        self.cut()

    def swallow(self, *ways: int) -> None:
        """From now on the connections that are open carry nothing (or nothing in these ways), and nobody is told; new
        ones work."""
        self.silent |= {(pair, way) for pair in list(self.open) for way in ways or BOTH_WAYS}

    def swallow_all(self, *ways: int) -> None:
        """The same, with new connections too, until `reset`. Those that were open then stay silent."""
        self.swallowed_anew = ways or BOTH_WAYS
        self.swallow(*ways)

    def swallow_after(self, bytes_from_server: int) -> None:
        """As `swallow`, but not before the server has sent so many bytes more on that connection."""
        self.left.update(dict.fromkeys(self.open, bytes_from_server))

    def hold(self) -> None:
        """Nothing goes through until `reset`; then everything does."""
        self.released.clear()

    def slow_down(self, line: Line) -> None:
        """All connections are like this until `reset`."""
        self.line = line

    def accept(self) -> None:
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            self.accepted += 1
            pair = (client, server)
            for end in pair:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.add(pair)
            self.silent |= {(pair, way) for way in self.swallowed_anew}
            threading.Thread(target=self.forward, args=(pair,), daemon=True).start()

    def forward(self, pair: Pair) -> None:
        other = threading.Thread(target=self.carry, args=(pair, SERVER), daemon=True)
        other.start()
        self.carry(pair, CLIENT)
        other.join()
        for end in pair:
            end.close()

    def carry(self, pair: Pair, way: int) -> None:
        """One way of a connection, until one side has gone: then so does the other."""
        source, sink = pair[way], pair[1 - way]
        waiting: deque[tuple[float, bytes]] = deque()  # when it is due
        try:
            while pair in self.open and not self.closing:
                if not self.released.wait(0.1):
                    continue
                if waiting and waiting[0][0] <= time.monotonic():
                    self.send(sink, waiting.popleft()[1])
                    continue
                if (pair, way) in self.silent:
                    time.sleep(0.1)
                    continue
                pause = max(0, waiting[0][0] - time.monotonic()) if waiting else 0.1
                is_full = sum(len(data) for _, data in waiting) >= HELD_BYTES_MAX
                is_there = select.select([] if is_full else [source], [], [], min(pause, 0.1))[0]
                if is_there and (pair, way) not in self.silent:
                    data = source.recv(65536)
                    if not data:
                        break
                    waiting.append((time.monotonic() + self.line.delay_seconds, self.allowed(pair, way, data)))
        except OSError:
            pass  # one side has gone
        finally:
            self.open.discard(pair)
            shut(pair)

    def allowed(self, pair: Pair, way: int, data: bytes) -> bytes:
        if way == SERVER and pair in self.left:
            data = data[: self.left[pair]]
            self.left[pair] -= len(data)
            if self.left[pair] == 0:
                self.silent |= {(pair, way) for way in BOTH_WAYS}
        return data

    def send(self, sink: socket.socket, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.closing:
            line = self.line
            piece = data[at : at + line.piece_bytes]
            sink.sendall(piece)
            at += len(piece)
            if line.bytes_per_second:
                time.sleep(len(piece) / line.bytes_per_second)


def shut(pair: Pair) -> None:
    for end in pair:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster
