"""The truth about jobs: one row each, moved only by the functions of domain/job.py under a row lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from src.domain.errors import ErrorReport, UnexpectedError
from src.domain.history import Attempt
from src.domain.job import Job, JobDraft, JobState

Answer = TypeVar("Answer")

Move = Callable[[Job, float], Job]
"""(row, database time) -> next row. Returning the same object writes nothing. It may raise; then nothing is written."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something else that must become true in the same commit as a job's move. Subclasses live beside what they change;
    an adapter knows how to apply each kind it was given an applier for."""


Effects = Callable[[Job | None, Job], Sequence[Effect]]
"""(old row or None when admitted, new row) -> what else to write. Pure; the catalog composes it from the job types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most active jobs (QUEUED, RUNNING, RETRY_WAIT) at submission; 0 = no limit."""

    active_per_tenant: int = 0
    active_total: int = 0
    total_per_subject: int = 0


class TenantFull(Exception):
    """The tenant has as many RUNNING jobs as it may have."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The job's row, and whether this call made it. `rejected` is one of the reasons of contracts.md 1.8, else None."""

    job: Job | None
    created: bool
    rejected: str | None = None


class JobLedger(Protocol):
    """What the engine needs. Every method raises DatabaseUnavailable; after that a change may or may not have
    happened, and calling again with the same move is safe (moves carry the fence)."""

    def admit(self, draft: JobDraft, limits: Limits | None = None) -> Admission:
        """Insert the row, or return the one that exists with the same id, or the active one with the same (type,
        subject). With `limits`, may reject. Effects of (None, job) are applied in the same commit."""

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        """Lock the row, apply the move with the database's time, write row, history, dead letter and effects in one
        commit; the row as it now stands. Raises NotFound, and whatever the move raises.

        With `running_per_tenant`, a move that starts an execution raises TenantFull, and writes nothing, when that many
        other jobs of the tenant are RUNNING with a live lease. They are counted in the same transaction, one claim of
        the tenant at a time, so that two workers can't both take the last place."""

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        """As `change` on each, in few commits: {id: row as it now stands}. Left alone and left out: what has no row, what
        somebody else is writing at this moment, and what would be a second active job about a subject; `change` says why.
        The move must not raise, and may be made again: its last run for a row is the one that counts."""

    def begin(self, drafts: Sequence[JobDraft], *, owner: str, lease_seconds: float) -> Mapping[str, Job]:
        """Admit and claim new jobs, all in one commit: {id: row as `Job.begun` makes it} of those that were not in the
        ledger and whose subject nobody works on. The others are left alone: `admit` and `change` say why. For job types
        without effects, with no limit, delay or id standing twice; the drafts are not checked for that."""

    def succeed(self, results: Mapping[str, tuple[int, Mapping[str, Any]]]) -> Collection[str]:
        """Write many successes in one commit: {job id: (fence, result)} -> ids of the rows that are SUCCEEDED under that fence
        now, whoever wrote it (a lost reply is repeated). The others are left alone: `change` says why. For job types
        without effects."""

    def hand_back(self, holds: Mapping[str, int]) -> Collection[str]:
        """Give many jobs back untried, as `Job.hand_back` does it without delay or reason: {job id: fence} -> ids of the rows that
        are QUEUED under that fence now, whoever wrote it (a lost reply is repeated). The others are left alone: another fence
        holds, they have ended, or somebody asked to cancel them; `change` says which. For job types without effects."""

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        """Renew many leases in one go: {job id: fence} -> {job id: Beat}."""

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        """As `beat`, without renewing: a cheap look for cancellations and lost leases."""

    def to_wake(self, limit: int, types: Collection[str] | None = None) -> Sequence[Job]:
        """Active rows (of these job types) whose wake_at has passed, oldest first."""


def given_back(ledger: JobLedger, holds: Mapping[str, int]) -> Collection[str]:
    """JobLedger.hand_back, where many moves are one commit."""
    given: set[str] = set()

    def _move(job: Job, now: float) -> Job:
        fence = holds[job.id]
        held = job.can_be_handed_back(fence)
        (given.add if held or job.was_handed_back(fence) else given.discard)(job.id)
        return job.hand_back(now, fence=fence) if held else job

    return given & ledger.change_many(holds, _move).keys()


