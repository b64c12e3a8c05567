"""The video as its owner sees it: one row, moved together with its job (contracts.md 1.5, 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class VideoStatus(StrEnum):
    """Spelled as in contracts.md 1.6. READY_PARTIAL is for progressive publishing (mission.md S3)."""

    PENDING = "PENDING"
    UPLOADED = "UPLOADED"
    PROCESSING = "PROCESSING"
    READY_PARTIAL = "READY_PARTIAL"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One uploaded video. `fence` is that of the last job move that touched the row."""

    id: str
    tenant: str
    source_key: str
    status: VideoStatus = VideoStatus.UPLOADED
    title: str = ""
    job_id: str | None = None
    fence: int = 0
    hls_path: str | None = None
    thumbnail_path: str | None = None
    storyboard_path: str | None = None
    duration_seconds: float | None = None
    error_reason: str | None = None
    result: Mapping[str, Any] | None = field(default=None)
    created_at: float = 0.0
    updated_at: float = 0.0
    deleted_at: float | None = None
    """when its owner deleted it; the row stays, its objects are removed by a request of their own"""
    source_purged_at: float | None = None
    """when `purge-raw` removed the source, which was not needed any more"""

    @property
    def is_deleted(self) -> bool:
        """Nothing may be made for it any more."""
        return self.deleted_at is not None

    @property
    def is_ready(self) -> bool:
        """READY with everything the completion contract names (lesson 24): playlist, length, thumbnail where it has pictures."""
        return self.status is VideoStatus.READY and bool(self.hls_path) and bool(self.result)

    def asked_again(self, job_id: str) -> Video:
        """A job was admitted. A job that was cancelled before says nothing about the video any more; nor does one of the same id
        whose row has gone since (purge-jobs): fences begin anew, and those of the first life must not refuse the second's."""
        is_over = self.status is VideoStatus.UPLOADED or self.job_id == job_id
        if self.job_id is None or self.status is VideoStatus.READY or not is_over:
            return self
        return replace(self, job_id=None, fence=0)

    def deleted(self, now: float) -> Video:
        """Its owner does not want it any more. Repeating it keeps the first time."""
        return self if self.is_deleted else replace(self, deleted_at=now)

    def processing(self, *, job_id: str, fence: int) -> Video:
        """A worker began. READY stays READY: a re-run never takes a playing video away."""
        if self.status is VideoStatus.READY:
            return self
        return replace(
            self,
            status=VideoStatus.PROCESSING,
            job_id=job_id,
            fence=fence,
            error_reason=None,
            source_purged_at=None,
        )

    def ready(self, *, job_id: str, fence: int, source_key: str, result: Mapping[str, Any]) -> Video:
        """The job's result, made from `source_key`, is this video's."""
        return replace(
            self,
            status=VideoStatus.READY,
            source_key=source_key,
            job_id=job_id,
            fence=fence,
            hls_path=result["hls_path"],
            thumbnail_path=result.get("thumbnail_path"),
            storyboard_path=result.get("storyboard_path"),
            duration_seconds=result["duration_seconds"],
            result=dict(result),
            error_reason=None,
            source_purged_at=None,
        )

    def failed(self, *, job_id: str, fence: int, reason: str) -> Video:
        """The job ended without success. READY stays READY."""
        if self.status is VideoStatus.READY:
            return self
        return replace(
            self,
            status=VideoStatus.FAILED,
            job_id=job_id,
            fence=fence,
            error_reason=reason[:2000],
        )

    def back_to_uploaded(self, *, job_id: str, fence: int) -> Video:
        """Nobody works on it now (handed back, cancelled)."""
        if self.status is VideoStatus.READY:
            return self
        return replace(self, status=VideoStatus.UPLOADED, job_id=job_id, fence=fence)

    # ------------------------------------------------------------------ the recovery jobs' moves
    def uploaded(self) -> Video:
        """PENDING, and its source is there: whoever uploaded it did not say so."""
        return replace(self, status=VideoStatus.UPLOADED) if self.status is VideoStatus.PENDING else self

    def never_uploaded(self, reason: str) -> Video:
        """PENDING, and nothing came."""
        if self.status is not VideoStatus.PENDING:
            return self
        return replace(self, status=VideoStatus.FAILED, error_reason=reason[:2000])

    def unstuck(self) -> Video:
        """PROCESSING, and nobody is at it."""
        if self.status not in (VideoStatus.PROCESSING, VideoStatus.READY_PARTIAL):
            return self
        return replace(self, status=VideoStatus.UPLOADED)

    def source_purged(self, now: float) -> Video:
        """Its source is removed."""
        return replace(self, source_purged_at=now)

    def source_kept(self) -> Video:
        """It is not, after all."""
        return self if self.source_purged_at is None else replace(self, source_purged_at=None)
