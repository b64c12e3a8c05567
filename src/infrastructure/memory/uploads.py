"""Uploads in parts that nobody finished, in memory."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.uploads import UnfinishedUpload
from src.domain.ids import storage_key


@dataclass
class MemoryUploads:
    """UnfinishedUploads. Thread-safe. `begin` stands for somebody who uploads."""

    clock: Clock
    _under_way: dict[str, UnfinishedUpload] = field(default_factory=dict, init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """In the order of keys."""
        if prefix:
            storage_key(prefix.removesuffix("/"), "prefix")
        with self._lock:
            found = [upload for upload in self._under_way.values() if upload.key.startswith(prefix)]
        return iter(sorted(found, key=lambda upload: (upload.key, upload.begun_at)))

    def abort(self, upload: UnfinishedUpload) -> None:
        """Known or not."""
        storage_key(upload.key)
        with self._lock:
            self._under_way.pop(upload.upload_id, None)

    def begin(self, key: str) -> UnfinishedUpload:
        """Somebody begins one."""
        with self._lock:
            begun = UnfinishedUpload(
                key=storage_key(key), upload_id=f"u{next(self._numbers)}", begun_at=self.clock.now()
            )
            return self._under_way.setdefault(begun.upload_id, begun)
