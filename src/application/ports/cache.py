"""The SSD tier: whole films near the players, within a budget of bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from src.application.ports.media import ReadRange
from src.domain.errors import Retryable


class CacheBusy(Retryable):
    """Somebody else is copying this film, or all room is taken by copies under way. `seconds`: when to look again."""

    code = "cache_busy"

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedContent:
    """One row of the tier's index (contracts.md 4.1). Bytes; epoch seconds of the worker's clock; `cached_at` is 0 while the file
    is being copied: its room is taken from then on."""

    content_id: str
    file_path: str
    file_size: int
    cached_at: float = 0.0
    last_accessed: float = 0.0
    access_count: int = 0


class CacheIndex(Protocol):
    """What is in the tier. Those who play from it raise `last_accessed` and `access_count` themselves. Raises
    DatabaseUnavailable."""

    def find(self, content_id: str) -> CachedContent | None:
        """The row, or None."""

    def put(self, row: CachedContent) -> None:
        """Insert, or replace the row of this content."""

    def touch(self, content_id: str, at: float) -> None:
        """Somebody used it: one more access; a missing row is fine."""

    def remove(self, content_id: str) -> None:
        """Delete; a missing row is fine."""

    def used_bytes(self) -> int:
        """Of all rows together."""

    def coldest(self, limit: int, *, after: tuple[float, str] | None = None) -> Sequence[CachedContent]:
        """Least recently accessed first, then by id; `after` is (last_accessed, content_id) of the last row seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """What is copied. `version` changes whenever the content does; `extension` is of the file's name, as `.mp4`, or empty."""

    read: ReadRange
    size: int
    version: str
    extension: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """Where the copy lies; `was_there`: nothing had to be copied; `resumed_at`: bytes that an earlier attempt left; `evicted`: ids
    of the films that made room."""

    path: str
    size: int
    was_there: bool = False
    resumed_at: int = 0
    evicted: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCleaned:
    """How many went: films not used for too long, files that no row names, rows whose file is gone, copies that nobody goes on
    with; and their bytes."""

    entries: int = 0
    stray_files: int = 0
    stray_rows: int = 0
    abandoned_copies: int = 0
    freed_bytes: int = 0


class Cache(Protocol):
    """Any number of processes may use one tier at a time. Raises DiskFull, FileAccessError, DatabaseUnavailable."""

    def copy_to_ssd(self, source: CopySource, content_id: str, on_share: Callable[[float], None]) -> Warmed:
        """The film, whole, under its final name, or not there at all. Room is made before a byte is copied: least recently used
        films go until it fits under 95 % of the budget. A copy that was killed goes on where it stopped, if the source is still
        the same. Raises LimitsExceeded (permanent) for a film that can never fit, CacheBusy, and what the source's reads raise."""

    def cleanup_old_entries(self) -> CacheCleaned:
        """Remove what is old, and what a killed process left."""

    def forget(self, content_id: str) -> bool:
        """Remove a film, with its unfinished copy; whether there was one. Raises CacheBusy while it is being copied."""
