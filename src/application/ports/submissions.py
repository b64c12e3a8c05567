"""What was handed to AWS Batch for which job: the thread between our row and a container that may never have started."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from src.application.ports.batch import BatchState


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSubmission:
    """One batch job that was made for one of our jobs. Times are epoch seconds of whoever keeps the row. After a lost reply
    there is a batch job without such a row; its container finds its job all the same."""

    batch_id: str
    job_id: str
    generation: int
    attempt: int
    """The execution it was made for, as the job's claim would count it: 1 for the first"""
    fence: int = 0
    """The job's when it was submitted: as long as the job has it, nobody has claimed it since"""
    submitted_at: float = 0.0
    counted_at: float | None = None
    """Its end was dealt with; that is done once (lesson 12)"""
    missing_times: int = 0
    """Times in a row that Batch answered and did not know it"""
    missing_since: float | None = None
    """When that began"""
    state: BatchState | None = None
    """As Batch said last; None: nobody has asked yet"""
    reason: str = ""


Place = tuple[float, str]
"""Where a page of open submissions ended: (submitted_at, batch_id) of its last row."""


class Submissions(Protocol):
    """Rows are added after Batch has answered, and never move anything by themselves. Raises DatabaseUnavailable."""

    def add(self, submission: BatchSubmission) -> BatchSubmission:
        """Keep, with the time of now as `submitted_at`; the row that is there when the batch id is known already."""

    def latest(self, job_id: str) -> BatchSubmission | None:
        """The newest one of a job, or None."""

    def of_job(self, job_id: str) -> Sequence[BatchSubmission]:
        """All of a job, oldest first."""

    def latest_of(self, job_ids: Collection[str]) -> Mapping[str, BatchSubmission]:
        """{job id: newest} of those that have any."""

    def open(self, limit: int, after: Place | None = None) -> Sequence[BatchSubmission]:
        """Those whose end was not dealt with yet, oldest first; `after` is the place of the page before. Also those of jobs that
        have ended: a container may still wait for them."""

    def seen(self, batch_id: str, state: BatchState, reason: str) -> BatchSubmission:
        """What Batch says of it now (the first 1,024 characters): it is not missing. Raises NotFound."""

    def missing(self, batch_id: str) -> BatchSubmission:
        """Batch answered and did not know it, once more. Only for an answer: no answer says nothing (lesson 11). Raises NotFound."""

    def count(self, batch_id: str) -> bool:
        """Its end is dealt with from now on; True for the one caller that may act on it. Call it before acting: dying in between
        costs one look, while acting twice burns an attempt. Raises NotFound."""
