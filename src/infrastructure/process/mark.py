"""Memory that a child writes and its supervisor reads, whatever becomes of the child: which order it began last, and how
runs ended that it had no time to tell of."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

NUMBERS = struct.Struct("=qq")
"""The order that was begun last; bytes of ends."""

NUMBER = struct.Struct("=q")
SIZE = 256 * 1024
AREA = SIZE - NUMBERS.size


@dataclass(slots=True)
class Mark:
    """The supervisor makes it; the child opens it by the descriptor it was given."""

    descriptor: int = -1
    _memory: mmap.mmap = field(init=False)
    _used: int = 0

    def __post_init__(self) -> None:
        made = -1
        if self.descriptor < 0:
            self.descriptor = made = _space()
        try:
            self._memory = mmap.mmap(self.descriptor, SIZE)
        except (OSError, ValueError):
            if made >= 0:
                os.close(made)
            raise

    # ------------------------------------------------------------------ the child
    def write(self, number: int) -> None:
        """An order has begun. About 0.2 us."""
        NUMBER.pack_into(self._memory, 0, number)

    def add(self, end: bytes) -> bool:
        """Keep the end of a run, which is JSON, until `clear`; False when there is no space for it."""
        until = self._used + len(end) + 1
        if until > AREA:
            return False
        start = NUMBERS.size + self._used
        self._memory[start : NUMBERS.size + until] = end + b","
        # Counted when it is whole: death may come between any two instructions.
        self._used = until
        NUMBER.pack_into(self._memory, NUMBER.size, until)
        return True

    def clear(self) -> None:
        """The ends have been told."""
        self._used = 0
        NUMBER.pack_into(self._memory, NUMBER.size, 0)

    # ------------------------------------------------------------------ the supervisor
    def read(self) -> int:
        """The order that was begun last; 0 before the first."""
        return int(NUMBER.unpack_from(self._memory, 0)[0])

    def ends(self) -> str:
        """A JSON array of the ends that were kept. Raises ValueError when the child wrote nonsense over them."""
        _, used = NUMBERS.unpack_from(self._memory, 0)
        if not 0 <= used <= AREA:
            raise ValueError(f"{used} bytes of ends")
        text = self._memory[NUMBERS.size : NUMBERS.size + used].decode()
        return f"[{text.removesuffix(',')}]"

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
        os.close(self.descriptor)


def _space() -> int:
    """A descriptor of so many bytes that nobody else has. Raises OSError. Memory and no file: on a disk that is full, or that
    a container may not write to, no job could start, and whoever touched a page that has no place there would be killed."""
    try:
        made = os.memfd_create("mw-mark")
    except (AttributeError, OSError):
        # Not every system has it. Then the space is taken now, where it can be refused.
        made, path = tempfile.mkstemp(prefix="mw-mark-")
        Path(path).unlink()
    try:
        os.posix_fallocate(made, 0, SIZE)
    except OSError:
        os.close(made)
        raise
    return made
