"""What a move of a job leaves behind: its executions, as they are told later, and its dead letter."""

from __future__ import annotations

from dataclasses import dataclass, replace

from src.domain.errors import ErrorReport, WorkerLost
from src.domain.job import Job, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution, as history keeps it. `outcome` is None while it runs; LOST when its lease ran out."""

    job_id: str
    generation: int
    fence: int
    number: int
    owner: str
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None
    error: ErrorReport | None = None


LOST = "LOST"
HANDED_BACK = "HANDED_BACK"


def starts_attempt(old: Job, new: Job) -> bool:
    """True when this move began an execution."""
    return new.state is JobState.RUNNING and new.fence != old.fence


def told_by(job: Job) -> Attempt | None:
    """The execution that the row itself tells of: the one that runs, or the one that succeeded. History holds the others,
    so that a job that goes well is written once at its start and once at its end."""
    if job.state not in (JobState.RUNNING, JobState.SUCCEEDED) or job.fence == 0:
        return None
    done = job.state is JobState.SUCCEEDED
    return Attempt(
        job_id=job.id,
        generation=job.generation,
        fence=job.fence,
        number=job.attempts,
        owner=job.lease_owner or "",
        started_at=job.started_at or 0.0,
        ended_at=job.finished_at if done else None,
        outcome=job.state.value if done else None,
    )


def closed_attempt(old: Job, new: Job, now: float) -> Attempt | None:
    """The execution that `old` tells of and `new` does not any more, as history keeps it; or None."""
    told = told_by(old)
    if told is None or (new.state in (JobState.SUCCEEDED, JobState.RUNNING) and new.fence == old.fence):
        return None
    if old.state is JobState.SUCCEEDED:
        return told
    outcome, error = _ending(old, new, now)
    return replace(told, ended_at=now, outcome=outcome, error=error)


def _ending(old: Job, new: Job, now: float) -> tuple[str, ErrorReport | None]:
    if new.fence != old.fence:
        return LOST, None
    if new.state is JobState.QUEUED or (new.state is JobState.RETRY_WAIT and new.attempts < old.attempts):
        # The row keeps the error of an earlier attempt where this one gave no reason.
        return HANDED_BACK, None if new.error is old.error else new.error
    given_back = (JobState.DEAD, JobState.RETRY_WAIT)
    lost = new.state in given_back and new.error is not None and new.error.code == WorkerLost.code
    if lost and (old.lease_until or now) <= now:
        return LOST, new.error
    return new.state.value, new.error


def is_reopened(old: Job, new: Job) -> bool:
    """True when this move opened a new generation: dead letters of the earlier ones tell of nothing any more."""
    return new.generation > old.generation


def is_dead_letter(old: Job, new: Job) -> bool:
    """True when this move ended the job without success: it is kept for an operator to see and requeue."""
    return not old.state.is_terminal and new.state in (JobState.FAILED, JobState.DEAD)
