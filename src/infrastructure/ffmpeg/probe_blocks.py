"""Aligned blocks of the source, fetched once and counted: what the probing process reads is what storage is asked for."""

from __future__ import annotations

import time
from collections import OrderedDict

from src.application.ports.media import ReadRange
from src.domain.errors import LimitsExceeded, StorageUnavailable

BLOCK_BYTES = 256 * 1024
BLOCKS_KEPT = 64
"""16 MiB: the demuxer jumps between header, index and samples, and asks in small pieces."""
MOST_AHEAD = 4
"""Blocks of one request, when the ones before them were asked for in turn: 1 MiB takes as long to arrive as a request takes to
be answered (20 ms at 400 Mbit/s), and is what is read in vain at most."""


class BlockReader:
    """Serves any range from whole blocks. `bytes_read`, `reads` and `seconds` count what `read` was asked for; more than
    `most_bytes` raises LimitsExceeded."""

    def __init__(self, read: ReadRange, size: int, *, most_bytes: int, block_bytes: int = BLOCK_BYTES) -> None:
        self._read = read
        self._size = size
        self._most_bytes = self._allowed = most_bytes
        self._block_bytes = block_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = self._ahead = 1
        self.bytes_read = 0
        self.reads = 0
        self.seconds = 0.0

    def allow_again(self) -> None:
        """As much once more as `most_bytes`: somebody begins from the start, whom the one before concerns nothing."""
        self._allowed = self.bytes_read + self._most_bytes

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
        if number not in self._blocks:
            # Twice as much each time that reading goes on where it was: a keyframe and what follows it is a megabyte or two.
            self._ahead = min(2 * self._ahead, MOST_AHEAD) if number == self._next else 1
            self._fetch(number, self._wanted(number))
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _wanted(self, number: int) -> int:
        """How many blocks to ask for: none that is there already, nor more than may be read."""
        count = 1
        while count < self._ahead and (number + count) * self._block_bytes < self._size:
            is_dear = self.bytes_read + (count + 1) * self._block_bytes > self._allowed
            if is_dear or number + count in self._blocks:
                break
            count += 1
        return count

    def _fetch(self, number: int, count: int) -> None:
        start = number * self._block_bytes
        length = min(count * self._block_bytes, self._size - start)
        if self.bytes_read + length > self._allowed:
            raise LimitsExceeded(
                f"finding out what the source is would take reading more than {self._most_bytes} bytes of it",
                fix="export the video again with its index in front (faststart)",
            )
        began = time.monotonic()
        content = self._read(start, length)
        self.seconds += time.monotonic() - began
        if len(content) != length:
            raise StorageUnavailable(f"the source gave {len(content)} bytes at {start} instead of {length}")
        self.bytes_read += length
        self.reads += 1
        self._next = number + count
        for each in range(count):
            self._blocks[number + each] = content[each * self._block_bytes : (each + 1) * self._block_bytes]
        while len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
