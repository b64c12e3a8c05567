"""Deletes a video: its row first, its jobs with it, then the request for its objects (lessons 7, 14)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.deletion import Standing, VideoStandings
from src.application.ports.ledger import JobLedger
from src.application.ports.videos import VideoRepository
from src.application.video.delete_request import DeletionQueue
from src.domain.errors import NotFound
from src.domain.job import Job, JobState
from src.domain.video.deletion import Removal, make_removal
from src.domain.video.keys import raw_prefix, video_prefix
from src.domain.video.video import Video

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What is (or would be) deleted. `jobs` are the active ones: those that CANCELLED stands at have ended, a running one is
    being stopped. `shared_with`: other videos that need the source, which therefore stays."""

    video: Video
    removal: Removal
    jobs: Sequence[Job]
    shared_with: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVideo:
    """The API's side. Each step can be repeated, and the whole of it: a call that broke off is called again."""

    videos: VideoRepository
    standings: VideoStandings
    ledger: JobLedger
    requests: DeletionQueue
    clock: Clock
    ended: Callable[[Job], object] = lambda _job: None
    """told of each job that has ended here: its place is free for the tenant's next video"""

    def preview(self, video_id: str, tenant: str | None = None) -> Deletion:
        """What `delete` would do. Changes nothing. Raises NotFound, also for another tenant's video; DatabaseUnavailable."""
        video = self._find(video_id, tenant)
        standing = self.standings.standing(video.id, video.source_key)
        return self._deletion(video, standing, standing.active)

    def delete(self, video_id: str, tenant: str | None = None) -> Deletion:
        """Mark the row, end the jobs, ask for the objects: in this order, each committed before the next begins. A job that
        is claimed in between meets the marked row and ends without work. Raises NotFound, DatabaseUnavailable,
        QueueUnavailable (then all but the request is done: call again)."""
        deletion = self.mark(video_id, tenant)
        removal = deletion.removal
        self.requests.enqueue_delete_r2(
            tenant_id=removal.tenant,
            video_id=removal.video_id,
            file_key=removal.file_key or "",
            hls_prefix=removal.prefix or "",
        )
        return deletion

    def mark(self, video_id: str, tenant: str | None = None) -> Deletion:
        """All but the request: for whoever removes the objects himself."""
        now = self.clock.now()
        video = self.videos.update(self._find(video_id, tenant).id, lambda row: row.deleted(now))
        standing = self.standings.standing(video.id, video.source_key)
        return self._deletion(video, standing, [self._cancel(job) for job in standing.active])

    def _find(self, video_id: str, tenant: str | None) -> Video:
        video = self.videos.find(video_id)
        if video is None or tenant not in (None, video.tenant):
            # Another tenant's video must not be told apart from none.
            raise NotFound(f"no video {video_id[:80]!r}" + (f" of tenant {tenant[:80]!r}" if tenant else ""))
        return video

    def _cancel(self, job: Job) -> Job:
        """Every active job counts against its tenant's limit (lesson 14), so none may be left to find out by itself."""

        def move(row: Job, now: float) -> Job:
            return row if row.state.is_terminal else row.request_cancel(now)

        ended = self.ledger.change(job.id, move)
        log.info("video.job_cancelled", extra={"job": job.id, "state": ended.state.value, "video": job.subject})
        if ended.state.is_terminal:
            self.ended(ended)
        return ended

    def _deletion(self, video: Video, standing: Standing, jobs: Sequence[Job]) -> Deletion:
        key = video.source_key
        if not key.startswith(raw_prefix(video.tenant)) and key.startswith("tenants/"):
            # A source from outside the tenant's uploads (an event about a foreign key): not ours to remove.
            log.warning("video.source_stays", extra={"video": video.id, "key": key})
            key = ""
        removal = make_removal(video.tenant, video.id, key, video_prefix(video.tenant, video.id))
        return Deletion(video=video, removal=removal, jobs=jobs, shared_with=standing.sharing)


def still_running(deletion: Deletion) -> Sequence[Job]:
    """Jobs that a worker is about to stop."""
    return [job for job in deletion.jobs if job.state is JobState.RUNNING]
