"""Brings the source to scratch in ranges, and says what its bytes are."""

from __future__ import annotations

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from src.application.ports.media import ReadRange
from src.application.ports.storage import Storage, StoredObject
from src.application.video.steady import SourceChanged, Steady
from src.domain.errors import DiskFull, FileAccessError, StorageUnavailable

RANGE_BYTES = 8 << 20
AHEAD = 4
"""Ranges under way at a time: object storage answers slowly but to many at once."""


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
        try:
            content = storage.read(source.key, offset, length, version=source.version)
        except StorageUnavailable as error:
            if storage.head(source.key).version != source.version:
                raise SourceChanged(f"object {source.key} was replaced while it was read") from error
            raise
        wanted = max(0, min(length, source.size - offset))
        if len(content) != wanted:
            raise StorageUnavailable(f"object {source.key}: {len(content)} of {wanted} bytes came at offset {offset}")
        return content

    return lambda offset, length: steady.call(lambda: once(offset, length))


def fetch(read: ReadRange, size: int, folder: Path, on_share: Callable[[float], None]) -> Fetched:
    """Download to {folder}/input.part, then rename to {folder}/input: a file of that name is whole. Raises what `read`
    raises, DiskFull, FileAccessError."""
    part, target, digest, done = folder / "input.part", folder / "input", hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            for content in _in_order(read, size):
                file.write(content)
                digest.update(content)
                done += len(content)
                on_share(done / size)
        part.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no space left while the source was downloaded", fix="free or add scratch space") from error
        raise FileAccessError(f"the source can't be written to scratch: {error.strerror}") from error
    return Fetched(path=target, size=done, sha256=digest.hexdigest())


def _in_order(read: ReadRange, size: int) -> Iterator[bytes]:
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="download") as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for offset in range(0, size, RANGE_BYTES):
                waiting.append(pool.submit(read, offset, min(RANGE_BYTES, size - offset)))
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
