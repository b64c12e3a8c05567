"""Removes what killed attempts of ended jobs left: their handler had no chance to do it (cancel of a hung run, a crash
loop, a worker that vanished for good)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.ledger import JobFilter, JobQueries
from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.application.video.sweep import BATCH
from src.domain.job import Job, JobState
from src.domain.video.keys import attempt_prefix, own_attempts, video_prefix

log = logging.getLogger(__name__)

ENDED = (JobState.FAILED, JobState.DEAD, JobState.CANCELLED)


@dataclass(slots=True)
class SweepAbandoned:
    """Any number may run, and again: only objects of the ended job itself, up to the attempt that was its last, and
    never those that the video shows. A job that was reopened goes on with a higher fence, so its objects stay.

    Looks at the newest `batch` jobs per state that ended between `age_seconds` and `recent_seconds` ago."""

    jobs: JobQueries
    storage: Storage
    videos: VideoRepository
    chunks: ChunkRepository
    clock: Clock
    job_type: str = "video"
    age_seconds: float = 60.0
    """an attempt that is being killed may still finish an upload"""
    recent_seconds: float = 86_400.0
    batch: int = 50
    _done: dict[tuple[str, int], float] = field(default_factory=dict)
    """{(job, fence): when it ended} of what was swept by this process"""

    def tick(self) -> int:
        """Sweep what ended; how many objects. Raises DatabaseUnavailable, StorageUnavailable: the next tick goes on."""
        now, removed = self.clock.now(), 0
        self._done = {key: ended for key, ended in self._done.items() if now - ended <= self.recent_seconds}
        for state in ENDED:
            for job in self.jobs.list(JobFilter(state=state, type=self.job_type, limit=self.batch)):
                ended = job.finished_at or now
                known = (job.id, job.fence) in self._done
                if job.fence and not known and self.age_seconds <= now - ended <= self.recent_seconds:
                    removed += self._sweep(job)
                    self._done[(job.id, job.fence)] = ended
        return removed

    def _sweep(self, job: Job) -> int:
        video_id = str(job.payload["video_id"])
        last = attempt_prefix(job.tenant, video_id, job_id=job.id, generation=job.generation, fence=job.fence)
        listed = [stored.key for stored in self.storage.list(video_prefix(job.tenant, video_id))]
        # After the listing: an attempt that became visible meanwhile shows in the video's row.
        video = self.videos.find(video_id)
        shown = (video.hls_path or "").rpartition("/")[0] if video is not None else ""
        keys = [key for key in own_attempts(listed, last) if not shown or not key.startswith(f"{shown}/")]
        for first in range(0, len(keys), BATCH):
            self.storage.delete(keys[first : first + BATCH])
        if video is not None and (video.job_id, video.fence) == (job.id, job.fence) and not video.is_ready:
            self.chunks.forget(video_id)
        if keys:
            log.info("video.abandoned_swept", extra={"job": job.id, "state": job.state.value, "objects": len(keys)})
        return len(keys)
