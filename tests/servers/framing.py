"""Where one request or one reply ends, for the protocols that the proxy understands: no more than that."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

PIECE = 64 << 10


class Ended(Exception):
    """The other side closed the connection."""


@dataclass
class Tap:
    """What comes in on a socket, handed to `out` in the order in which it is read."""

    sock: socket.socket
    out: Callable[[bytes], object]
    _waiting: bytearray = field(default_factory=bytearray)

    def wait(self) -> None:
        """Until there is something to read. Raises Ended."""
        if not self._waiting:
            self._more()

    def exact(self, count: int) -> bytes:
        """So many bytes."""
        while len(self._waiting) < count:
            self._more()
        return self._taken(count)

    def line(self) -> bytes:
        """To the next end of a line, which is included."""
        while (end := self._waiting.find(b"\r\n")) < 0:
            self._more()
        return self._taken(end + 2)

    def stream(self, count: int) -> None:
        """So many bytes, without keeping them."""
        while count > 0:
            self.wait()
            count -= len(self._taken(min(count, len(self._waiting))))

    def to_the_end(self) -> None:
        """All until the other side closes. Raises Ended then."""
        while True:
            self.wait()
            self._taken(len(self._waiting))

    def _taken(self, count: int) -> bytes:
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        self.out(taken)
        return taken

    def _more(self) -> None:
        piece = self.sock.recv(PIECE)
        if not piece:
            raise Ended
        self._waiting += piece


@dataclass
class Request:
    """One thing asked. `text` is what patterns are matched with: all of it, for HTTP the head."""

    text: bytes
    replies: bool = True
    """whether the server answers it at all"""
    note: str = ""
    """what the framing has to remember for the reply"""


class Framing(Protocol):
    """One connection's worth of a protocol."""

    def request(self, tap: Tap) -> Request:
        """Read one request, or of HTTP its head."""

    def body(self, tap: Tap, request: Request) -> None:
        """Read what belongs to the request besides."""

    def reply(self, tap: Tap, request: Request | None) -> bool:
        """Read a piece of a reply; whether the reply is complete. Without a request: something the server says by itself."""


class Resp:
    """Redis, in both versions of its protocol."""

    def request(self, tap: Tap) -> Request:
        parts = []
        for _ in range(int(tap.line()[1:])):
            parts.append(tap.exact(int(tap.line()[1:])))
            tap.exact(2)
        return Request(b" ".join(parts))

    def body(self, tap: Tap, request: Request) -> None:
        """None: a request is read whole."""

    def reply(self, tap: Tap, request: Request | None) -> bool:
        return self._value(tap) != b">" or request is None

    def _value(self, tap: Tap) -> bytes:
        head = tap.line()
        kind, count = head[:1], head[1:-2]
        if kind in b"$=!" and int(count) >= 0:
            tap.exact(int(count) + 2)
        elif kind in b"*~>%|":
            for _ in range(max(0, int(count)) * (2 if kind in b"%|" else 1)):
                self._value(tap)
        return kind


SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


@dataclass
class Postgres:
    """A request ends with the message that makes the server answer and say that it is ready."""

    started: bool = False

    def request(self, tap: Tap) -> Request:
        if not self.started:
            return self._startup(tap)
        text = b""
        while True:
            kind = tap.exact(1)
            content = tap.exact(struct.unpack("!i", tap.exact(4))[0] - 4)
            text += kind + content
            if kind in b"QSF":
                return Request(text)
            if kind in b"Xpd":
                return Request(text, replies=False)

    def _startup(self, tap: Tap) -> Request:
        content = tap.exact(struct.unpack("!i", tap.exact(4))[0] - 4)
        (code,) = struct.unpack("!i", content[:4])
        if code in (SSL_REQUEST, GSS_REQUEST):
            return Request(content, note="byte")
        self.started = True
        return Request(content, replies=code != CANCEL_REQUEST)

    def body(self, tap: Tap, request: Request) -> None:
        """None: a request is read whole."""

    def reply(self, tap: Tap, request: Request | None) -> bool:
        kind = tap.exact(1)
        if request is not None and request.note == "byte":
            return True
        tap.exact(struct.unpack("!i", tap.exact(4))[0] - 4)
        return kind == b"Z" or request is None


class Http:
    """HTTP/1.1, connections kept. Interim answers (100) are passed on and end nothing."""

    def request(self, tap: Tap) -> Request:
        head = self._head(tap)
        return Request(head, note=head.split(b" ", 1)[0].decode())

    def body(self, tap: Tap, request: Request) -> None:
        self._content(tap, request.text, until_closed=False)

    def reply(self, tap: Tap, request: Request | None) -> bool:
        head = self._head(tap)
        status = int(head.split(b" ", 2)[1])
        if 100 <= status < 200:
            return request is None
        if (request is None or request.note != "HEAD") and status not in (204, 304):
            self._content(tap, head, until_closed=True)
        return True

    @staticmethod
    def _head(tap: Tap) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += tap.line()
        return head

    @staticmethod
    def _content(tap: Tap, head: bytes, *, until_closed: bool) -> None:
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            while size := int(tap.line().split(b";")[0], 16):
                tap.stream(size + 2)
            while tap.line() != b"\r\n":
                pass
        elif b"content-length" in fields:
            tap.stream(int(fields[b"content-length"]))
        elif until_closed:
            tap.to_the_end()


FRAMINGS: dict[str, Callable[[], Framing]] = {"redis": Resp, "postgres": Postgres, "s3": Http, "sqs": Http}
"""By the kind of server."""