class RevocableLedger(JobLedger, Protocol):
    """A ledger that writes effects, and so can run video jobs."""

    def withdraw(self, job_id: str) -> Job | None:
        """Take back an admission that led to nothing: the row goes, if nobody ever claimed, ended or reopened the job. None when
        there is no row any more, whoever removed it; else the row as it stands. Effects of the admission stay: a video keeps
        the row that it was given. Raises DatabaseUnavailable; repeating is safe."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Answer to a heartbeat."""

    held: bool
    cancel_requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list. None means any. `offset` and `limit` page through them, newest first. With `ended_from` or
    `ended_to` (epoch seconds, both included): only ended jobs, in the order in which they ended."""

    state: JobState | None = None
    type: str | None = None
    tenant: str | None = None
    ended_from: float | None = None
    ended_to: float | None = None
    limit: int = 50
    offset: int = 0

    @property
    def by_end(self) -> bool:
        """Whether the end of the jobs is asked for."""
        return self.ended_from is not None or self.ended_to is not None


class JobQueries(Protocol):
    """Reading for people: never used to decide a move."""

    def find(self, job_id: str) -> Job | None:
        """The row, or None. A unique prefix of at least 6 characters is accepted; an ambiguous one raises Conflict."""

    def list(self, criteria: JobFilter) -> Sequence[Job]:
        """Rows, in the order that the filter says."""

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """The job's executions, oldest first."""

    def counts(self, *, ended_from: float | None = None) -> Mapping[tuple[str, JobState], int]:
        """{(type, state): number of rows}, none where there are none. With `ended_from` (epoch seconds, included): only of jobs
        that ended since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A job that ended without success, or a message that could not become one. `job_id` and `type` of a message are what its body
    names (None when it names none): no job of that id need be there. `queue` is where a message came from, None for a job."""

    id: str
    job_id: str | None
    type: str | None
    tenant: str | None
    queue: str | None
    body: bytes
    error: ErrorReport
    attempts: int
    created_at: float
    notified_at: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_job(self) -> bool:
        """Whether the ledger wrote it, of a row of its own."""
        return self.job_id is not None and self.queue is None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters. `group` is an error class, `job_id` whole."""

    ids: Sequence[str] | None = None
    job_id: str | None = None
    group: str | None = None
    type: str | None = None
    tenant: str | None = None
    limit: int = 50
    offset: int = 0


class DeadLetters(Protocol):
    """The quarantine. Rows for jobs are written by JobLedger.change in the commit that ended the job."""

    def add(self, letter: DeadLetter) -> None:
        """Keep an undecodable message. Adding the same id again changes nothing."""

    def list(self, criteria: DeadLetterFilter) -> Sequence[DeadLetter]:
        """Newest first."""

    def get(self, letter_id: str) -> DeadLetter | None:
        """One letter, or None. A unique prefix of at least 6 characters is accepted."""

    def groups(self) -> Mapping[tuple[str | None, str], int]:
        """{(job type, error class): count}."""

    def remove(self, ids: Sequence[str]) -> int:
        """Forget these; how many there were."""

    def unnotified(self, limit: int) -> Sequence[DeadLetter]:
        """Letters nobody was told about yet, oldest first."""

    def notified(self, ids: Sequence[str]) -> None:
        """Mark as told."""


def payload_body(job: Job) -> dict[str, Any]:
    """The seed-000 job JSON (contracts.md 4): the form in which a job is put on a queue and kept in a dead letter."""
    return {
        "id": job.id,
        "type": job.type,
        "payload": dict(job.payload),
        "tenant_id": job.tenant,
        "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
        "retry_count": max(0, job.attempts - 1),
        "max_retries": job.max_attempts - 1,
    }


def letter_of(job: Job, now: float) -> DeadLetter:
    """What is kept of a job that ended without success: one letter per generation."""
    error = job.error or ErrorReport.of(UnexpectedError(f"job {job.id} ended {job.state} without an error report"))
    return DeadLetter(
        id=f"{job.id}.{job.generation}",
        job_id=job.id,
        type=job.type,
        tenant=job.tenant,
        queue=None,
        body=json.dumps(payload_body(job)).encode(),
        error=error,
        attempts=job.attempts,
        created_at=now,
        attributes={"trace": job.trace} if job.trace else {},
    )
