"""Objects as plain files under a root: what a web server can serve as they are."""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from src.application.ports.storage import StoredObject
from src.domain.errors import FileAccessError, InvalidPayload, SourceMissing, StorageUnavailable
from src.domain.ids import storage_key
from src.infrastructure.storage.errors import preparing, reading, writing

PARTS = ".parts"
"""The folder under the root where objects grow before they are renamed into place. Not a key."""

PART_SECONDS = 86_400.0
"""A part this old has no writer any more: no upload of one file takes a day."""

COPY_BYTES = 8 << 20
"""Per call of the kernel's copy; large enough not to matter, small enough to be interruptible."""

NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""copy_file_range refuses this pair of files; another way works."""


@dataclass(frozen=True)
class FilesystemStorage:
    """Storage. Content types and cache headers are not kept: the web server decides them by the file's name."""

    root: Path

    def head(self, key: str) -> StoredObject:
        """Facts about one file."""
        with reading(key), self._opened(key) as descriptor:
            return _described(key, os.fstat(descriptor))

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        """Bytes of one file; the version is checked before and after, since a file can be written in place."""
        with reading(key), self._opened(key) as descriptor:
            _unchanged(key, descriptor, version)
            content = _pread(descriptor, offset, length)
            _unchanged(key, descriptor, version)
            return content

    def put_file(self, key: str, path: Path, *, content_type: str, cache_control: str) -> StoredObject:
        """Copy a local file in."""
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise FileAccessError(f"can't read {path.name} to store it: {error.strerror}") from error
        try:
            return self._put(key, lambda part: _copy(source, part))
        finally:
            os.close(source)

    def put_bytes(self, key: str, content: bytes, *, content_type: str, cache_control: str) -> StoredObject:
        """Write a document."""
        return self._put(key, lambda part: _write(part, content))

    def copy(self, source: str, target: str) -> StoredObject:
        """Copy in the kernel; file systems that can, share the blocks."""
        with reading(source):
            opened = self._open(source)
        try:
            return self._put(target, lambda part: _copy(opened, part))
        finally:
            os.close(opened)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """In key order, folder by folder. Links are not followed."""
        if prefix:
            storage_key(prefix.removesuffix("/"), "prefix")
        folder, _, _ = prefix.rpartition("/")
        self._inside(self.root / folder)
        return self._walk(f"{folder}/" if folder else "", prefix)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files, and folders that are empty then."""
        for key in keys:
            path = self._path(key)
            with writing(key):
                try:
                    path.unlink()
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    continue
                _prune(self.root, path.parent)

    def local_path(self, key: str) -> Path | None:
        """The file itself. Raises SourceMissing."""
        self.head(key)
        return self._path(key)

    # ------------------------------------------------------------------ reading
    def _open(self, key: str) -> int:
        # NONBLOCK: opening a named pipe that lies there would wait for ever.
        descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise SourceMissing(f"no object {key}")

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        descriptor = self._open(key)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _walk(self, base: str, prefix: str) -> Iterator[StoredObject]:
        try:
            with reading(base), os.scandir(self.root / base) as found:
                entries = [(f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name) for entry in found]
        except SourceMissing:
            return
        # With the slash in place, folders and files sort as their keys do.
        for name in sorted(entries):
            key = base + name
            if key == f"{PARTS}/" or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix) and (stored := self._listed(key)):
                yield stored

    def _listed(self, key: str) -> StoredObject | None:
        try:
            storage_key(key)
            facts = (self.root / key).lstat()
        except (InvalidPayload, FileNotFoundError):
            # A name that no key can have, or gone since the folder was read.
            return None
        return _described(key, facts) if stat.S_ISREG(facts.st_mode) else None

    # ------------------------------------------------------------------ writing
    def _put(self, key: str, fill: Callable[[int], None]) -> StoredObject:
        path = self._path(key)
        with preparing(key):
            part = _new_part(self.root)
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        with writing(key):
            try:
                try:
                    fill(descriptor)
                    os.fsync(descriptor)
                    facts = os.fstat(descriptor)
                finally:
                    os.close(descriptor)
                _move_in(part, path)
            finally:
                part.unlink(missing_ok=True)
        return _described(key, facts)

    # ------------------------------------------------------------------ keys
    def _path(self, key: str) -> Path:
        parts = storage_key(key).split("/")
        if parts[0] == PARTS:
            raise InvalidPayload(f"storage key {key[:80]!r}: {PARTS} is reserved")
        path = self.root.joinpath(*parts)
        self._inside(path)
        return path.parent.resolve() / path.name

    def _inside(self, path: Path) -> None:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise InvalidPayload(
                f"{path.name[:80]!r} is a link that leads out of {self.root}",
                fix="put the file itself under that folder",
            )


def _unchanged(key: str, descriptor: int, version: str | None) -> None:
    if version is not None and _version(os.fstat(descriptor)) != version:
        raise StorageUnavailable(f"object {key} changed while it was read", fix="read it again from the start")


def _new_part(root: Path) -> Path:
    folder = root / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        # Gone meanwhile, or a folder: nothing that we put there.
        with suppress(FileNotFoundError, IsADirectoryError):
            if time.time() - old.stat().st_mtime > PART_SECONDS:
                old.unlink()
    return folder / uuid.uuid4().hex


def _prune(root: Path, folder: Path) -> None:
    while folder != root.resolve():
        try:
            folder.rmdir()
        except OSError:
            # Not empty, or gone already: the folders above it are not ours to look at.
            return
        folder = folder.parent


def _move_in(part: Path, path: Path) -> None:
    for last in (*[False] * 9, True):
        try:
            _make_folders(path.parent)
            part.replace(path)
            break
        except FileNotFoundError:
            # A delete pruned the folder between the two calls.
            if last:
                raise
    _sync_folder(path.parent)


def _make_folders(folder: Path) -> None:
    """The folder and those above it, each name on disk: an object in a folder that a power cut forgets is lost."""
    made: list[Path] = []
    while not folder.is_dir():
        made.append(folder)
        folder = folder.parent
    for each in reversed(made):
        try:
            each.mkdir()
        except FileExistsError:
            if each.is_file():
                raise
            # Made by another writer; and perhaps pruned again already: what comes next finds out.
        _sync_folder(each.parent)


def _version(facts: os.stat_result) -> str:
    return f"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"


def _described(key: str, facts: os.stat_result) -> StoredObject:
    return StoredObject(key=key, size=facts.st_size, version=_version(facts), modified_at=facts.st_mtime)


def _pread(descriptor: int, offset: int, length: int) -> bytes:
    pieces: list[bytes] = []
    while length > 0 and (piece := os.pread(descriptor, length, offset)):
        pieces.append(piece)
        offset, length = offset + len(piece), length - len(piece)
    return b"".join(pieces)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _copy(source: int, target: int) -> None:
    """All bytes, from the start of `source` to the end of `target`, without passing through Python."""
    size, offset = os.fstat(source).st_size, 0
    while offset < size:
        try:
            copied = os.copy_file_range(source, target, COPY_BYTES, offset_src=offset)
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise
            copied = os.sendfile(target, source, offset, COPY_BYTES)
        if copied == 0:
            raise FileAccessError("the file became shorter while it was copied")
        offset += copied


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
