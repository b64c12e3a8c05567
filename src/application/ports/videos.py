"""Rows of videos and of their finished chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from src.domain.video.video import Video, VideoStatus

Waiting = tuple[float, str]
"""Where a page of waiting videos ended: (created_at, id) of its last row."""

Changed = tuple[float, str]
"""Where a page of idle videos ended: (updated_at, id) of its last row."""


class VideoRepository(Protocol):
    """Raises DatabaseUnavailable."""

    def get(self, video_id: str) -> Video:
        """The row. Raises NotFound."""

    def find(self, video_id: str) -> Video | None:
        """The row, or None."""

    def add(self, video: Video) -> Video:
        """Insert, or return the row that exists with this id (its tenant may differ: the caller checks)."""

    def update(self, video_id: str, change: Callable[[Video], Video]) -> Video:
        """Load, change and save in one transaction. Raises NotFound."""

    def waiting(self, *, tenant: str | None = None, limit: int, after: Waiting | None = None) -> Sequence[Video]:
        """UPLOADED videos without an active job, oldest first, of one tenant or of all; `after` is the place of the page before.
        Not those whose last job was cancelled: they wait for somebody to ask."""

    def idle(
        self,
        status: VideoStatus,
        *,
        before: float,
        limit: int,
        after: Changed | None = None,
        with_source: bool = False,
        deleted: bool = False,
    ) -> Sequence[Video]:
        """Videos in this state, not deleted (or, when asked for, deleted and no others), without an active job, whose row last changed before that time (epoch seconds of the
        database), oldest change first; `after` is the place of the page before. `with_source`: only those whose source was not
        purged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """One published object of a finished chunk. `rendition` is a rendition's name; `init` marks the header object."""

    rendition: str
    key: str
    size: int
    sha256: str
    duration_seconds: float
    init: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedChunk:
    """A chunk is a function of (source, plan, index): the same three always give the same bytes, so a later attempt
    copies these objects instead of encoding again. `index` is 0.. for video chunks, -1 - k for audio track k."""

    video_id: str
    source_sha256: str
    plan_hash: str
    index: int
    segments: Sequence[StoredSegment]


class ChunkRepository(Protocol):
    """Raises DatabaseUnavailable."""

    def finished(self, video_id: str, source_sha256: str, plan_hash: str) -> Sequence[FinishedChunk]:
        """Chunks that an attempt published, by index."""

    def add(self, chunk: FinishedChunk) -> None:
        """Keep; the same (video, source, plan, index) again replaces the row (the newer objects live longer)."""

    def forget(self, video_id: str) -> None:
        """Remove all rows of a video, when it is READY."""
