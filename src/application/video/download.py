"""Brings the source to scratch in ranges, and says what its bytes are."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from src.application.ports.media import ReadRange
from src.application.ports.storage import InPieces, Storage, StoredObject
from src.application.video.steady import SourceChanged, Steady
from src.domain.errors import DiskFull, FileAccessError, StorageUnavailable

RANGE_BYTES = 8 << 20
AHEAD = 4
"""Ranges under way at a time: object storage answers slowly but to many at once."""

HASH_BYTES = 1 << 20

Bring = Callable[[int, int, int], None]
"""(descriptor, offset, length): writes these bytes of the object to the same place in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The whole source on local disk."""

    path: Path
    size: int
    sha256: str


def reader(storage: Storage, source: StoredObject, steady: Steady) -> ReadRange:
    """Reads ranges of exactly this version. Raises SourceChanged, SourceMissing, StorageUnavailable; never answers
    short (reliability.md F17)."""

    def once(offset: int, length: int) -> bytes:
        with _this_version(storage, source):
            content = storage.read(source.key, offset, length, version=source.version)
        _complete(source, offset, length, len(content))
        return content

    return lambda offset, length: steady.call(lambda: once(offset, length))


def bringer(storage: Storage, source: StoredObject, steady: Steady) -> Bring:
    """The same for ranges that go to a file: in pieces where the storage has them, so that memory for whole ranges is
    neither needed nor paid for. A range that broke off is written again from its start. Raises OSError as well."""

    def once(descriptor: int, offset: int, length: int) -> None:
        done = 0
        with _this_version(storage, source):
            for piece in _pieces(storage, source, offset, length):
                _write(descriptor, piece, offset + done)
                done += len(piece)
        _complete(source, offset, length, done)

    return lambda descriptor, offset, length: steady.call(lambda: once(descriptor, offset, length))


def fetch(bring: Bring, size: int, folder: Path, on_share: Callable[[float], None]) -> Fetched:
    """Download to {folder}/input.part, then rename to {folder}/input: a file of that name is whole. Raises what `bring`
    raises, DiskFull, FileAccessError. The hash is of what the file says: read back in order, behind the ranges."""
    part, target, digest, done = folder / "input.part", folder / "input", hashlib.sha256(), 0
    buffer = memoryview(bytearray(min(HASH_BYTES, size)))
    try:
        # A new file each time: a range of an earlier try that is still under way writes into the old one.
        part.unlink(missing_ok=True)
        with part.open("x+b", buffering=0) as file:
            for end in _in_order(bring, part, size):
                _hash(file, digest, end - done, buffer)
                done = end
                on_share(done / size)
        part.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no space left while the source was downloaded", fix="free or add scratch space") from error
        raise FileAccessError(f"the source can't be written to scratch: {error.strerror}") from error
    return Fetched(path=target, size=done, sha256=digest.hexdigest())


# ---------------------------------------------------------------------- ranges
def _in_order(bring: Bring, part: Path, size: int) -> Iterator[int]:
    """Up to where the file is whole, again and again."""

    def place(offset: int, end: int) -> int:
        # A descriptor of its own: one that is shared could be closed, and its number used again, while this one writes.
        descriptor = os.open(part, os.O_WRONLY | os.O_CLOEXEC)
        try:
            bring(descriptor, offset, end - offset)
        finally:
            os.close(descriptor)
        return end

    with ThreadPoolExecutor(AHEAD, thread_name_prefix="download") as pool:
        try:
            starts = range(0, size, RANGE_BYTES)
            for future in [pool.submit(place, offset, min(offset + RANGE_BYTES, size)) for offset in starts]:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pieces(storage: Storage, source: StoredObject, offset: int, length: int) -> Iterable[bytes]:
    if isinstance(storage, InPieces):
        return storage.read_pieces(source.key, offset, length, version=source.version)
    return [storage.read(source.key, offset, length, version=source.version)]


def _write(descriptor: int, piece: bytes, offset: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _hash(file: BinaryIO, digest: hashlib._Hash, count: int, buffer: memoryview) -> None:
    while count > 0:
        got = file.readinto(buffer[:count])  # type: ignore[attr-defined]
        if not got:
            raise FileAccessError("the source in scratch became shorter while it was written")
        digest.update(buffer[:got])
        count -= got


@contextmanager
def _this_version(storage: Storage, source: StoredObject) -> Iterator[None]:
    """Raises SourceChanged for what went wrong because the object is another one by now."""
    try:
        yield
    except StorageUnavailable as error:
        if storage.head(source.key).version != source.version:
            raise SourceChanged(f"object {source.key} was replaced while it was read") from error
        raise


def _complete(source: StoredObject, offset: int, length: int, came: int) -> None:
    wanted = max(0, min(length, source.size - offset))
    if came != wanted:
        raise StorageUnavailable(f"object {source.key}: {came} of {wanted} bytes came at offset {offset}")
