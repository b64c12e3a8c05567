"""Private working folders that never outlive their owner."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Scratch(Protocol):
    """One folder per attempt, named by us (never by input)."""

    def open(self, name: str) -> Path:
        """A fresh, empty folder owned by this process. Raises DiskFull or FileAccessError."""

    def discard(self, name: str) -> None:
        """Remove the folder and all in it; a missing one is fine."""

    def sweep(self) -> int:
        """Remove folders whose owning process is certainly dead; how many."""

    def free_bytes(self) -> int:
        """Space left where the folders are."""
