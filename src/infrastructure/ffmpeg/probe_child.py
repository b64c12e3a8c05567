"""The probing process: opens one untrusted file with PyAV, reading it through its parent, and answers with facts.

Started by prober.py as a program of its own, with a socket as standard input and nothing else. It dials nothing and opens
no file: every byte of the source comes from the parent over the socket. It may crash, hang or be killed at any time.

Frames on the socket are a 4-byte big-endian length and a body. Parent to child: the request (JSON), then the bytes asked
for. Child to parent: JSON, `{"read": [offset, length]}` any number of times, then `{"facts": ..}` or `{"error": ..}` once.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from typing import Any

from src.domain.errors import JobError, LimitsExceeded
from src.infrastructure.ffmpeg.probe_facts import facts_of
from src.infrastructure.ffmpeg.probe_open import Request


class Channel:
    """Length-prefixed frames over the socket to the parent."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, document: dict[str, Any]) -> None:
        """Send one JSON frame."""
        body = json.dumps(document).encode()
        self._connection.sendall(len(body).to_bytes(4) + body)

    def receive(self) -> bytes:
        """The next frame; EOFError when the parent is gone."""
        return self._exactly(int.from_bytes(self._exactly(4)))

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


def answer(channel: Channel) -> dict[str, Any]:
    """Read the request, look at the file, and say what it is or what is wrong with it."""
    request = Request(**json.loads(channel.receive()))
    source = RemoteFile(channel, request.size)
    try:
        return {"facts": facts_of(source, source.read_at, request)}
    except JobError as error:
        return _refusal(error)
    except MemoryError:
        return _refusal(LimitsExceeded("reading its headers takes more memory than the probe may use"))


def _refusal(error: JobError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message, "fix": error.fix}}


def main() -> int:
    """Serve one request on standard input."""
    channel = Channel(socket.socket(fileno=0))
    channel.send(answer(channel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
