"""The cache on this machine: where what is in it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.application.ports.storage import Storage


@dataclass(frozen=True, slots=True)
class CacheTier:
    """`files` keeps whole files under `root`, by keys: `thumbnails/{id}.jpg`."""

    files: Storage
    root: Path

    def thumbnail(self, content_id: str) -> str:
        """The key of a film's picture."""
        return f"thumbnails/{content_id}.jpg"

    def path(self, key: str) -> str:
        """Where that is on disk, as events and results name it."""
        return str(self.root / key)
