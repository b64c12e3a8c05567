"""`stuck-videos`: the owner of PROCESSING videos without an active job (contracts.md 1.9): back to UPLOADED, and told."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.ops_events import EventType, OpsEvent, OpsEvents, Severity
from src.application.ports.videos import Changed, VideoRepository
from src.application.video.recovery.run import Run
from src.domain.video.video import Video, VideoStatus

PAGE = 50
AT_WORK = (VideoStatus.PROCESSING, VideoStatus.READY_PARTIAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckVideos:
    """A job and its video move in one commit, so that there should be none; somebody who writes into the database may make one."""

    videos: VideoRepository
    events: OpsEvents
    clock: Clock
    idle_seconds: float = 300.0
    """one whose row has just changed is looked at later"""
    name: str = "stuck-videos"

    def run(self, run: Run) -> None:
        """The oldest first."""
        before = self.clock.now() - self.idle_seconds
        for status in AT_WORK:
            after: Changed | None = None
            while page := self.videos.idle(status, before=before, limit=PAGE, after=after):
                for video in page:
                    if run.full:
                        run.more = True
                        return
                    with run.item(video.id):
                        self._video(video, run)
                after = (page[-1].updated_at, page[-1].id)

    def _video(self, seen: Video, run: Run) -> None:
        why = f"it is {seen.status}, and no job of it is active"
        if run.dry_run:
            run.did(seen.id, "uploaded", why)
            return
        self.events.add(
            OpsEvent(
                id=f"{seen.id}.{seen.job_id}.{seen.fence}.stuck",
                type=EventType.VIDEO_STUCK_DETECTED,
                severity=Severity.WARNING,
                tenant=seen.tenant,
                video_id=seen.id,
                job_id=seen.job_id,
                payload={"why": why},
            )
        )
        # A job that began meanwhile has changed the row.
        row = self.videos.update(seen.id, lambda row: row.unstuck() if row.updated_at == seen.updated_at else row)
        if row.status is VideoStatus.UPLOADED:
            run.did(seen.id, "uploaded", why)
        else:
            run.skip(seen.id, "it went on meanwhile")
