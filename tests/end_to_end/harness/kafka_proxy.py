"""A TCP proxy before a Kafka broker. It knows where requests and answers begin and end, so that a test can keep
one request back and deliver it later, or delay the answers of one kind."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Kafka's numbers of requests.
PRODUCE, ADD_PARTITIONS_TO_TXN, END_TXN = 0, 24, 26

ANSWER_SECONDS_MAX = 30


@dataclass(frozen=True)
class Request:
    """A request without the length before it."""

    body: bytes

    @property
    def api_key(self) -> int:
        return struct.unpack_from(">h", self.body)[0]

    @property
    def correlation(self) -> bytes:
        return self.body[4:8]

    def names(self, topic: str) -> bool:
        return topic.encode() in self.body


@dataclass
class Held:
    """A request that did not go on to the broker. The client's side of its connection was cut, the broker's is open."""

    api_key: int
    caught: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    request: Request | None = None
    server: socket.socket | None = None
    answer: bytes = b""

    @property
    def is_commit(self) -> bool:
        """Of an EndTxn, whose last byte says whether to commit or to abort."""
        return self.request.body[-1] == 1

    @property
    def epoch(self) -> int:
        """Of an EndTxn: the producer's epoch."""
        return struct.unpack(">h", self.request.body[-3:-1])[0]

    def deliver(self) -> int:
        """Sends it to the broker at last, and returns the error code of the answer to an EndTxn."""
        send(self.server, self.request.body)
        assert self.answered.wait(ANSWER_SECONDS_MAX), "the broker has not answered the request that was held back"
        # Correlation id and throttle time, four bytes each, come first.
        return struct.unpack_from(">h", self.answer, 8)[0]


class KafkaProxy:
    """Forwards from a port of its own to the port `target`, with two threads for each connection.

    `before_request` and `after_answer` are called by these threads: a request waits until the first has returned,
    the second is called when the answer was sent to the client."""

    def __init__(self) -> None:
        self.target: int | None = None
        self.before_request: Callable[[Request], None] = lambda request: None
        self.after_answer: Callable[[Request], None] = lambda request: None
        self.answer_delay_seconds: dict[int, float] = {}  # by api key
        self.to_hold: Held | None = None
        self.lock = threading.Lock()
        self.links: set[Link] = set()
        self.failure: BaseException | None = None
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.2)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self) -> "KafkaProxy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        self.thread.join()
        self.listener.close()
        for link in list(self.links):
            shut(link.client)
            shut(link.server)

    def reset(self) -> None:
        """Forwards everything as it comes, as at the beginning."""
        self.before_request = self.after_answer = lambda request: None
        self.answer_delay_seconds, self.to_hold, self.failure = {}, None, None

    def check(self) -> None:
        """Fails if one of the threads has."""
        if self.failure is not None:
            raise self.failure

    def hold_next(self, api_key: int) -> Held:
        """Keeps the next such request back, and cuts the client's side of its connection: the client has to try again."""
        self.to_hold = Held(api_key)
        return self.to_hold

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
            server.settimeout(None)
            link = Link(self, client, server)
            self.links.add(link)
            answers = threading.Thread(target=self.run, args=(link.answers,), daemon=True)
            threading.Thread(target=self.carry, args=(link, answers), daemon=True).start()

    def carry(self, link: "Link", answers: threading.Thread) -> None:
        """Both directions of one connection, until the end of both."""
        answers.start()
        self.run(link.requests)
        shut(link.client)
        if link.held is None:
            shut(link.server)
        answers.join()
        link.client.close()
        link.server.close()
        self.links.discard(link)

    def run(self, direction: Callable[[], None]) -> None:
        try:
            direction()
        except OSError:
            pass  # one side has gone; so does the other
        except BaseException as failure:
            self.failure = failure

    def take_held(self, request: Request) -> Held | None:
        with self.lock:
            held = self.to_hold
            if held is None or held.api_key != request.api_key:
                return None
            self.to_hold = None
            return held


class Link:
    """One connection of a client, and ours to the broker on its behalf."""

    def __init__(self, proxy: KafkaProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.open: dict[bytes, Request] = {}  # by correlation id
        self.held: Held | None = None

    def requests(self) -> None:
        while (body := receive(self.client)) is not None:
            request = Request(body)
            self.held = self.proxy.take_held(request)
            if self.held is not None:
                self.held.request, self.held.server = request, self.server
                self.held.caught.set()
                return
            self.proxy.before_request(request)
            self.open[request.correlation] = request
            send(self.server, body)

    def answers(self) -> None:
        try:
            self.pass_answers()
        finally:
            shut(self.client)

    def pass_answers(self) -> None:
        while (body := receive(self.server)) is not None:
            if self.held is not None and body[:4] == self.held.request.correlation:
                self.held.answer = body
                self.held.answered.set()
                continue
            request = self.open.pop(body[:4])
            time.sleep(self.proxy.answer_delay_seconds.get(request.api_key, 0))
            if self.held is None:
                send(self.client, body)
                self.proxy.after_answer(request)


def send(to: socket.socket, body: bytes) -> None:
    to.sendall(struct.pack(">i", len(body)) + body)


def receive(source: socket.socket) -> bytes | None:
    """What follows a length; None at the end of the stream."""
    length = receive_exactly(source, 4)
    return None if length is None else receive_exactly(source, struct.unpack(">i", length)[0])


def receive_exactly(source: socket.socket, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        more = source.recv(length - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


def shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was faster
