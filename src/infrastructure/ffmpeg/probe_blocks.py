"""Aligned blocks of the source, fetched once and counted: what the probing process reads is what storage is asked for."""

from __future__ import annotations

import time
from collections import OrderedDict

from src.application.ports.media import ReadRange
from src.domain.errors import LimitsExceeded, StorageUnavailable

BLOCK_BYTES = 256 * 1024
BLOCKS_KEPT = 64
"""16 MiB: the demuxer jumps between header, index and samples, and asks in small pieces."""


class BlockReader:
    """Serves any range from whole blocks. `bytes_read`, `reads` and `seconds` count what `read` was asked for; more than
    `most_bytes` raises LimitsExceeded."""

    def __init__(self, read: ReadRange, size: int, *, most_bytes: int, block_bytes: int = BLOCK_BYTES) -> None:
        self._read = read
        self._size = size
        self._most_bytes = most_bytes
        self._block_bytes = block_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.bytes_read = 0
        self.reads = 0
        self.seconds = 0.0

    def read(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset+length), cut at the end of the source."""
        end = min(offset + length, self._size)
        parts = []
        while offset < end:
            number, within = divmod(offset, self._block_bytes)
            part = self._block(number)[within : within + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * self._block_bytes
        length = min(self._block_bytes, self._size - start)
        if self.bytes_read + length > self._most_bytes:
            raise LimitsExceeded(
                f"finding out what the source is would take reading more than {self._most_bytes} bytes of it",
                fix="export the video again with its index in front (faststart)",
            )
        began = time.monotonic()
        block = self._read(start, length)
        self.seconds += time.monotonic() - began
        if len(block) != length:
            raise StorageUnavailable(f"the source gave {len(block)} bytes at {start} instead of {length}")
        self.bytes_read += length
        self.reads += 1
        self._blocks[number] = block
        while len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block
