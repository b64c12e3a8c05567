"""Content records in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application.ports.content import ContentMissing


@dataclass
class MemoryContents:
    """Contents. Thread-safe. `rows`: {id: record}."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def get(self, content_id: str) -> Mapping[str, Any]:
        """A copy of the record."""
        with self._lock:
            if content_id not in self.rows:
                raise ContentMissing(f"there is no content {content_id}")
            return {**self.rows[content_id], "id": content_id}

    def get_file_path(self, content_id: str) -> str:
        """The record's."""
        path = self.get(content_id).get("file_path")
        if not isinstance(path, str) or not path:
            raise ContentMissing(f"content {content_id} has no file_path")
        return path

    def update_metadata(self, content_id: str, metadata: Mapping[str, Any], *, file_path: str | None = None) -> None:
        """Set the fields of a record that is there: nobody else's is made."""
        with self._lock:
            if content_id not in self.rows:
                raise ContentMissing(f"there is no content {content_id}")
            self.rows[content_id].update(metadata)

    def page(self, after: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        """Copies."""
        with self._lock:
            ids = sorted(each for each in self.rows if after is None or each > after)[:limit]
            return [{**self.rows[each], "id": each} for each in ids]
