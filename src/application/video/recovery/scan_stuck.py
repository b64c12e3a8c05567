"""`scan-stuck`: the owner of every active job whose road is AWS Batch (mission.md B3, lessons 8, 10, 13).

As the waker of the queue's road it goes by `wake_at`: the end of a lease, the time of a retry, a submission that led to nothing. It
alone sends a container again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from src.application.ports.batch import BatchJob, BatchService
from src.application.ports.dispatch import Dispatch
from src.application.ports.ledger import JobLedger
from src.application.ports.ops_events import EventType, OpsEvent, OpsEvents, Severity
from src.application.ports.submissions import BatchSubmission, Submissions
from src.application.video.recovery.run import Run
from src.application.video.recovery.sightings import Sightings
from src.domain.errors import BatchRefused, BatchUnavailable, QueueUnavailable, WorkerError
from src.domain.job import Job, JobState
from src.domain.rescue import given_up, held_off, rescued
from src.domain.stuck import Patience, Sighting, Step, holder, stuck_step


def _nothing(_job: Job) -> None:
    """Nobody wants to know of an end."""


def _waits_for_a_host(job: Job, seen: Sequence[Sighting]) -> bool:
    """A container was sent that nobody has claimed the job with since, and it has not started. One that ends counts, by reconcile."""
    mine = [one for one in seen if (one.generation, one.fence) == (job.generation, job.fence)]
    return job.state is not JobState.RUNNING and any(one.alive and one.state and one.state.waiting for one in mine)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStuck:
    """Any number may run: `waking` lets one of them take each row, and every move looks at the row again under its lock."""

    ledger: JobLedger
    submissions: Submissions
    batch: BatchService
    dispatch: Dispatch
    events: OpsEvents
    sightings: Sightings
    types: Collection[str]
    """job types that go by AWS Batch"""
    patience: Patience = field(default_factory=Patience)
    hold_seconds: float = 60.0
    """a row that was looked at is looked at again after this"""
    coming_seconds: float = 900.0
    """one whose container waits for a host: reconcile hears of its end and makes it due then, and a thousand of them that come round
    each minute would keep others waiting"""
    ended: Callable[[Job], object] = _nothing
    """is told of each job that this ended"""
    name: str = "scan-stuck"

    def run(self, run: Run) -> None:
        """Jobs whose time has come, oldest first."""
        if not self.types:
            run.refused = "no job type goes by AWS Batch (WORKER_DISPATCH__BACKEND)"
            return
        due = self.ledger.to_wake(run.limit, self.types)
        run.more = len(due) >= run.limit
        rows = {job.id: self.submissions.of_job(job.id) for job in due}
        asked = {row.batch_id for each in rows.values() for row in each if row.answered and row.counted_at is None}
        said = self.sightings.look(asked | {own for job in due if (own := holder(job)) is not None}, run)
        for job in due:
            with run.item(job.id):
                self._job(job, rows[job.id], said, run)

    def _job(self, listed: Job, rows: Sequence[BatchSubmission], said: Mapping[str, BatchJob] | None, run: Run) -> None:
        # The row as it is after Batch was asked: what Batch said can't be newer than this.
        job, now = self._now(listed.id)
        seen = None if said is None else self._seen(job, rows, said, now, dry_run=run.dry_run)
        if said is None and not rows and holder(job) is None:
            seen = []  # nothing was asked about this one
        verdict = stuck_step(job, seen, now, self.patience)
        if run.dry_run:
            run.skip(job.id, verdict.why) if verdict.step is Step.LEAVE else run.did(job.id, verdict.step, verdict.why)
            return
        coming = verdict.step is Step.LEAVE and _waits_for_a_host(job, seen or ())
        if not self._take(job, self.coming_seconds if coming else self.hold_seconds):
            run.skip(job.id, "it went on, or another scan has it")
            return
        match verdict.step:
            case Step.LEAVE:
                run.skip(job.id, verdict.why)
            case Step.GIVE_UP:
                self._end(
                    self.ledger.change(job.id, lambda r, at: given_up(r, at, fence=job.fence, why=verdict.why)), run
                )
            case Step.SUBMIT:
                self._submit(job, verdict.why, run)
            case Step.RESCUE:
                self._rescue(job, verdict.why, run)
            case Step.TERMINATE:
                for batch_id in verdict.batch_ids:
                    # When this fails the job is left alone: its error is this item's.
                    self.batch.terminate(batch_id, f"mediaworker scan-stuck: {verdict.why}")
                    run.did(batch_id, Step.TERMINATE, f"{verdict.why}, for job {job.id}")
                self._rescue(job, verdict.why, run)

    def _seen(
        self, job: Job, rows: Sequence[BatchSubmission], said: Mapping[str, BatchJob], now: float, *, dry_run: bool
    ) -> list[Sighting]:
        found = [self.sightings.sighting(row, said, now, dry_run=dry_run) for row in rows]
        if job.state is JobState.RUNNING and holder(job) not in {None, *(row.batch_id for row in rows)}:
            unwritten = self.sightings.unwritten(job, said, now)
            found += [unwritten] if unwritten is not None else []
        return found

    # ------------------------------------------------------------------ what it does
    def _rescue(self, job: Job, why: str, run: Run) -> None:
        hold = self.hold_seconds
        row = self.ledger.change(job.id, lambda r, at: rescued(r, at, fence=job.fence, hold_seconds=hold))
        if row.state.is_terminal:
            self._end(row, run)
            return
        run.did(job.id, Step.RESCUE, why)
        self._submit(row, why, run)

    def _end(self, job: Job, run: Run) -> None:
        run.did(job.id, job.state.value, job.error.message if job.error else job.state.value)
        self.ended(job)

    def _submit(self, job: Job, why: str, run: Run) -> None:
        """After the commit that freed it. Whatever goes wrong, the row waits for the next scan."""
        try:
            self.dispatch.dispatch(job)
        except (BatchRefused, BatchUnavailable, QueueUnavailable) as error:
            self._tell_failure(job, error)
            run.failed(job.id, error)
            return
        self.ledger.change(job.id, lambda row, at: held_off(row, at, seconds=self.patience.young))
        run.did(job.id, Step.SUBMIT, why)

    def _tell_failure(self, job: Job, error: WorkerError) -> None:
        self.events.add(
            OpsEvent(
                # Once for each execution: a Batch that is away for a day is one event.
                id=f"{job.id}.{job.generation}.{job.fence}.submit_failed",
                type=EventType.BATCH_SUBMIT_FAILED,
                severity=Severity.ERROR if isinstance(error, BatchRefused) else Severity.WARNING,
                tenant=job.tenant,
                video_id=str(job.payload.get("video_id")),
                job_id=job.id,
                payload={"error_class": error.code, "error": error.message, "fix": error.fix, "recovery": self.name},
            )
        )

    # ------------------------------------------------------------------ rows
    def _now(self, job_id: str) -> tuple[Job, float]:
        """The row and the database's time."""
        times: list[float] = []

        def look(job: Job, now: float) -> Job:
            times.append(now)
            return job

        return self.ledger.change(job_id, look), times[-1]

    def _take(self, seen: Job, hold_seconds: float) -> bool:
        """One scan takes the row; the others leave it for so long, and so does the next turn of this one."""
        taken: list[bool] = []

        def move(job: Job, now: float) -> Job:
            after, ours = job.waking(now, seen=seen.wake_at, hold_seconds=hold_seconds)
            taken.append(ours and job.fence == seen.fence)
            return after if taken[-1] else job

        self.ledger.change(seen.id, move)
        return taken[-1]
