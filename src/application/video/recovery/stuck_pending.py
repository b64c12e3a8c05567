"""`stuck-pending`: the owner of PENDING videos (contracts.md 1.9): uploaded without a word, or never uploaded."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.ops_events import EventType, OpsEvent, OpsEvents, Severity
from src.application.ports.storage import Storage, StoredObject
from src.application.ports.videos import Changed, VideoRepository
from src.application.video.recovery.run import Run
from src.domain.errors import SourceMissing
from src.domain.ids import check_tenant, storage_key
from src.domain.video.video import Video, VideoStatus

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckPending:
    """A storage that does not answer decides nothing."""

    videos: VideoRepository
    storage: Storage
    events: OpsEvents
    clock: Clock
    uploaded_seconds: float = 3600.0
    """a source that lies there for so long is complete, and nobody will say so"""
    lost_seconds: float = 86_400.0
    """a video without a source for so long gets none"""
    name: str = "stuck-pending"

    def run(self, run: Run) -> None:
        """The oldest first."""
        after: Changed | None = None
        before = self.clock.now() - self.uploaded_seconds
        while page := self.videos.idle(VideoStatus.PENDING, before=before, limit=PAGE, after=after):
            for video in page:
                if run.full:
                    run.more = True
                    return
                with run.item(video.id):
                    self._video(video, run)
            after = (page[-1].updated_at, page[-1].id)

    def _video(self, video: Video, run: Run) -> None:
        now, source = self.clock.now(), self._source(video)
        if source is not None and source.size and now - source.modified_at > self.uploaded_seconds:
            if not run.dry_run:
                self.videos.update(video.id, lambda row: row.uploaded())
            run.did(
                video.id, "uploaded", f"its source has {source.size} bytes and is {now - source.modified_at:.0f} s old"
            )
        elif (source is None or not source.size) and now - video.created_at > self.lost_seconds:
            why = "no source was uploaded" if source is None else "its source is empty"
            reason = f"{why} within {self.lost_seconds / 3600:g} h"
            if not run.dry_run:
                self.videos.update(video.id, lambda row: row.never_uploaded(reason))
                if source is not None:
                    self._tell(video, reason)
            run.did(video.id, "failed", reason)
        else:
            run.skip(video.id, "its source is still young" if source is not None else "its source may still come")

    def _source(self, video: Video) -> StoredObject | None:
        try:
            return self.storage.head(check_tenant(storage_key(video.source_key, "source_key"), video.tenant))
        except SourceMissing:
            return None

    def _tell(self, video: Video, reason: str) -> None:
        self.events.add(
            OpsEvent(
                id=f"{video.id}.empty",
                type=EventType.UPLOAD_INTEGRITY_FAIL,
                severity=Severity.WARNING,
                tenant=video.tenant,
                video_id=video.id,
                payload={"why": reason, "key": video.source_key},
            )
        )
