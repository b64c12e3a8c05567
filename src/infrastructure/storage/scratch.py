"""Working folders on a local disk, each with a note beside it of which process owns it.

A note names the boot, the process-id namespace, the process id and when that process started, so that a reused process
id, or one of another container on the same disk, is never taken for the owner.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from src.domain.errors import DiskFull, FileAccessError
from src.domain.ids import IDENTIFIER

NOTE = ".owner.json"
"""Beside folder `x` lies `x.owner.json`: the folder itself has to be empty."""

REMOVE_TRIES = 3
"""A process that was just killed can still add a file while its folder is being removed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, for as long as the machine runs."""

    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(_boot(), _namespace(), pid, _started(pid) or "")

    @property
    def is_dead(self) -> bool:
        """True only when that is certain. The processes of another container can't be seen from here."""
        if self.boot != _boot():
            return True
        return self.namespace == _namespace() and _started(self.pid) != self.started


@dataclass(frozen=True)
class FilesystemScratch:
    """Scratch under `root`, which is made when it is first needed."""

    root: Path

    def open(self, name: str) -> Path:
        """A fresh, empty folder that only this user may enter."""
        folder, note = self._places(name)
        with _translated(f"make working folder {name}"):
            self.root.mkdir(parents=True, exist_ok=True)
            owner, me = _read(note), Owner.current()
            if folder.exists() and owner is not None and owner != me and not owner.is_dead:
                raise FileAccessError(f"working folder {name} belongs to process {owner.pid}, which is alive")
            _remove(folder)
            part = note.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(asdict(me)))
            part.replace(note)
            folder.mkdir(mode=0o700)
        return folder

    def discard(self, name: str) -> None:
        """Remove the folder, then the note."""
        folder, note = self._places(name)
        with _translated(f"remove working folder {name}"):
            _remove(folder)
            note.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what dead processes left. What has no note is not ours and stays."""
        swept = 0
        with _translated("sweep the working folders"):
            notes = sorted(self.root.glob(f"*{NOTE}")) if self.root.is_dir() else []
            for note in notes:
                owner = _read(note)
                if owner is not None and owner.is_dead:
                    _remove(note.with_name(note.name.removesuffix(NOTE)))
                    note.unlink(missing_ok=True)
                    swept += 1
        return swept

    def free_bytes(self) -> int:
        """Space left for this user on the disk of the root, or of the folder where it will be."""
        folder = self.root.absolute()
        while not folder.exists():
            folder = folder.parent
        with _translated("look for free space"):
            return shutil.disk_usage(folder).free

    def _places(self, name: str) -> tuple[Path, Path]:
        if not IDENTIFIER.fullmatch(name) or name.endswith(NOTE):
            raise FileAccessError(f"{name[:80]!r} can't name a working folder")
        return self.root / name, self.root / f"{name}{NOTE}"


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"can't {what}: no space", fix="free space, or set WORKER_SCRATCH_DIR to another disk"
            ) from error
        raise FileAccessError(
            f"can't {what}: {error.strerror or error}", fix="set WORKER_SCRATCH_DIR to a folder this user may write"
        ) from error


def _remove(folder: Path) -> None:
    for last in (*(False,) * (REMOVE_TRIES - 1), True):
        try:
            shutil.rmtree(folder)
            return
        except OSError as error:
            if not folder.exists():
                return
            if last or error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise


def _read(note: Path) -> Owner | None:
    try:
        return Owner(**json.loads(note.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        # Missing, or not written by us: nobody that we could declare dead.
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _started(pid: int) -> str | None:
    """When the process started, in clock ticks after boot; None when there is none, or only its unreaped remains."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Fields 3 (state) and 22 (start time) of proc(5); the name before them may hold spaces.
    return None if after_name[0] in "ZX" else after_name[19]
