"""Both roads of `Dispatch`, and the choice between them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from src.application.engine.waker import reference
from src.application.ports.batch import BatchService
from src.application.ports.dispatch import NOT_TAKEN, Dispatch
from src.application.ports.ledger import JobLedger
from src.application.ports.queue import Envelope, QueuePublisher
from src.application.ports.submissions import BatchSubmission, Submissions, asked_id
from src.domain.errors import DatabaseUnavailable, NotFound, WorkerError
from src.domain.job import Job

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueDispatch:
    """A message for whichever worker receives it first."""

    publisher: QueuePublisher
    announced: Mapping[str, Callable[[Job], Envelope]] = field(default_factory=dict)
    """{job type: the full message that its publishers send}, for a job's first message; the others are references"""

    def dispatch(self, job: Job) -> None:
        """Publish; a job's first message comes when it is due."""
        if not job.is_untouched:
            self.publisher.publish([reference(job)])
            return
        message = self.announced.get(job.type, reference)(job)
        delay = max(0.0, job.due_at - job.created_at)
        self.publisher.publish([replace(message, delay_seconds=delay) if delay else message])


@dataclass(frozen=True, slots=True)
class BatchDispatch:
    """A container of its own, and the row that connects the two."""

    batch: BatchService
    submissions: Submissions

    def dispatch(self, job: Job) -> None:
        """The row first, then the call, then the batch job's id. After a call whose answer nobody knows the row stays: `reconcile`
        finds out what came of it (F34)."""
        about = {"job": job.id, "tenant": job.tenant}
        asked = BatchSubmission(
            batch_id=asked_id(job.id, job.generation, job.fence),
            job_id=job.id,
            generation=job.generation,
            # The container counts its execution when it claims the job.
            attempt=job.attempts + 1,
            fence=job.fence,
        )
        if not self.submissions.begin(asked):
            log.info("batch.submission_under_way", extra=about)
            return
        try:
            batch_id = self.batch.submit(job.id, name=job.type, tenant=job.tenant)
        except NOT_TAKEN:
            self.submissions.forget(asked.batch_id)
            raise
        log.info("batch.submitted", extra={**about, "aws_batch_job_id": batch_id})
        try:
            self.submissions.answered(asked, batch_id)
        except DatabaseUnavailable as error:
            # The container comes all the same, and finds its job by the id that it was given.
            words = (
                f"batch job {batch_id} was submitted for job {job.id}, and could not be written down: {error.message}"
            )
            raise DatabaseUnavailable(words, fix=error.fix) from error


@dataclass(frozen=True, slots=True)
class DispatchByType:
    """A road for each job type."""

    default: Dispatch
    roads: Mapping[str, Dispatch]

    def dispatch(self, job: Job) -> None:
        """By the type's own road, else the default."""
        self.roads.get(job.type, self.default).dispatch(job)


def set_going(job: Job, ledger: JobLedger, dispatch: Dispatch) -> bool:
    """Set a job going that was admitted. A road that is closed now is told of, and no more: the job is there, and who owns QUEUED
    jobs sets it going when the road is open again."""
    try:
        dispatch.dispatch(job)
        ledger.change(job.id, lambda row, now: row.published(now))
    except NotFound:
        # It was done and cleared away within a moment.
        return True
    except WorkerError as error:
        extra = {
            "job": job.id,
            "error_class": error.code,
            "error": str(error),
            "then": "its recovery owner sets it going",
        }
        # In words as well: this runs in APIs too, whose logging may know nothing of fields.
        log.warning("job.not_published: job %s is kept, its message was not sent: %s", job.id, error, extra=extra)
        return False
    return True
