"""Working folders on a local disk, each with a note beside it that its owner keeps locked.

The lock is the sign of life: whatever ends a process, the kernel drops it, and it is seen from every container that has
the disk. Process numbers are not: after a killed container, its number 1 is the next container's number 1.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from src.domain.errors import DiskFull, FileAccessError
from src.domain.ids import IDENTIFIER

NOTE = ".owner.json"
"""Beside folder `x` lies `x.owner.json`: the folder itself has to be empty."""

PART = "*.owner.[0-9]*-*[0-9]"
"""A note before it has its name; whoever is killed then leaves it like this."""

ALIVE = -1
"""In place of a descriptor: another process holds the lock."""

REMOVE_TRIES = 3
"""A process that was just killed can still add a file while its folder is being removed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a folder, for people who look. Whether it lives is said by the lock on the note alone: a process of
    another container has no number here, and the same number there."""

    boot: str
    namespace: str
    pid: int

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls(_boot(), _namespace(), os.getpid())


@dataclass(frozen=True)
class FilesystemScratch:
    """Scratch under `root`, which is made when it is first needed. The owner of a folder holds a lock (flock) on its
    note for as long as it lives: the kernel drops the lock at any death, and shows it across containers of one host."""

    root: Path
    _held: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    """{folder's name: descriptor of its note}, open as long as the folder is ours"""

    def open(self, name: str) -> Path:
        """A fresh, empty folder that only this user may enter."""
        folder, note = self._places(name)
        with _translated(f"make working folder {name}"):
            self.root.mkdir(parents=True, exist_ok=True)
            mine = self._held.pop(name, None)
            before = _locked(note) if mine is None else mine
            if before == ALIVE:
                raise FileAccessError(f"working folder {name} belongs to {_owner(note) or 'a process'}, which is alive")
            try:
                _remove(folder)
                self._held[name] = _new_note(note)
                folder.mkdir(mode=0o700)
            finally:
                if before is not None:
                    os.close(before)
        return folder

    def discard(self, name: str) -> None:
        """Remove the folder, then the note. Also called by the supervisor of a process that is dead."""
        folder, note = self._places(name)
        with _translated(f"remove working folder {name}"):
            _remove(folder)
            note.unlink(missing_ok=True)
        if (descriptor := self._held.pop(name, None)) is not None:
            os.close(descriptor)

    def sweep(self) -> int:
        """Remove what dead processes left. What has no note is not ours and stays."""
        swept = 0
        with _translated("sweep the working folders"):
            notes = sorted(self.root.glob(f"*{NOTE}")) if self.root.is_dir() else []
            for note in notes:
                descriptor = _locked(note)
                if descriptor is None or descriptor == ALIVE:
                    continue
                try:
                    if _owner(note) is not None:
                        _remove(note.with_name(note.name.removesuffix(NOTE)))
                        note.unlink(missing_ok=True)
                        swept += 1
                finally:
                    os.close(descriptor)
            for part in self.root.glob(PART):
                descriptor = _locked(part)
                if descriptor is not None and descriptor != ALIVE:
                    part.unlink(missing_ok=True)
                    os.close(descriptor)
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


def _locked(note: Path) -> int | None:
    """A descriptor that holds the note's lock; ALIVE when somebody else holds it; None without such a note."""
    try:
        descriptor = os.open(note, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(descriptor), note.stat())
    except BlockingIOError:
        os.close(descriptor)
        return ALIVE
    except FileNotFoundError:
        same = False
    except BaseException:
        os.close(descriptor)
        raise
    if same:
        return descriptor
    # Removed, or replaced by a new owner's, between the two calls.
    os.close(descriptor)
    return None


def _new_note(note: Path) -> int:
    """The note of this process, in place and locked; the descriptor that holds the lock."""
    part = note.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    descriptor: int | None = None
    while descriptor is None or descriptor == ALIVE:
        # Locked before it has its name: no sweep ever sees a note of ours that could be taken. One that came between
        # these two lines is about to remove the part.
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        descriptor = _locked(part)
    try:
        part.write_text(json.dumps(asdict(Owner.current())))
        part.replace(note)
    except BaseException:
        os.close(descriptor)
        part.unlink(missing_ok=True)
        raise
    return descriptor


def _owner(note: Path) -> Owner | None:
    try:
        return Owner(**json.loads(note.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        # Missing, or not written by us: nothing that we could declare dead.
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
