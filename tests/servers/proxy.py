"""A proxy on loopback between a client and a real server that stalls, cuts and drops what passes, at a chosen command.

    with Proxy.to(server) as proxy, proxy.fault(Act.LOSE_REPLY, rb"COMMIT"):
        ...  # the client, at proxy.url, hears nothing of its next COMMIT, which the server has carried out

A fault whose point was never reached fails the test that planned it.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.servers.framing import FRAMINGS, Ended, Framing, Request, Tap
from tests.servers.process import Server

BOUND_SECONDS = 60.0
"""Only so that a broken test ends."""

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Act(StrEnum):
    """What happens to a request, or to its reply."""

    LOSE_REQUEST = "lose request"
    """The connection is cut; the server never hears of it."""
    LOSE_REPLY = "lose reply"
    """The server has done it and answered; the connection is cut before the client hears."""
    CUT_REPLY = "cut reply"
    """The connection is cut in the middle of the reply."""
    STALL = "stall"
    """The reply is held back for `seconds`."""
    ANSWER = "answer"
    """The proxy answers itself (HTTP), and the server never hears of it."""


@dataclass
class Fault:
    """Meets the requests that contain `pattern` (a regular expression), from the `nth` on, `times` of them (None: all)."""

    act: Act
    pattern: bytes
    after: bytes | None = None
    """Only where a request with this in it came before on the same connection, since the last one that `pattern` fits: the
    COMMIT of a certain transaction."""
    nth: int = 1
    times: int | None = 1
    seconds: float = 0.0
    status: int = 503
    body: bytes = BUSY
    after_bytes: int | None = None
    """CUT_REPLY: how much of the reply passes; None: half of it"""
    met: int = 0
    hits: int = 0
    """how often it was done"""
    reached: threading.Event = field(default_factory=threading.Event)

    def meets(self, request: Request, before: Sequence[bytes]) -> bool:
        """Whether this request's turn has come. `before`: what was asked on the same connection, oldest first."""
        if not re.search(self.pattern, request.text, re.DOTALL):
            return False
        since = list(takewhile(lambda text: not re.search(self.pattern, text, re.DOTALL), reversed(before)))
        if self.after is not None and not any(re.search(self.after, text, re.DOTALL) for text in since):
            return False
        self.met += 1
        return self.met >= self.nth and (self.times is None or self.met < self.nth + self.times)

    def wait(self, seconds: float = BOUND_SECONDS) -> None:
        """Until it was done once."""
        assert self.reached.wait(seconds), f"{self.act} at {self.pattern!r} was never reached"

    def done(self) -> None:
        """Count it."""
        self.hits += 1
        self.reached.set()


