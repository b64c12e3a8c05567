"""The OldFiles port."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from src.application.ports.clock import Clock
from src.application.ports.sweeper import Swept
from src.domain.errors import FileAccessError
from src.infrastructure.storage.filesystem import PARTS

LOG_NAMES = (".log", ".jsonl", ".gz", ".out", ".err")
"""How names of logs end, rotated ones too (`.log.3`): nothing else in a folder of logs is touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldFilesOnDisk:
    """OldFiles. Seconds since a file was last written to."""

    clock: Clock
    logs: Path | None
    log_seconds: float
    temp: Path | None
    cache: Path
    temp_seconds: float

    def remove_old_logs(self) -> Swept:
        """In the log folder and those in it."""
        return self._sweep([self.logs] if self.logs is not None else [], self.log_seconds, logs=True)

    def remove_old_temp(self) -> Swept:
        """In the temporary folder and those in it, and what an interrupted write left in the cache."""
        folders = [self.cache / PARTS, *([self.temp] if self.temp is not None else [])]
        return self._sweep(folders, self.temp_seconds, logs=False)

    def _sweep(self, folders: Sequence[Path], seconds: float, *, logs: bool) -> Swept:
        before, files, freed, kept = self.clock.now() - seconds, 0, 0, 0
        for folder in folders:
            if not folder.is_dir():
                continue
            passed = list[OSError]()
            for place, _folders, names in os.walk(folder, onerror=partial(_unreadable, folder, passed)):
                for path in (Path(place) / name for name in names if not logs or is_log(name)):
                    try:
                        facts = path.lstat()
                        if facts.st_mtime >= before:
                            continue
                        path.unlink()
                    except FileNotFoundError:
                        continue
                    except PermissionError:
                        kept += 1
                        continue
                    files, freed = files + 1, freed + facts.st_size
            kept += len(passed)
        return Swept(files=files, freed_bytes=freed, kept=kept)


def is_log(name: str) -> bool:
    """Whether a file of that name is a log."""
    stem, _, last = name.rpartition(".")
    return name.endswith(LOG_NAMES) or (last.isdigit() and stem.endswith(LOG_NAMES))


def _unreadable(folder: Path, passed: list[OSError], error: OSError) -> None:
    """Raises FileAccessError for the folder itself. One in it is passed over, as it may be somebody else's: the others have their
    turn. One that is gone since it was listed has nothing in it."""
    if isinstance(error, FileNotFoundError):
        return
    if error.filename is None or Path(error.filename) == folder:
        raise FileAccessError(f"a folder to clean up can't be read: {error.strerror or error}") from error
    passed.append(error)
