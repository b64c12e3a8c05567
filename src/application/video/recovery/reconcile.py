"""`reconcile`: the owner of every submission, and of batch jobs that nobody wrote down (contracts.md 1.9, mission.md B4).

It learns how batch jobs ended and draws the conclusion once. It never sends a container, and never makes a video READY.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from src.application.ports.batch import BatchJob, BatchService
from src.application.ports.ledger import JobLedger
from src.application.ports.ops_events import EventType, OpsEvents
from src.application.ports.submissions import BatchSubmission, Place, Submissions
from src.application.video.recovery.run import Run
from src.application.video.recovery.sightings import Sightings, tell
from src.domain.batch import BatchState
from src.domain.errors import BatchRefused, BatchUnavailable, NotFound
from src.domain.job import Job
from src.domain.rescue import due_now, never_began
from src.domain.stuck import Around, Closing, Patience, Ruling, Sighting, asked_step, holder, submission_step

PAGE = 100
"""Submissions read, and described, at a time: as many as one DescribeJobs takes."""

LISTED = 2000
"""Batch jobs of each state that are looked at in one run: a backlog of those that wait hides none that run."""

LIVING = (BatchState.SUBMITTED, BatchState.PENDING, BatchState.RUNNABLE, BatchState.STARTING, BatchState.RUNNING)


def _nothing(_job: Job) -> None:
    """Nobody wants to know of an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """Any number may run: `Submissions.count` lets one of them act on each end, and the row's fence decides."""

    ledger: JobLedger
    submissions: Submissions
    batch: BatchService
    events: OpsEvents
    sightings: Sightings
    patience: Patience = field(default_factory=Patience)
    dice: Callable[[], float] = random.random
    ended: Callable[[Job], object] = _nothing
    """is told of each job that this ended, or whose container had ended it"""
    name: str = "reconcile"

    def run(self, run: Run) -> None:
        """Open submissions first, then what is listed and was never written down."""
        living = self._listed(run)
        if living is None:
            return
        started = [job.started_at for job in living.values() if job.started_at is not None]
        known: set[str] = set()
        for page in self._pages():
            known |= {row.batch_id for row in page}
            said = self.sightings.look([row.batch_id for row in page if row.answered], run)
            if said is None:
                return
            for row in page:
                if run.full:
                    run.more = True
                    return
                with run.item(row.batch_id):
                    if row.answered:
                        self._submission(row, said, started, run)
                    else:
                        self._asked(row, started, run)
        for batch_id, job in living.items():
            if job.job_id is not None and batch_id not in known:
                with run.item(batch_id):
                    self._unwritten(batch_id, job, started, run)

    def _pages(self) -> Iterator[Sequence[BatchSubmission]]:
        after: Place | None = None
        while page := self.submissions.open(PAGE, after):
            yield page
            after = (page[-1].submitted_at, page[-1].batch_id)

    def _listed(self, run: Run) -> Mapping[str, BatchJob] | None:
        """What waits or runs, as Batch describes it. None when Batch did not answer in full: then nothing is changed at all."""
        try:
            ids = [one.batch_id for state in LIVING for one in islice(self.batch.listing([state]), LISTED)]
        except (BatchUnavailable, BatchRefused) as error:
            run.failed("ListJobs", error)
            return None
        return self.sightings.look(list(dict.fromkeys(ids)), run)

    # ------------------------------------------------------------------ submissions
    def _submission(
        self, row: BatchSubmission, said: Mapping[str, BatchJob], started: Sequence[float], run: Run
    ) -> None:
        job, now = self._now(row.job_id)
        one = self.sightings.sighting(row, said, now, dry_run=run.dry_run)
        around = self._around(one, row.job_id, said, started)
        ruling = submission_step(job, one, now, around, self.patience)
        self._act(ruling, job, one, run)

    def _asked(self, row: BatchSubmission, started: Sequence[float], run: Run) -> None:
        """Batch was asked, and nobody knows the answer (F34). It is found by its name; its end then counts as any other's."""
        one = self.sightings.sighting(row, {}, row.submitted_at, dry_run=run.dry_run)
        made: BatchJob | None = None
        try:
            made = self._made(row)
            found: bool | None = made is not None
        except (BatchUnavailable, BatchRefused) as error:
            run.failed(row.batch_id, error)
            found = None
        # As it is after Batch was asked.
        job, now = self._now(row.job_id)
        ruling = asked_step(job, one, now, self.patience, found=found)
        if ruling.step is Closing.LEAVE:
            run.skip(row.batch_id, ruling.why)
        elif run.dry_run:
            run.did(row.batch_id, ruling.step, ruling.why)
        elif made is not None:
            known = self.submissions.answered(row, made.batch_id)
            run.did(made.batch_id, ruling.step, f"{ruling.why}: job {row.job_id}")
            self._submission(known, {made.batch_id: made}, started, run)
        elif self.submissions.forget(row.batch_id):
            run.did(row.batch_id, ruling.step, ruling.why)
            if job is not None:
                self.ledger.change(job.id, lambda r, at: due_now(r, at, fence=row.fence))
        else:
            run.skip(row.batch_id, "its answer came after all")

    def _made(self, row: BatchSubmission) -> BatchJob | None:
        """The newest batch job for this row's job that nobody wrote down, not older than the row: clocks differ, by less than this."""
        job, _now = self._now(row.job_id)
        if job is None:
            return None
        written = {each.batch_id for each in self.submissions.of_job(row.job_id)}
        since = row.submitted_at - self.patience.young
        found = [
            each
            for each in self.batch.of_job(job.id, name=job.type)
            if each.batch_id not in written and (each.created_at or 0.0) >= since
        ]
        return found[-1] if found else None

    def _act(self, ruling: Ruling, job: Job | None, one: Sighting, run: Run) -> None:
        if ruling.step is Closing.LEAVE:
            run.skip(one.batch_id, ruling.why)
        elif run.dry_run:
            run.did(one.batch_id, ruling.step, ruling.why)
        elif ruling.step is Closing.ALARM:
            if tell(self.events, EventType.BATCH_DESYNC, job, one.batch_id, ruling.why):
                run.did(one.batch_id, ruling.step, ruling.why)
            else:
                run.skip(one.batch_id, f"{ruling.why}, as was told before")
        elif ruling.step in (Closing.TERMINATE, Closing.DUPLICATE, Closing.ORPHAN):
            self._terminate(ruling, job, one, run)
        elif self.submissions.count(one.batch_id):
            self._conclude(ruling, job, one, run)
        else:
            run.skip(one.batch_id, "another run has dealt with its end")

    def _terminate(self, ruling: Ruling, job: Job | None, one: Sighting, run: Run) -> None:
        self.batch.terminate(one.batch_id, f"mediaworker reconcile: {ruling.why}")
        kind = EventType.BATCH_DESYNC if ruling.step is Closing.TERMINATE else EventType.ORPHAN_CANCELLED
        tell(self.events, kind, job, one.batch_id, ruling.why)
        run.did(one.batch_id, ruling.step, ruling.why)

    def _conclude(self, ruling: Ruling, job: Job | None, one: Sighting, run: Run) -> None:
        """The submission is counted: this happens once."""
        run.did(one.batch_id, ruling.step, ruling.why)
        if job is None:
            return
        if ruling.step is Closing.CLOSE and job.state.is_terminal:
            # By its container, whose role may not submit what the tenant's limit kept waiting.
            self.ended(job)
        elif ruling.step is Closing.DESYNC:
            tell(self.events, EventType.BATCH_DESYNC, job, one.batch_id, ruling.why)
            self.ledger.change(job.id, lambda row, now: due_now(row, now, fence=one.fence))
        elif ruling.step is Closing.COUNT:
            dice = self.dice()
            row = self.ledger.change(
                job.id, lambda r, now: never_began(r, now, fence=one.fence, why=ruling.why, dice=dice)
            )
            run.did(job.id, row.state.value, row.error.message if row.error else ruling.why)
            if row.state.is_terminal:
                self.ended(row)

    def _around(self, one: Sighting, job_id: str, said: Mapping[str, BatchJob], started: Sequence[float]) -> Around:
        others = [
            row
            for row in self.submissions.of_job(job_id)
            if row.batch_id != one.batch_id and row.counted_at is None and _waits_or_runs(row, said)
        ]
        return Around(
            newer_alive=any(row.submitted_at > one.submitted_at for row in others),
            other_alive=bool(others),
            capacity=any(at > one.submitted_at for at in started),
        )

    # ------------------------------------------------------------------ batch jobs without a submission
    def _unwritten(self, batch_id: str, seen: BatchJob, started: Sequence[float], run: Run) -> None:
        """A lost reply of SubmitJob leaves one. Its job's owner has to know of it; without such a job it is an orphan."""
        job, now = self._now(seen.job_id or "")
        rows = self.submissions.of_job(seen.job_id or "")
        if any(row.batch_id == batch_id for row in rows):
            return
        if job is not None and not job.state.is_terminal:
            claimed = holder(job) == batch_id
            if not run.dry_run:
                self.submissions.add(
                    BatchSubmission(
                        batch_id=batch_id,
                        job_id=job.id,
                        generation=job.generation,
                        attempt=job.attempts + (not claimed),
                        fence=job.fence - claimed,
                    )
                )
                self.submissions.seen(batch_id, seen.state, seen.status_reason)
            run.did(batch_id, "adopt", f"it is {seen.state} for job {job.id}, and was not written down")
            return
        one = Sighting(
            batch_id=batch_id,
            generation=0,
            fence=0,
            state=seen.state,
            submitted_at=seen.created_at if seen.created_at is not None else now,
            started_at=seen.started_at,
        )
        around = Around(capacity=any(at > one.submitted_at for at in started))
        self._act(submission_step(None, one, now, around, self.patience), job, one, run)

    def _now(self, job_id: str) -> tuple[Job | None, float]:
        """The row, if there is one, and the time."""
        times: list[float] = []

        def look(job: Job, now: float) -> Job:
            times.append(now)
            return job

        try:
            return self.ledger.change(job_id, look), times[-1]
        except NotFound:
            return None, self.sightings.clock.now()


def _waits_or_runs(row: BatchSubmission, said: Mapping[str, BatchJob]) -> bool:
    """As Batch says now, or said last."""
    state = said[row.batch_id].state if row.batch_id in said else row.state
    return state is not None and not state.ended
