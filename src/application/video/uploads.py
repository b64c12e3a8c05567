"""Puts an attempt's output into the attempt's own place while encoding still runs."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from src.application.failpoints import failpoint
from src.application.ports.media import EncodedFile
from src.application.ports.storage import Storage
from src.application.ports.videos import StoredSegment
from src.application.video.steady import Steady
from src.domain.errors import FileAccessError, OutputInvalid, SourceMissing
from src.domain.video.keys import headers


class HeadersDiffer(OutputInvalid):
    """Two chunks of one rendition need different headers: they do not belong into one stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object of the attempt."""

    size: int
    sha256: str


class Uploads:
    """Objects below `prefix`, several at a time. `stored` names each by its path below the prefix."""

    def __init__(self, storage: Storage, prefix: str, steady: Steady, concurrency: int) -> None:
        self.prefix = prefix
        self.stored: dict[str, Stored] = {}
        self._storage = storage
        self._steady = steady
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="upload")

    def segment(self, file: EncodedFile) -> Future[StoredSegment]:
        """Upload what an encode left; the local file is removed."""
        return self._pool.submit(self._segment, file)

    def adopt(self, segment: StoredSegment) -> Future[StoredSegment]:
        """Copy an earlier attempt's object to here. The future raises SourceMissing when it is gone."""
        return self._pool.submit(self._adopt, segment)

    def file(self, path: Path, name: str) -> None:
        """Upload a file and wait."""
        self._put(path, name)

    def text(self, name: str, content: str) -> None:
        """Upload a document and wait."""
        body = content.encode()
        kind, caching = headers(name)
        key = self.prefix + name
        self._steady.call(lambda: self._storage.put_bytes(key, body, content_type=kind, cache_control=caching))
        self._note(name, Stored(size=len(body), sha256=hashlib.sha256(body).hexdigest()))

    def head_bytes(self, name: str, length: int) -> bytes:
        """The first bytes of an object of this attempt."""
        return self._steady.call(lambda: self._storage.read(self.prefix + name, 0, length))

    def close(self) -> None:
        """Wait for what runs, drop the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _segment(self, file: EncodedFile) -> StoredSegment:
        name = f"{file.rendition}/{file.name}"
        stored = self._put(file.path, name, init=file.init)
        try:
            file.path.unlink()
        except OSError as error:
            raise FileAccessError(f"{name} can't be removed from scratch: {error.strerror}") from error
        failpoint("segment.uploaded")
        return StoredSegment(
            rendition=file.rendition,
            key=self.prefix + name,
            size=stored.size,
            sha256=stored.sha256,
            duration_seconds=file.duration_seconds,
            init=file.init,
        )

    def _put(self, path: Path, name: str, *, init: bool = False) -> Stored:
        try:
            with path.open("rb") as content:
                stored = Stored(size=path.stat().st_size, sha256=hashlib.file_digest(content, "sha256").hexdigest())
        except OSError as error:
            raise FileAccessError(f"{name} can't be read from scratch: {error.strerror}") from error
        if self._note(name, stored, init=init):
            return stored
        kind, caching = headers(name)
        key = self.prefix + name
        put = self._steady.call(
            lambda: self._storage.put_file(key, path, content_type=kind, cache_control=caching),
        )
        if put.size != stored.size:
            raise OutputInvalid(f"{name}: {put.size} bytes were stored instead of {stored.size}")
        return stored

    def _adopt(self, segment: StoredSegment) -> StoredSegment:
        name = f"{segment.rendition}/{segment.key.rpartition('/')[2]}"
        # Read back before it is believed: a row says what was written then, not what lies there now.
        content = self._steady.call(lambda: self._storage.read(segment.key, 0, segment.size + 1))
        if hashlib.sha256(content).hexdigest() != segment.sha256:
            raise SourceMissing(f"{segment.key} is not what was published there")
        if not self._note(name, Stored(size=segment.size, sha256=segment.sha256), init=segment.init):
            try:
                self._steady.call(lambda: self._storage.copy(segment.key, self.prefix + name))
            except SourceMissing:
                with self._lock:
                    del self.stored[name]
                raise
        return StoredSegment(
            rendition=segment.rendition,
            key=self.prefix + name,
            size=segment.size,
            sha256=segment.sha256,
            duration_seconds=segment.duration_seconds,
            init=segment.init,
        )

    def _note(self, name: str, stored: Stored, *, init: bool = False) -> bool:
        """Whether the same bytes are there (or on their way) already: every chunk brings the same init header. Raises
        HeadersDiffer when chunks disagree about it. A segment that was taken over and then encoded after all is replaced."""
        with self._lock:
            known = self.stored.setdefault(name, stored)
            if known is stored:
                return False
            if known != stored and not init:
                self.stored[name] = stored
                return False
        if known != stored:
            raise HeadersDiffer(f"two chunks left different bytes for {name}")
        return True
