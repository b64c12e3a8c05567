"""The OldFiles port."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.application.ports.clock import Clock
from src.application.ports.sweeper import Cleanable, Guard, Swept, anything
from src.domain.errors import FileAccessError
from src.infrastructure.storage.filesystem import PARTS

LOG_NAMES = (".log", ".jsonl", ".gz", ".out", ".err")
"""How names of logs end, rotated ones too (`.log.3`): nothing else in a folder of logs is touched."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class OldFilesOnDisk:
    """OldFiles. Seconds since a file was last written to."""

    clock: Clock
    logs: Path | None
    log_seconds: float
    temp: Path | None
    cache: Path
    temp_seconds: float
    guard: Guard = anything

    def remove_old_logs(self) -> Swept:
        """In the log folder and those in it."""
        return self._sweep([self.logs] if self.logs is not None else [], self.log_seconds, logs=True)

    def remove_old_temp(self) -> Swept:
        """In the temporary folder and those in it, and what an interrupted write left in the cache."""
        folders = [self.cache / PARTS, *([self.temp] if self.temp is not None else [])]
        return self._sweep(folders, self.temp_seconds, logs=False)

    def _sweep(self, folders: Sequence[Path], seconds: float, *, logs: bool) -> Swept:
        before, count = self.clock.now() - seconds, Counter[str]()
        for folder in folders:
            if folder.is_dir():
                self._sweep_one(self.guard(folder), before, logs, count)
        return Swept(**count)

    def _sweep_one(self, folder: Cleanable, before: float, logs: bool, count: Counter[str]) -> None:
        try:
            top = os.open(folder.real, FOLDER)
        except FileNotFoundError:
            return
        except OSError as error:
            raise FileAccessError(f"a folder to clean up can't be read: {error.strerror or error}") from error
        try:
            waiting: list[tuple[str, ...]] = [()]
            while waiting:
                parts = waiting.pop()
                try:
                    place = _below(top, parts)
                except FileNotFoundError:
                    # Gone since it was listed: there is nothing in it.
                    continue
                except OSError:
                    # Somebody else's, perhaps, or a link by now: the others have their turn.
                    count["kept"] += 1
                    continue
                try:
                    if _identity(os.fstat(place)) not in folder.kept:
                        found = _clean(place, folder, before, logs, count)
                        waiting += [(*parts, name) for name in found]
                finally:
                    os.close(place)
        finally:
            os.close(top)


def _below(top: int, parts: Sequence[str]) -> int:
    """The folder `parts` of the open folder `top`, opened. Name by name and through no link: another process may put one in the
    place of a folder at any moment."""
    here = os.dup(top)
    for name in parts:
        try:
            below = os.open(name, FOLDER, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _clean(place: int, folder: Cleanable, before: float, logs: bool, count: Counter[str]) -> Sequence[str]:
    """Remove old files of an open folder; the names of the folders in it."""
    folders = list[str]()
    try:
        names = os.listdir(place)
    except OSError:
        count["kept"] += 1
        return folders
    for name in names:
        try:
            facts = os.stat(name, dir_fd=place, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                folders.append(name)
            elif (logs and not is_log(name)) or facts.st_mtime >= before or _identity(facts) in folder.kept:
                continue
            elif not (stat.S_ISLNK(facts.st_mode) and _leads_to_a_folder(name, place)):
                os.unlink(name, dir_fd=place)
                count["files"] += 1
                count["freed_bytes"] += facts.st_size
        except FileNotFoundError:
            continue
        except PermissionError:
            count["kept"] += 1
    return folders


def _leads_to_a_folder(name: str, place: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=place).st_mode)
    except OSError:
        return False


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def is_log(name: str) -> bool:
    """Whether a file of that name is a log."""
    stem, _, last = name.rpartition(".")
    return name.endswith(LOG_NAMES) or (last.isdigit() and stem.endswith(LOG_NAMES))
