"""Frames between supervisor and executor: a 4-byte length and JSON. Never pickle: an executor handles hostile input."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from src.application.ports.executor import WorkOrder

HEADER = struct.Struct("!I")
LARGEST = 16 * 1024 * 1024
"""Bytes of one frame; a result or an order is far below it, a runaway reply is cut off here."""

ORDERS_BYTES = 4 << 20
"""Of one frame of several orders; far below LARGEST."""

_OWN = itemgetter(slice(0, 3))
_COMMON = itemgetter(slice(3, None))
"""Of a WorkOrder."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Made once: `json.dumps` with options makes an encoder per call."""


def text_of(document: object) -> str:
    """JSON. Raises TypeError or ValueError for what is none."""
    return _encode(document)


def order_frames(orders: Sequence[WorkOrder], first: int) -> Iterator[bytes]:
    """Frames for these orders, numbered from `first`. What neighbours have in common is said once: with it, a short job's order took
    three times as long to write. Raises ValueError or TypeError for a payload that JSON has no words for."""
    groups: list[Any] = []
    number = first
    for common, some in groupby(orders, key=_COMMON):
        own = list(map(_OWN, some))
        groups.append((number, common, own))
        number += len(own)
    body = _encode({"orders": groups}).encode()
    if len(body) <= ORDERS_BYTES or len(orders) == 1:
        yield _frame(body)
        return
    half = len(orders) // 2
    yield from order_frames(orders[:half], first)
    yield from order_frames(orders[half:], first + half)


def orders_of(groups: Iterable[Any]) -> Iterator[tuple[int, WorkOrder]]:
    """What `order_frames` packed, each with its number. Raises ValueError or TypeError when it is none."""
    for first, common, several in groups:
        for number, own in enumerate(several, first):
            yield number, WorkOrder(*own, *common)


def send(channel: socket.socket, document: object) -> None:
    """Write one frame. Raises OSError when the other side is gone, ValueError when the document is too large."""
    send_text(channel, _encode(document))


def send_text(channel: socket.socket, text: str) -> None:
    """Write one frame that is JSON already."""
    channel.sendall(_frame(text.encode()))


def send_now(channel: socket.socket, text: str) -> bool:
    """Write one small frame if there is room for it; False when there is none. Raises OSError."""
    frame = _frame(text.encode())
    try:
        sent = channel.send(frame, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    if sent < len(frame):
        raise OSError(f"{sent} of a frame's {len(frame)} bytes were taken")
    return True


def _frame(body: bytes) -> bytes:
    if len(body) > LARGEST:
        raise ValueError(f"frame of {len(body)} bytes, more than {LARGEST}")
    return HEADER.pack(len(body)) + body


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """Read one frame; None at the end of the stream. Raises ValueError for a frame that is not ours."""
    header = _exactly(channel, HEADER.size)
    if header is None:
        return None
    (length,) = HEADER.unpack(header)
    if length > LARGEST:
        raise ValueError(f"frame of {length} bytes announced, more than {LARGEST}")
    body = _exactly(channel, length)
    if body is None:
        return None
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("a frame is a JSON object")  # noqa: TRY004 - a protocol breach, not a programming error
    return document


def _exactly(channel: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        try:
            part = channel.recv(min(262144, length - len(parts)))
        except ConnectionResetError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
