"""Temporary files of a test run in memory, where the machine has it to spare.

A run makes and removes some hundred thousand files: databases, objects, the folders of servers. On a disk each costs up to a
millisecond of the kernel's time (ext4 without a journal does not give a removed file's place away for some seconds and looks
for another, file by file); in memory ten microseconds. What a test proves is about processes that die, never about a machine
that loses its power, and to a process both are the same files.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
FREE_BYTES = 6 << 30
"""Three processes of a whole run keep 1 to 2 GiB at a time, encodes and PostgreSQL's log above all."""


def use_memory(memory: Path = MEMORY) -> None:
    """Temporary files of this process, and of those that it starts, go to `memory`, unless TMPDIR names another place or
    there is no room, or programs that lie there can't be started."""
    if "TMPDIR" not in os.environ and _fits(memory):
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # asked anew


def _fits(memory: Path) -> bool:
    try:
        found = os.statvfs(memory)
    except OSError:
        return False
    return not found.f_flag & os.ST_NOEXEC and min(found.f_bavail * found.f_frsize, _available()) >= FREE_BYTES


def _available() -> int:
    """Bytes of memory that programs can have without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)
