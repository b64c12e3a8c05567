"""What was handed to AWS Batch for which job: the thread between our row and a container that may never have started."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from src.application.ports.batch import BatchState

ASKED = "asked:"
"""Begins the id of a submission that Batch has not answered; no id of Batch's has a colon."""


def asked_id(job_id: str, generation: int, fence: int) -> str:
    """Under which a submission is kept until Batch has named it: one at a time for each execution of a job."""
    return f"{ASKED}{job_id}.{generation}.{fence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSubmission:
    """One batch job that was made for one of our jobs, or was asked for. Times are epoch seconds of whoever keeps the row. It is
    written before Batch is called, so that a reply that gets lost, or a caller that dies, leaves something to go by."""

    batch_id: str
    """Batch's, or `asked_id` as long as its answer is not known"""
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

    @property
    def answered(self) -> bool:
        """Batch has said under which id it took this."""
        return not self.batch_id.startswith(ASKED)


Place = tuple[float, str]
"""Where a page of open submissions ended: (submitted_at, batch_id) of its last row."""


class Submissions(Protocol):
    """Rows never move anything by themselves. Raises DatabaseUnavailable."""

    def begin(self, asked: BatchSubmission) -> bool:
        """Keep it, before Batch is asked, with the time of now as `submitted_at`. False when it is there already: somebody else is
        asking, or asked and never learned the answer."""

    def answered(self, asked: BatchSubmission, batch_id: str) -> BatchSubmission:
        """Batch's id from now on, whoever learned of it, and whatever became of the row meanwhile: one row stays, with the time at
        which it was asked for."""

    def forget(self, batch_id: str) -> bool:
        """Nothing came of it: the row goes. False when an answer came, or it went before. Only of one that was not answered."""

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
