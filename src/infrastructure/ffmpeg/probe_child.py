"""The probing process: opens one untrusted file with PyAV, reading it through its parent, and answers with facts.

Started by prober.py as a program of its own, with a socket as standard input and nothing else. It dials nothing and opens
no file: every byte of the source comes from the parent over the socket. It may crash, hang or be killed at any time.

Frames on the socket are a 4-byte big-endian length and a body. Parent to child: the request (JSON), then the bytes asked
for. Child to parent: JSON, `{"read": [offset, length]}` any number of times, then `{"facts": ..}` or `{"error": ..}` once.
A child that was asked to stay then answers each `{"cut": second}` likewise: reads, then `{"cut": {.., "bytes": n}}` and n bytes
as frames of at most 512 KiB, `{"cut": null}`, `{"unable": words}`, or `{"error": ..}`. It ends when the parent closes.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable
from typing import Any

from src.domain.errors import JobError, LimitsExceeded
from src.infrastructure.ffmpeg.probe_cut import Cut, Cutter, Uncuttable
from src.infrastructure.ffmpeg.probe_facts import facts_of
from src.infrastructure.ffmpeg.probe_open import Request, open_source

PIECE_BYTES = 512 * 1024
"""Half of what the parent takes in one frame."""


class Channel:
    """Length-prefixed frames over the socket to the parent."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, document: dict[str, Any]) -> None:
        """Send one JSON frame."""
        body = json.dumps(document).encode()
        self._connection.sendall(len(body).to_bytes(4) + body)

    def send_bytes(self, content: bytes) -> None:
        """Send content as frames that the parent takes."""
        for offset in range(0, len(content), PIECE_BYTES):
            piece = content[offset : offset + PIECE_BYTES]
            self._connection.sendall(len(piece).to_bytes(4) + piece)

    def receive(self) -> bytes:
        """The next frame; EOFError when the parent is gone."""
        return self._exactly(int.from_bytes(self._exactly(4)))

    def next_order(self) -> dict[str, Any] | None:
        """What the parent wants next; None when it wants nothing more."""
        try:
            order: dict[str, Any] = json.loads(self.receive())
        except EOFError:
            return None
        return order

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self._connection.recv(length - len(parts))
            if not part:
                raise EOFError("the parent closed the socket")
            parts += part
        return bytes(parts)


class RemoteFile(io.RawIOBase):
    """A seekable file whose bytes the parent hands out."""

    def __init__(self, channel: Channel, size: int) -> None:
        super().__init__()
        self._channel = channel
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; a position outside the file is moved to its edge."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = min(max(0, base + offset), self._size)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes from here on."""
        left = self._size - self._position
        content = self.read_at(self._position, left if size is None or size < 0 else min(size, left))
        self._position += len(content)
        return content

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on."""
        length = min(length, max(0, self._size - offset))
        if length <= 0 or offset < 0:
            return b""
        self._channel.send({"read": [offset, length]})
        return self._channel.receive()


def serve(channel: Channel) -> None:
    """Read the request, look at the file, say what it is or what is wrong with it; cut pieces out of it if asked to stay."""
    request = Request(**json.loads(channel.receive()))
    source = RemoteFile(channel, request.size)
    facts = _tried(lambda: {"facts": facts_of(source, source.read_at, request)})
    channel.send(facts)
    video = facts.get("facts", {}).get("video")
    if not request.cuts or video is None:
        return
    cutter: Cutter | None = None
    # Nothing is read before an order came: the parent answers reads only while it waits for what it ordered.
    while (order := channel.next_order()) is not None:
        cutter = cutter or Cutter(open_source(source, request), request.demuxer, video["index"])
        _send_cut(channel, cutter, float(order["cut"]))


def _send_cut(channel: Channel, cutter: Cutter, second: float) -> None:
    reply = _tried(lambda: {"cut": cutter.cut(second)})
    if not isinstance(cut := reply.get("cut"), Cut):
        channel.send(reply)
        return
    about = {"container": cut.container, "second": cut.second, "begins": cut.begins, "bytes": len(cut.content)}
    channel.send({"cut": about})
    channel.send_bytes(cut.content)


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return look()
    except JobError as error:
        return _refusal(error)
    except Uncuttable as error:
        return {"unable": str(error)}
    except MemoryError:
        return _refusal(LimitsExceeded("reading its headers takes more memory than the probe may use"))


def _refusal(error: JobError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message, "fix": error.fix}}


def main() -> int:
    """Serve one request on standard input."""
    serve(Channel(socket.socket(fileno=0)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
