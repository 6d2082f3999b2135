"""An HTTP proxy before a schema registry, which answers some requests itself, or all of them late."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import requests

Answer = tuple[int, Any]  # status and what becomes JSON

# Of a request and of an answer, not of the connection.
PASSED_ON = ("accept", "content-type")


class RegistryProxy:
    """Forwards from a port of its own to the registry at `target`, with a thread for each connection.

    `answer` is asked first, with the method and the path; what it returns is sent, and the registry gets nothing.
    `replace` is asked when the registry has answered; what it returns is sent in the place of that."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.reset()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}{self.target.path}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "RegistryProxy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def reset(self) -> None:
        """Forwards everything at once, as at the beginning."""
        self.answer: Callable[[str, str], Answer | None] = lambda method, path: None
        self.replace: Callable[[str, str], Answer | None] = lambda method, path: None
        self.delay_seconds = 0.0
        self.asked: list[tuple[str, str]] = []

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.asked.append((method, path))
        time.sleep(self.delay_seconds)
        if (own := self.answer(method, path)) is not None:
            return own[0], json.dumps(own[1]).encode()
        url = f"{self.target.scheme}://{self.target.netloc}{path}"
        answer = requests.request(method, url, headers=headers, data=body, timeout=30)
        if (own := self.replace(method, path)) is not None:
            return own[0], json.dumps(own[1]).encode()
        return answer.status_code, answer.content


def handler_of(proxy: RegistryProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
            status, answer = proxy.forward(self.command, self.path, headers, body)
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                pass  # the client did not wait for it

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at `asked`."""

    return Handler
