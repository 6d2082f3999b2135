"""A TCP proxy that can cut connections, or swallow what they carry without closing them."""

import select
import socket
import threading
import time

Pair = tuple[socket.socket, socket.socket]  # client, server


class Proxy:
    """Forwards from a port of its own to `target`, with a thread for each connection."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.open: set[Pair] = set()
        self.silent: set[Pair] = set()
        self.left: dict[Pair, int] = {}  # bytes that may still come from the server
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

    def cut(self) -> None:
        """Ends all connections; new ones are accepted."""
        for pair in list(self.open):
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other side was faster

    def swallow(self) -> None:
        """From now on the connections that are open carry nothing, and nobody is told; new ones work."""
        self.silent |= self.open

    def swallow_after(self, bytes_from_server: int) -> None:
        """The same, but not before the server has sent so many bytes more on that connection."""
        self.left.update(dict.fromkeys(self.open, bytes_from_server))

    def accept(self) -> None:
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            self.accepted += 1
            pair = (client, server)
            self.open.add(pair)
            threading.Thread(target=self.forward, args=(pair,), daemon=True).start()

    def forward(self, pair: Pair) -> None:
        client, server = pair
        try:
            while not self.closing:
                if pair in self.silent:
                    time.sleep(0.1)
                    continue
                for source in select.select(pair, [], [], 0.1)[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is server and pair in self.left:
                        data = data[: self.left[pair]]
                        self.left[pair] -= len(data)
                        if self.left[pair] == 0:
                            self.silent.add(pair)
                    (server if source is client else client).sendall(data)
        except OSError:
            pass  # one side has gone; so does the other
        finally:
            self.open.discard(pair)
            client.close()
            server.close()
