"""Names, locks and notes of the SSD tier's folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from src.domain.errors import DiskFull, FileAccessError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Note:
    """What a copy is of, and how much of it is certainly on the disk."""

    version: str
    size: int
    safe: int


@dataclass(frozen=True, slots=True)
class Places:
    """`{folder}/{id}{extension}` is a film, whole. `.{id}.part` is one that is being copied, locked by whoever copies it;
    `.{id}.note` says what either is a copy of. An id never begins with a dot."""

    folder: Path

    def film(self, content_id: str, extension: str) -> Path:
        """The final name: no other content's, also where an id looks like another one with its extension (`a.mp4`)."""
        return self.folder / f"{content_id}{extension or ('.' if '.' in content_id else '')}"

    def part(self, content_id: str) -> Path:
        """The copy under way."""
        return self.folder / f".{content_id}.part"

    def note(self, content_id: str) -> Path:
        """What it is a copy of."""
        return self.folder / f".{content_id}.note"

    def read_note(self, content_id: str) -> Note | None:
        """None when there is none, or it can't be read: then nothing of the copy is believed."""
        try:
            said = json.loads(self.note(content_id).read_bytes())
            return Note(str(said["version"]), int(said["size"]), int(said["safe"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_note(self, content_id: str, note: Note) -> None:
        """Replaced whole, and on the disk."""
        new = self.folder / f".{content_id}.note.new"
        with new.open("wb") as file:
            file.write(json.dumps({"version": note.version, "size": note.size, "safe": note.safe}).encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.note(content_id))

    def parts(self) -> Iterator[str]:
        """Ids that have a copy under way, or abandoned."""
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(".") and path.name.endswith(".part"):
                yield path.name[1 : -len(".part")]

    def films(self) -> Iterator[Path]:
        """Every file with a final name. Folders are nobody's film."""
        for path in sorted(self.folder.iterdir()):
            if not path.name.startswith(".") and (path.is_symlink() or not path.is_dir()):
                yield path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else makes room, or puts a film in its place, meanwhile. Held for milliseconds; the kernel lets go of it when
        its holder dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def claim_part(self, content_id: str) -> int | None:
        """An open and locked copy under way, or None while somebody else has it. Close it to let go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.part(content_id)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _is_same(descriptor, path):
                return descriptor
            # Whoever had it finished between the two calls: the file has its final name by now, and must not be written.
            os.close(descriptor)

    def is_claimed(self, content_id: str) -> bool:
        """Whether somebody has a copy under way."""
        try:
            descriptor = os.open(self.part(content_id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def drop_part(self, content_id: str) -> int | None:
        """Remove a copy that nobody has under way, and its note; its bytes, or None while somebody has it. It is locked
        while it goes, so that nobody can begin to write into a file without a name."""
        if not self.part(content_id).exists():
            self.note(content_id).unlink(missing_ok=True)
            return 0
        descriptor = self.claim_part(content_id)
        if descriptor is None:
            return None
        try:
            return self.drop_mine(content_id)
        finally:
            os.close(descriptor)

    def drop_mine(self, content_id: str) -> int:
        """The same by whoever has it."""
        freed = size_of(self.part(content_id)) or 0
        self.part(content_id).unlink(missing_ok=True)
        self.note(content_id).unlink(missing_ok=True)
        return freed

    def settle_names(self) -> None:
        """Names are on the disk."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def size_of(path: Path) -> int | None:
    """Bytes of a file; None when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Translate what the disk says. Raises DiskFull, FileAccessError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(f"no space left in the cache for {what}", fix="lower WORKER_CONTENT__CACHE_BYTES") from error
        raise FileAccessError(f"the cache can't keep {what}: {error.strerror or error}") from error


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
