"""Asks AWS Batch about batch jobs of ours, and remembers what it said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from src.application.ports.batch import BatchJob, BatchService
from src.application.ports.clock import Clock
from src.application.ports.ops_events import EventType, OpsEvent, OpsEvents, Severity
from src.application.ports.submissions import BatchSubmission, Submissions
from src.application.video.recovery.run import Run
from src.domain.batch import BatchState
from src.domain.errors import BatchRefused, BatchUnavailable
from src.domain.job import Job
from src.domain.stuck import Patience, Sighting, holder


@dataclass(frozen=True, slots=True)
class Sightings:
    """`look` asks once for all; no answer is None, never an empty answer (lesson 11)."""

    batch: BatchService
    submissions: Submissions
    events: OpsEvents
    clock: Clock
    """for what no row has a time of"""
    patience: Patience = field(default_factory=Patience)

    def look(self, batch_ids: Collection[str], run: Run) -> Mapping[str, BatchJob] | None:
        """What Batch knows of these. None when it did not answer, which is an event and an error of the run."""
        if not batch_ids:
            return {}
        try:
            return self.batch.describe(batch_ids)
        except (BatchUnavailable, BatchRefused) as error:
            run.failed("DescribeJobs", error)
            if not run.dry_run:
                self.events.add(
                    OpsEvent(
                        type=EventType.RECONCILE_DESCRIBE_JOBS_FAILED,
                        severity=Severity.ERROR if isinstance(error, BatchRefused) else Severity.WARNING,
                        payload={
                            "recovery": run.name,
                            "error_class": error.code,
                            "error": error.message,
                            "fix": error.fix,
                        },
                    )
                )
            return None

    def sighting(self, row: BatchSubmission, said: Mapping[str, BatchJob], now: float, *, dry_run: bool) -> Sighting:
        """Of one submission; what was said is written down, unless it is a dry run. One that is so young that parts of Batch may not
        know it yet is not counted as missing. `now` is the time of whoever keeps the rows: this machine's clock may be another
        (F26). Raises DatabaseUnavailable."""
        known, times, since = said.get(row.batch_id), row.missing_times, row.missing_since
        if not row.answered:
            return Sighting(
                batch_id=row.batch_id,
                generation=row.generation,
                fence=row.fence,
                state=None,
                submitted_at=row.submitted_at,
                asked=True,
            )
        if row.counted_at is None and not dry_run:
            row = self._written(row, known, now)
            times, since = row.missing_times, row.missing_since
        elif row.counted_at is None and known is None and now - row.submitted_at >= self.patience.young:
            times, since = times + 1, now if since is None else since
        return Sighting(
            batch_id=row.batch_id,
            generation=row.generation,
            fence=row.fence,
            state=known.state if known else (row.state or BatchState.FAILED if row.counted_at is not None else None),
            submitted_at=row.submitted_at,
            counted=row.counted_at is not None,
            missing_times=times if known is None else 0,
            missing_seconds=max(0.0, now - since) if known is None and since is not None else 0.0,
            started_at=known.started_at if known else None,
            reason=known.status_reason if known else row.reason,
        )

    def _written(self, row: BatchSubmission, known: BatchJob | None, now: float) -> BatchSubmission:
        if known is not None:
            same = (row.state, row.reason, row.missing_times) == (known.state, known.status_reason, 0)
            return row if same else self.submissions.seen(row.batch_id, known.state, known.status_reason)
        return self.submissions.missing(row.batch_id) if now - row.submitted_at >= self.patience.young else row

    def unwritten(self, job: Job, said: Mapping[str, BatchJob], now: float) -> Sighting | None:
        """Of the batch job whose container holds this job by the words of its lease; its submission was never written down."""
        batch_id = holder(job)
        if batch_id is None:
            return None
        known = said.get(batch_id)
        return Sighting(
            batch_id=batch_id,
            generation=job.generation,
            fence=job.fence - 1,
            state=known.state if known else None,
            submitted_at=known.created_at or 0.0 if known else 0.0,
            # Nobody counts how often it was not known. The lease tells how long nobody has heard of it.
            missing_seconds=0.0 if known else max(0.0, now - (job.lease_until or 0.0)),
            started_at=known.started_at if known else None,
        )


def tell(events: OpsEvents, kind: EventType, job: Job | None, batch_id: str, why: str) -> bool:
    """Keep an event about a batch job and the job that it is for; one of each kind per batch job: False when there is one. Raises
    DatabaseUnavailable."""
    return events.add(
        OpsEvent(
            id=f"{batch_id}.{kind.value.lower()}",
            type=kind,
            severity=Severity.ERROR if kind is EventType.BATCH_DESYNC else Severity.WARNING,
            tenant=job.tenant if job else None,
            video_id=str(job.payload.get("video_id")) if job else None,
            job_id=job.id if job else None,
            aws_batch_job_id=batch_id,
            payload={"why": why},
        )
    )
