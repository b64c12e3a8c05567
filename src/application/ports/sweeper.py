"""Old files in folders that an operator named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many files went, and their bytes; `kept`: those that this user may not remove, and folders in the named one
    that he may not read."""

    files: int = 0
    freed_bytes: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Cleanable:
    """A folder that may be cleaned up now: where it is behind all links, and (device, inode) of what is kept, whatever name it has."""

    real: Path
    kept: frozenset[tuple[int, int]] = frozenset()


Guard = Callable[[Path], Cleanable]
"""Asked right before something is removed from a folder. Raises Permanent for one that has become, by a link or a mount, a folder
whose files are somebody's."""


def anything(folder: Path) -> Cleanable:
    """The Guard of a folder that has nothing else in it, for sure."""
    return Cleanable(folder.resolve())


class OldFiles(Protocol):
    """Removes plain files by their age, never follows a link, never removes the folder itself. A folder that is not set, or not
    there, has nothing in it. Raises FileAccessError for one that
    can't be read (what can't be read in it is passed over), Permanent for one that its Guard refuses."""

    def remove_old_logs(self) -> Swept:
        """Log files that nobody wrote to for the time that logs are kept."""

    def remove_old_temp(self) -> Swept:
        """Temporary files, of the operator's folder and of the cache, that nobody wrote to for the time they may live."""
