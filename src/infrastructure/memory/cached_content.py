"""The SSD tier's index in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from src.application.ports.cache import CachedContent


@dataclass
class MemoryCacheIndex:
    """CacheIndex. Thread-safe."""

    rows: dict[str, CachedContent] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def find(self, content_id: str) -> CachedContent | None:
        """One row."""
        return self.rows.get(content_id)

    def put(self, row: CachedContent) -> None:
        """Insert or replace."""
        with self._lock:
            self.rows[row.content_id] = row

    def touch(self, content_id: str, at: float) -> None:
        """One more access."""
        with self._lock:
            if (row := self.rows.get(content_id)) is not None:
                self.rows[content_id] = replace(row, last_accessed=at, access_count=row.access_count + 1)

    def remove(self, content_id: str) -> None:
        """Delete."""
        with self._lock:
            self.rows.pop(content_id, None)

    def used_bytes(self) -> int:
        """The sum."""
        with self._lock:
            return sum(row.file_size for row in self.rows.values())

    def coldest(self, limit: int, *, after: tuple[float, str] | None = None) -> Sequence[CachedContent]:
        """Least recently accessed first."""
        with self._lock:
            found = sorted(self.rows.values(), key=lambda row: (row.last_accessed, row.content_id))
        return [row for row in found if after is None or (row.last_accessed, row.content_id) > after][:limit]
