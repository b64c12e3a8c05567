"""Removes what killed attempts of ended jobs left: their handler had no chance to do it (cancel of a hung run, a crash
loop, a worker that vanished for good). And what a video showed before it was encoded anew."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.ledger import JobFilter, JobQueries
from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.application.video.sweep import BATCH
from src.domain.errors import StorageUnavailable
from src.domain.job import Job, JobState
from src.domain.video.keys import attempt_prefix, not_shown, own_attempts, replaced, video_prefix

log = logging.getLogger(__name__)

MOST_POSTPONED = 1000
"""Further ones are left to the next worker's start, which looks a day back."""

ENDED = (JobState.FAILED, JobState.DEAD, JobState.CANCELLED, JobState.SUCCEEDED)


@dataclass(slots=True)
class SweepAbandoned:
    """Any number may run, and again: only objects of the ended job itself, up to the attempt that was its last, and the
    stream that it replaced; never those that the video shows. A job that was reopened goes on with a higher fence, so
    its objects stay.

    Looks at jobs in the order in which they ended, between `recent_seconds` and `age_seconds` ago."""

    jobs: JobQueries
    storage: Storage
    videos: VideoRepository
    chunks: ChunkRepository
    clock: Clock
    job_type: str = "video"
    age_seconds: float = 60.0
    """an attempt that is being killed may still finish an upload"""
    replaced_seconds: float = 21_600.0
    """players that began with the playlist of a stream that was replaced read its segments on: 6 hours cover a long film"""
    recent_seconds: float = 86_400.0
    batch: int = 50
    """jobs per state and tick"""
    _reached: dict[JobState, float] = field(default_factory=dict)
    """when the last job ended that was swept by this process"""
    _done: dict[JobState, set[tuple[str, int]]] = field(default_factory=dict)
    """{state: (job, fence)} of those that ended at that very moment"""
    _postponed: dict[str, Job] = field(default_factory=dict)
    """jobs whose objects the storage did not remove; they don't hold up the others"""

    def tick(self) -> int:
        """Sweep what ended; how many objects. What the storage refused is tried again with the next tick. Raises
        DatabaseUnavailable: the next tick goes on."""
        waiting, self._postponed = list(self._postponed.values()), {}
        return sum(map(self._try, waiting)) + sum(self._tick(state) for state in ENDED)

    def _tick(self, state: JobState) -> int:
        now, removed = self.clock.now(), 0
        done = self._done.setdefault(state, set())
        ended = JobFilter(
            state=state,
            type=self.job_type,
            ended_from=max(self._reached.get(state, 0.0), now - self.recent_seconds),
            ended_to=now - (self.replaced_seconds if state is JobState.SUCCEEDED else self.age_seconds),
            limit=self.batch + len(done),
        )
        for job in self.jobs.list(ended):
            if (job.id, job.fence) in done:
                continue
            removed += self._try(job)
            if (job.finished_at or 0.0) > self._reached.get(state, 0.0):
                self._reached[state] = job.finished_at or 0.0
                done.clear()
            done.add((job.id, job.fence))
        return removed

    def _try(self, job: Job) -> int:
        try:
            return self._sweep(job)
        except StorageUnavailable as error:
            log.warning(
                "video.sweep_postponed", extra={"job": job.id, "error": str(error), "then": "tried with the next tick"}
            )
            if len(self._postponed) < MOST_POSTPONED:
                self._postponed[job.id] = job
            return 0

    def _sweep(self, job: Job) -> int:
        before = _replaced_path(job)
        if not job.fence or (job.state is JobState.SUCCEEDED and job.fence == 1 and before is None):
            return 0  # it wrote nothing, or only what it published
        video_id, base = str(job.payload["video_id"]), video_prefix(job.tenant, str(job.payload["video_id"]))
        last = attempt_prefix(job.tenant, video_id, job_id=job.id, generation=job.generation, fence=job.fence)
        listed = [stored.key for stored in self.storage.list(base)]
        # After the listing: an attempt that became visible meanwhile shows in the video's row.
        video = self.videos.find(video_id)
        if job.state is JobState.SUCCEEDED and (video is None or not video.is_ready):
            return 0
        # What this job itself published is for the job to remove that replaces it: only that one knows since when.
        mine = not_shown(own_attempts(listed, last), (job.result or {}).get("hls_path"))
        litter = dict.fromkeys([*mine, *replaced(listed, before, base)])
        keys = not_shown(litter, video.hls_path if video is not None else None)
        for first in range(0, len(keys), BATCH):
            self.storage.delete(keys[first : first + BATCH])
        if video is not None and (video.job_id, video.fence) == (job.id, job.fence) and not video.is_ready:
            self.chunks.forget(video_id)
        if keys:
            log.info("video.abandoned_swept", extra={"job": job.id, "state": job.state.value, "objects": len(keys)})
        return len(keys)


def _replaced_path(job: Job) -> str | None:
    """The playlist that the video showed before this job's (attempt.py puts it into the result)."""
    path = (job.result or {}).get("metadata", {}).get("replaced_path")
    return path if isinstance(path, str) else None