class Proxy:
    """Listens from the start; `url` is the server's, with the proxy's port."""

    def __init__(self, url: str, framing: Callable[[], Framing]) -> None:
        target = urlsplit(url)
        assert target.hostname is not None
        assert target.port is not None
        self.target = (target.hostname, target.port)
        self.framing = framing
        self.done: Counter[str] = Counter()
        """{act: how often}; "request" and "connection" count what came through"""
        self._asked: list[bytes] = []
        self._faults: list[Fault] = []
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._listening.getsockname()[1])
        login = target.netloc.rpartition("@")[0]
        self.url = target._replace(netloc=f"{login + '@' if login else ''}127.0.0.1:{self.port}").geturl()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @classmethod
    def to(cls, server: Server) -> Proxy:
        """In front of a server of the tests."""
        return cls(server.url, FRAMINGS[server.name])

    def in_front(self, url: str) -> str:
        """Another address on the same server (a database of it), by way of the proxy."""
        return url.replace(f":{self.target[1]}", f":{self.port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Cut everything, listen no more."""
        self._closed = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection there is."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def asked(self, pattern: bytes) -> int:
        """How many requests with that in them came so far, those that met a fault included."""
        with self._lock:
            return sum(1 for text in self._asked if re.search(pattern, text, re.DOTALL))

    def plan(self, fault: Fault) -> Fault:
        """From now on; stays until `lift`."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def lift(self, fault: Fault) -> None:
        """No more of it."""
        with self._lock:
            self._faults.remove(fault)

    @contextmanager
    def fault(self, act: Act, pattern: bytes, **more: object) -> Iterator[Fault]:
        """For as long as the block takes. Raises AssertionError when its point was not reached."""
        planned = self.plan(Fault(act, pattern, **more))  # type: ignore[arg-type]
        try:
            yield planned
        finally:
            self.lift(planned)
        assert planned.hits, f"{act} at {pattern!r} was never reached; it was asked {self._asked[-20:]}"

    # ------------------------------------------------------------------ for the links
    def met(self, request: Request, before: Sequence[bytes]) -> Fault | None:
        """The fault that this request meets, if any; the first of them."""
        with self._lock:
            self._asked.append(request.text[:2000])
            self.done["request"] += 1
            return next((fault for fault in self._faults if fault.meets(request, before)), None)

    def did(self, fault: Fault) -> None:
        """Counted before the client can see it."""
        with self._lock:
            self.done[fault.act.value] += 1
            fault.done()

    def gone(self, link: Link) -> None:
        """A connection ended."""
        with self._lock:
            self._links.discard(link)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=BOUND_SECONDS)
            except OSError:
                # The server is away: the client hears so at once, as it would without the proxy.
                client.close()
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, client, server, self.framing())
            with self._lock:
                self.done["connection"] += 1
                self._links.add(link)
            link.start()


class Link:
    """One connection: a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket, framing: Framing) -> None:
        self.proxy, self.client, self.server, self.framing = proxy, client, server, framing
        self._unanswered: deque[tuple[Request, Fault | None]] = deque()
        self._answered = threading.Condition()
        self._before: deque[bytes] = deque(maxlen=20)

    def start(self) -> None:
        """Begin to pass things on."""
        for work in (self._ask, self._answer):
            threading.Thread(target=self._until_cut, args=(work,), name=work.__name__, daemon=True).start()

    def cut(self) -> None:
        """End it, on both sides at once."""
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _until_cut(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (Ended, OSError):
            # The usual end: one side has closed, or a fault has cut.
            self.cut()
        finally:
            with self._answered:
                self._answered.notify_all()
            self.proxy.gone(self)

    # ------------------------------------------------------------------ to the server
    def _ask(self) -> None:
        held = bytearray()
        tap = Tap(self.client, held.extend)
        while True:
            tap.out = held.extend
            request = self.framing.request(tap)
            fault = self.proxy.met(request, self._before)
            self._before.append(request.text)
            if fault is not None and fault.act is Act.LOSE_REQUEST:
                self.proxy.did(fault)
                raise Ended
            if fault is not None and fault.act is Act.ANSWER:
                self._answer_itself(tap, request, fault)
            else:
                if request.replies:
                    self._unanswered.append((request, fault))
                self.server.sendall(held)
                tap.out = self.server.sendall
                self.framing.body(tap, request)
            held.clear()

    def _answer_itself(self, tap: Tap, request: Request, fault: Fault) -> None:
        with self._answered:
            # Replies come in the order of the requests.
            self._answered.wait_for(lambda: not self._unanswered, BOUND_SECONDS)
        expects = b"\r\nexpect: 100-continue" in request.text.lower()
        tap.out = lambda _: None
        if not expects:
            self.framing.body(tap, request)
        self.proxy.did(fault)
        content = b"" if request.note == "HEAD" else fault.body
        # A client that was not told to go on does not send its body: this connection can't be used again.
        ending = "close" if expects else "keep-alive"
        head = f"HTTP/1.1 {fault.status} Fault\r\nContent-Length: {len(content)}\r\nConnection: {ending}\r\n\r\n"
        self.client.sendall(head.encode() + content)
        if expects:
            raise Ended

    # ------------------------------------------------------------------ to the client
    def _answer(self) -> None:
        tap = Tap(self.server, self.client.sendall)
        while True:
            tap.wait()
            request, fault = self._unanswered[0] if self._unanswered else (None, None)
            held = bytearray()
            tap.out = self.client.sendall if fault is None else held.extend
            while not self.framing.reply(tap, request):
                pass
            if fault is not None:
                self._spoil(fault, held)
            if request is not None:
                with self._answered:
                    self._unanswered.popleft()
                    self._answered.notify_all()

    def _spoil(self, fault: Fault, reply: bytearray) -> None:
        self.proxy.did(fault)
        if fault.act is Act.LOSE_REPLY:
            raise Ended
        if fault.act is Act.STALL:
            threading.Event().wait(fault.seconds)
            self.client.sendall(reply)
            return
        passed = len(reply) // 2 if fault.after_bytes is None else fault.after_bytes
        self.client.sendall(reply[:passed])
        raise Ended
