"""AWS Batch, where one job is one container that ends with the job (mission.md B1-B4).

Batch decides nothing about our jobs: the ledger is the truth, Batch's answers are hints about containers (contracts.md 1.9).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from src.domain.batch import BatchState
from src.domain.ids import identifier

__all__ = ["BatchJob", "BatchService", "BatchState", "BatchSummary", "batch_name"]

NAME_LIMIT = 128
"""Characters of a job's name (SubmitJob, jobName)."""

ID_SHOWN = 8
"""Characters of our job's id in that name (contracts.md 1.7)."""

REASON_LIMIT = 1024
"""Characters kept of a termination's reason (TerminateJob, reason)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """One batch job as Batch describes it. Times are epoch seconds, None for what has not happened (or is not told)."""

    batch_id: str
    name: str
    job_id: str | None
    """Our job, as its parameter or else its environment says; None: made from another job definition than ours, or without
    an id, so it is somebody else's: leave it alone"""
    state: BatchState
    status_reason: str = ""
    exit_code: int | None = None
    """The container's, of the last attempt; None while it runs, and when nobody saw it end (its host went away)"""
    attempts: int = 0
    """Containers that have ended"""
    created_at: float | None = None
    started_at: float | None = None
    stopped_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """One batch job as a listing shows it, which does not know whose job it runs: `describe` tells that."""

    batch_id: str
    name: str
    state: BatchState
    status_reason: str = ""
    created_at: float | None = None


class BatchService(Protocol):
    """One job queue and one job definition. Every method raises BatchUnavailable for no usable answer (BatchNotTaken where the
    service certainly did nothing), BatchDenied for a missing permission and BatchRefused for another no: trouble is never an
    empty answer."""

    def submit(self, job_id: str, *, name: str, tenant: str) -> str:
        """Have a container run this job once; the batch job's id. `name` begins what people see (`batch_name`), `tenant` is a tag.
        Submit after the commit (lesson 7). There is no idempotency token: after BatchUnavailable a batch job may exist all the
        same, and trying again may make a second one. That must be harmless: whichever container claims the job first does it, the
        other one sees that and exits 0. Raises InvalidPayload for ids that aren't any."""

    def describe(self, batch_ids: Collection[str]) -> Mapping[str, BatchJob]:
        """{batch id: job} of those that Batch knows, however many are asked for. An id is absent only when Batch answered and
        did not name it: it never existed, or ended more than a day or so ago."""

    def listing(self, states: Collection[BatchState]) -> Iterator[BatchSummary]:
        """Batch jobs of our queue and job definition (any revision) that were in one of these states when it was asked about.
        Lazy: trouble is raised at the page where it is met, so only a listing that ends by itself was whole. A job that moves
        meanwhile may be missed, or come twice with different states."""

    def of_job(self, job_id: str, *, name: str) -> Sequence[BatchJob]:
        """Every batch job that `submit` made of these two words and that Batch still knows, whatever its state, oldest first. What
        was submitted in the last seconds may not be listed yet."""

    def terminate(self, batch_id: str, reason: str) -> None:
        """Have it end as FAILED with this reason (the first 1,024 characters): at once where it waits; where it runs, after
        SIGTERM and a grace time, so it may still run when this returns. Already ended or unknown is fine."""


def batch_name(name: str, job_id: str) -> str:
    """A batch job's name: `video-0190a5e2` for a video. Letters, digits, - and _; the first one is no sign."""
    words = re.sub(r"[^A-Za-z0-9_-]", "-", f"{name}-{identifier(job_id, 'job id')[:ID_SHOWN]}").lstrip("-_")
    return words[:NAME_LIMIT]
