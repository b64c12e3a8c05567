"""Objects in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.application.ports.clock import Clock
from src.application.ports.storage import StoredObject
from src.domain.errors import FileAccessError, SourceMissing, StorageUnavailable
from src.domain.ids import storage_key


@dataclass(frozen=True, slots=True)
class Kept:
    """An object with the headers it was stored with."""

    content: bytes
    version: str
    modified_at: float
    content_type: str
    cache_control: str


@dataclass
class MemoryStorage:
    """Storage. Thread-safe. `objects` is open for tests to look at."""

    clock: Clock
    objects: dict[str, Kept] = field(default_factory=dict, init=False)
    _versions: int = field(default=0, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def head(self, key: str) -> StoredObject:
        """Facts about one object."""
        with self._lock:
            return _described(key, self._kept(key))

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        """Bytes of one object."""
        with self._lock:
            kept = self._kept(key)
        if version is not None and kept.version != version:
            raise StorageUnavailable(
                f"object {key} changed while it was read",
                fix="read it again from the start",
            )
        return kept.content[offset : offset + length]

    def put_file(self, key: str, path: Path, *, content_type: str, cache_control: str) -> StoredObject:
        """Store a local file."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FileAccessError(f"can't read {path.name} to store it: {error.strerror}") from error
        return self.put_bytes(key, content, content_type=content_type, cache_control=cache_control)

    def put_bytes(self, key: str, content: bytes, *, content_type: str, cache_control: str) -> StoredObject:
        """Store a document."""
        storage_key(key)
        with self._lock:
            self._versions += 1
            kept = Kept(
                bytes(content),
                f"v{self._versions}",
                self.clock.now(),
                content_type,
                cache_control,
            )
            self.objects[key] = kept
            return _described(key, kept)

    def copy(self, source: str, target: str) -> StoredObject:
        """The same bytes and headers under another key."""
        with self._lock:
            kept = self._kept(source)
            return self.put_bytes(
                target,
                kept.content,
                content_type=kept.content_type,
                cache_control=kept.cache_control,
            )

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """In key order; what is stored while listing may or may not be seen."""
        if prefix:
            storage_key(prefix.removesuffix("/"), "prefix")
        with self._lock:
            found = [_described(key, kept) for key, kept in sorted(self.objects.items()) if key.startswith(prefix)]
        return iter(found)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove."""
        with self._lock:
            for key in keys:
                self.objects.pop(storage_key(key), None)

    def local_path(self, key: str) -> Path | None:
        """There is none."""
        storage_key(key)
        return None

    def _kept(self, key: str) -> Kept:
        try:
            return self.objects[storage_key(key)]
        except KeyError:
            raise SourceMissing(f"no object {key}") from None


def _described(key: str, kept: Kept) -> StoredObject:
    return StoredObject(
        key=key,
        size=len(kept.content),
        version=kept.version,
        modified_at=kept.modified_at,
    )
