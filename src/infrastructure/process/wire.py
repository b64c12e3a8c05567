"""Frames between supervisor and executor: a 4-byte length and JSON. Never pickle: an executor handles hostile input."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from src.application.ports.executor import WorkOrder

HEADER = struct.Struct("!I")
LARGEST = 16 * 1024 * 1024
"""Bytes of one frame; a result or an order is far below it, a runaway reply is cut off here."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Made once: `json.dumps` with options makes an encoder per call."""


def text_of(document: object) -> str:
    """JSON. Raises TypeError or ValueError for what is none."""
    return _encode(document)


def pack_order(order: WorkOrder, number: int) -> list[Any]:
    """An order as a list, numbered by its sender: names would be most of a short job's frame."""
    return [number, *order]


def unpack_order(values: list[Any]) -> tuple[int, WorkOrder]:
    """What `pack_order` packed. Raises TypeError when it is none."""
    return values[0], WorkOrder._make(values[1:])


def send(channel: socket.socket, document: object) -> None:
    """Write one frame. Raises OSError when the other side is gone, ValueError when the document is too large."""
    send_text(channel, _encode(document))


def send_text(channel: socket.socket, text: str) -> None:
    """Write one frame that is JSON already."""
    channel.sendall(_frame(text))


def send_now(channel: socket.socket, text: str) -> bool:
    """Write one small frame if there is room for it; False when there is none. Raises OSError."""
    frame = _frame(text)
    try:
        sent = channel.send(frame, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    if sent < len(frame):
        raise OSError(f"{sent} of a frame's {len(frame)} bytes were taken")
    return True


def _frame(text: str) -> bytes:
    body = text.encode()
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
