"""`recover-dead`: one more generation for jobs that died of circumstances (contracts.md 1.9), once per job."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.operate import RetryJob
from src.application.ports.clock import Clock
from src.application.ports.ledger import JobFilter, JobQueries
from src.application.ports.videos import VideoRepository
from src.application.video.recovery.run import Run
from src.application.video.request import JOB_TYPE
from src.domain.errors import BatchRefused, BatchUnavailable, QueueUnavailable
from src.domain.job import Job, JobState
from src.domain.video.video import VideoStatus

PAGE = 50

RECOVERABLE = {
    "unexpected": "''",
    "network": "MAX_ATTEMPTS",
    "storage_unavailable": "MAX_ATTEMPTS",
    "database_unavailable": "MAX_ATTEMPTS",
    "queue_unavailable": "MAX_ATTEMPTS",
    "lock_unavailable": "MAX_ATTEMPTS",
    "batch_unavailable": "MAX_ATTEMPTS",
    "file_access": "MAX_ATTEMPTS",
    "disk_full": "MAX_ATTEMPTS",
    "terminated": "MAX_ATTEMPTS",
    "container_lost": "RECONCILE_MAX_ATTEMPTS",
    "stalled": "TIMEOUT",
}
"""{class of the last error: code of contracts.md 1.9}. Not `worker_lost` (STUCK_MAX_ATTEMPTS, which is not among those: a job that took
five hosts with it may take a sixth), nor anything that the film itself is to blame for (ffmpeg, crash_loop)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverDead:
    """The generation remembers that it was done: only a first one is reopened, so one that an operator has retried is left to them."""

    jobs: JobQueries
    videos: VideoRepository
    retry: RetryJob
    """its `may_start` looks whether the source is there (lesson 16)"""
    clock: Clock
    age_seconds: float = 7 * 86_400.0
    name: str = "recover-dead"

    def run(self, run: Run) -> None:
        """In the order in which they died."""
        since, until, offset = self.clock.now() - self.age_seconds, self.clock.now(), 0
        while True:
            # A list that stands still while its rows are reopened: those leave it, so the offset counts only those that stay.
            page = self.jobs.list(
                JobFilter(
                    state=JobState.DEAD,
                    type=JOB_TYPE,
                    ended_from=since,
                    ended_to=until,
                    limit=PAGE,
                    offset=offset,
                )
            )
            if not page:
                return
            for job in page:
                if run.full:
                    run.more = True
                    return
                stays = True
                with run.item(job.id):
                    stays = not self._job(job, run)
                offset += stays

    def _job(self, job: Job, run: Run) -> bool:
        """Whether it is DEAD no more."""
        if (why := self._unfit(job)) is not None:
            run.skip(job.id, why)
            return False
        code = job.error.code if job.error else "none"
        words = f"it died of {code} ({RECOVERABLE[code]})"
        if run.dry_run:
            self.retry.may_start(job)
            run.did(job.id, "reopen", words)
            return False
        try:
            self.retry.retry_failed(job.id, job.generation)
        except (BatchRefused, BatchUnavailable, QueueUnavailable) as error:
            # Reopened, and due: the recovery owner of its road brings it on.
            run.failed(job.id, error)
        run.did(job.id, "reopen", words)
        return True

    def _unfit(self, job: Job) -> str | None:
        if job.generation > 1:
            return "it was reopened before"
        code = job.error.code if job.error else "none"
        if code not in RECOVERABLE:
            return f"it died of {code}"
        video = self.videos.find(str(job.payload.get("video_id")))
        if video is None or video.is_deleted:
            return "its video is deleted"
        if video.status is not VideoStatus.FAILED or video.job_id != job.id:
            return f"its video is {video.status} and has gone on without it"
        return None
