"""All recovery jobs over one office, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from src.application.engine.alarm import Alarm
from src.application.engine.waker import Waker
from src.application.operate import RetryJob
from src.application.ports.ledger import JobFilter
from src.application.video.abandoned import SweepAbandoned
from src.application.video.recovery.abort_uploads import AbortUploads
from src.application.video.recovery.enqueue_uploaded import EnqueueUploaded
from src.application.video.recovery.purge_events import PurgeEvents
from src.application.video.recovery.purge_jobs import PurgeJobs
from src.application.video.recovery.purge_raw import PurgeRaw
from src.application.video.recovery.reconcile import Reconcile
from src.application.video.recovery.recover_dead import RecoverDead
from src.application.video.recovery.run import RecoveryJob, Run, SingleFlight
from src.application.video.recovery.scan_stuck import ScanStuck
from src.application.video.recovery.sightings import Sightings
from src.application.video.recovery.stuck_pending import StuckPending
from src.application.video.recovery.stuck_videos import StuckVideos
from src.application.video.recovery.sweep_orphans import SweepOrphans
from src.application.video.source_there import SourceIsThere
from src.domain.errors import ErrorReport, WorkerError
from src.domain.job import Job
from src.domain.stuck import owner_of
from src.infrastructure.memory.ended_jobs import MemoryEndedJobs
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.notify import MemoryNotifier
from src.infrastructure.memory.outbox import MemoryOutbox
from src.infrastructure.memory.progress import MemoryProgress
from src.infrastructure.memory.standings import MemoryVideoStandings
from src.infrastructure.memory.uploads import MemoryUploads
from src.infrastructure.memory.videos import MemoryChunks
from tests.fakes.office import BatchOffice, Office

HOUR, DAY = 3600.0, 86_400.0
LEASE = 30.0
RESULT = {"hls_path": "tenants/t1/video/hls/v1/1-1-00000000/master.m3u8", "duration_seconds": 4.0}


class Clinic:
    """`batch`: videos go by AWS Batch; else by the queue."""

    def __init__(self, *, batch: bool = True) -> None:
        self.office = office = BatchOffice() if batch else Office()
        self.clock = office.clock
        self.lock = MemoryIdempotency(self.clock)
        self.told: list[Job] = []
        self.standings = MemoryVideoStandings(office.ledger, office.videos)
        self.outbox, self.progress = MemoryOutbox(self.clock), MemoryProgress(self.clock)
        self.ended_jobs = MemoryEndedJobs(office.ledger, office.videos, self.outbox, office.submissions, self.progress)
        self.uploads = MemoryUploads(self.clock)
        self.notifier = MemoryNotifier()
        self.on_batch = batch
        numbers = iter(range(10**6))
        self.sightings = sightings = Sightings(office.batch, office.submissions, office.events, self.clock)
        road = office.road()
        made: list[RecoveryJob] = [
            ScanStuck(
                ledger=office.ledger,
                submissions=office.submissions,
                batch=office.batch,
                dispatch=road,
                events=office.events,
                sightings=sightings,
                types=("video",) if batch else (),
                ended=self.told.append,
            ),
            Reconcile(
                ledger=office.ledger,
                submissions=office.submissions,
                batch=office.batch,
                events=office.events,
                sightings=sightings,
                dice=lambda: 0.5,
                ended=self.told.append,
            ),
            EnqueueUploaded(
                submitter=office.submitter,
                videos=office.videos,
                clock=self.clock,
                new_id=lambda: f"new-{next(numbers)}",
            ),
            StuckPending(videos=office.videos, storage=office.storage, events=office.events, clock=self.clock),
            StuckVideos(videos=office.videos, events=office.events, clock=self.clock),
            RecoverDead(
                jobs=office.ledger,
                videos=office.videos,
                retry=RetryJob(office.ledger, road, SourceIsThere(office.storage, office.videos.find)),
                clock=self.clock,
            ),
            PurgeRaw(
                videos=office.videos,
                standings=self.standings,
                jobs=office.ledger,
                storage=office.storage,
                clock=self.clock,
            ),
            SweepOrphans(storage=office.storage, standings=self.standings, clock=self.clock),
            AbortUploads(uploads=self.uploads, clock=self.clock),
            PurgeEvents(events=office.events, clock=self.clock),
            PurgeJobs(jobs=self.ended_jobs),
        ]
        self.jobs: dict[str, RecoveryJob] = {job.name: job for job in made}

    def run(self, name: str, *, dry_run: bool = False, limit: int = 100, **more: Any) -> Run:
        """One run, under the lock."""
        run = Run(name, dry_run=dry_run, limit=limit, **more)
        return SingleFlight(self.lock).run(self.jobs[name], run)

    def others(self) -> dict[str, Callable[[], int]]:
        """Owners that are no recovery jobs."""
        office = self.office
        letters = office.ledger.dead_letters
        return {
            "waker": Waker(office.ledger, office.post, types=() if self.on_batch else None).tick,
            "alarm": Alarm(letters, self.notifier, office.events).tick,
            "sweep of abandoned attempts": SweepAbandoned(
                office.ledger, office.storage, office.videos, MemoryChunks(), self.clock
            ).tick,
        }

    # ------------------------------------------------------------------ what containers do
    def job(self, job_id: str = "job-1") -> Job:
        row = self.office.ledger.find(job_id)
        assert row is not None
        return row

    def batch_id(self, job_id: str = "job-1") -> str:
        row = self.office.submissions.latest(job_id)
        assert row is not None
        return row.batch_id

    def claim(self, job_id: str = "job-1", *, owner: str | None = None) -> Job:
        own = owner or owner_of(self.batch_id(job_id))
        return self.office.ledger.change(
            job_id, lambda row, now: row.claim(now, owner=own, lease_seconds=LEASE, early=True)[0]
        )

    def fail(self, error: WorkerError, job_id: str = "job-1") -> Job:
        return self.office.ledger.change(
            job_id, lambda row, now: row.fail(now, fence=row.fence, error=ErrorReport.of(error), dice=0.5)
        )

    def succeed(self, job_id: str = "job-1", **result: Any) -> Job:
        return self.office.ledger.change(
            job_id, lambda row, now: row.succeed(now, fence=row.fence, result={**RESULT, **result})
        )

    def rows(self) -> int:
        return len(self.office.ledger.list(JobFilter(limit=1000)))
