"""Temporary files of a test run in memory, where the machine has it to spare.

A run makes and removes some hundred thousand files: databases, objects, the folders of servers. On a disk each costs up to a
millisecond of the kernel's time (ext4 without a journal does not give a removed file's place away for some seconds and looks
for another, file by file); in memory ten microseconds. What a test proves is about processes that die, never about a machine
that loses its power, and to a process both are the same files.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
FREE_BYTES = 6 << 30
"""Three processes of a whole run keep 2 GiB at a time, PostgreSQL's data and log above all."""
PREFIX = "mw-tests-"


def own_folder(memory: Path = MEMORY) -> Path | None:
    """Temporary files of this process, and of those that it starts, go to a folder that goes with this process: in `memory`, or
    where they would go anyway if TMPDIR says so, or there is no room, or programs that lie there can't be started. The folders
    of pytest's own, which keep what failed tests wrote, lie beside it. None in a process of a run that has one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Whose own ends are not told to atexit, so that each would leave the folders of its servers.
        return None
    place = memory if "TMPDIR" not in os.environ and _fits(memory) else Path(tempfile.gettempdir())
    _sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
    folder.chmod(0o711)  # some servers run as another user
    atexit.register(_remove, folder, os.getpid())
    os.environ["TMPDIR"] = str(folder)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))
    tempfile.tempdir = None  # asked anew
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(memory: Path) -> None:
    """What runs left that were killed: a server's folder is half a GiB."""
    for folder in memory.glob(f"{PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(PREFIX).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


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
