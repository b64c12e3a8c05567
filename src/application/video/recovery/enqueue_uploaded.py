"""`enqueue-uploaded`: the owner of UPLOADED videos (contracts.md 1.8, 1.9). Whoever was refused by a limit, or never asked, gets a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.videos import VideoRepository, Waiting
from src.application.video.recovery.run import Run
from src.application.video.request import EncodeVideo
from src.application.video.submit import SubmitVideo
from src.domain.video.video import Video

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueUploaded:
    """Submitting twice makes one job: one is active per video."""

    submitter: SubmitVideo
    videos: VideoRepository
    clock: Clock
    new_id: Callable[[], str]
    """makes the id of a job"""
    young_seconds: float = 60.0
    """the API may be about to submit it itself"""
    name: str = "enqueue-uploaded"

    def run(self, run: Run) -> None:
        """Those that waited longest first, until a limit that all share is reached."""
        after: Waiting | None = None
        full: set[str] = set()
        while page := self.videos.waiting(limit=PAGE, after=after):
            for video in page:
                if run.full:
                    run.more = True
                    return
                with run.item(video.id):
                    if not self._video(video, full, run):
                        return
            after = (page[-1].created_at, page[-1].id)

    def _video(self, video: Video, full: set[str], run: Run) -> bool:
        """Whether the next one is worth a try."""
        if self.clock.now() - video.updated_at < self.young_seconds:
            run.skip(video.id, "it was changed just now")
            return True
        if video.tenant in full:
            run.skip(video.id, "tenant_limit")
            return True
        if run.dry_run:
            run.did(
                video.id, "submit", "it is UPLOADED and has no job; limits and source are looked at when it is done"
            )
            return True
        request = EncodeVideo(video_id=video.id, tenant=video.tenant, file_key=video.source_key)
        made = self.submitter.submit(request, self.new_id(), asked=False)
        if made.error is not None:
            run.failed(video.id, made.error)
            return False
        if made.created and made.job is not None:
            run.did(video.id, "submit", f"job {made.job.id}")
            return True
        run.skip(video.id, made.rejected or "it has a job by now")
        if made.rejected == "tenant_limit":
            full.add(video.tenant)
        return made.rejected != "global_limit"
