"""Working folders of a test: real folders, because encoders need paths, under a root that the test owns."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from src.domain.errors import DiskFull
from src.domain.ids import storage_key


@dataclass
class MemoryScratch:
    """Scratch. Who owns a folder is remembered here, so `sweep` removes what another process left under the root.
    `space` is the room it says there is; below 1 byte, `open` raises DiskFull."""

    root: Path
    space: int = 1 << 40
    _open: set[str] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def open(self, name: str) -> Path:
        """A fresh folder."""
        if self.space <= 0:
            raise DiskFull(
                f"no space for working folder {name}",
                fix="free space, or set WORKER_SCRATCH_DIR elsewhere",
            )
        folder = self._folder(name)
        with self._lock:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._open.add(name)
        return folder

    def discard(self, name: str) -> None:
        """Remove."""
        with self._lock:
            shutil.rmtree(self._folder(name), ignore_errors=True)
            self._open.discard(name)

    def sweep(self) -> int:
        """Remove what nobody here opened."""
        with self._lock:
            found = list(self.root.iterdir()) if self.root.is_dir() else []
            dead = [folder for folder in found if folder.name not in self._open]
            for folder in dead:
                shutil.rmtree(folder)
            return len(dead)

    def free_bytes(self) -> int:
        """What the test says."""
        return self.space

    def _folder(self, name: str) -> Path:
        return self.root / storage_key(name, "scratch name").replace("/", "_")
