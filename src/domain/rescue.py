"""Moves of a job whose container is gone, on the road where no message could bring it back (contracts.md 1.9).

Who makes them has looked at AWS Batch first; what the row says under its lock decides all the same.
"""

from __future__ import annotations

from dataclasses import replace

from src.domain.errors import ContainerLost, ErrorReport, LeaseLost, WorkerLost
from src.domain.job import Job, JobState
from src.domain.retry import POLICIES

RESCUER = "scan-stuck"


def rescued(job: Job, now: float, *, fence: int, hold_seconds: float) -> Job:
    """A RUNNING job whose lease is over: RETRY_WAIT and due at once; CANCELLED when that was asked for, DEAD when this was its last
    execution. Nobody else wakes it for `hold_seconds`. Raises LeaseLost when it is not what was seen: its worker has renewed
    the lease, or it went on."""
    if job.state is not JobState.RUNNING or job.fence != fence or (job.lease_until or 0) > now:
        raise LeaseLost(f"job {job.id} went on meanwhile: {job.state}, fence {job.fence}")
    lost = WorkerLost(f"the container vanished during execution {job.attempts} of {job.max_attempts}")
    if job.cancel_requested_at is not None:
        return job.claim(now, owner=RESCUER, lease_seconds=0)[0]
    if job.attempts >= job.max_attempts:
        return _dead(job, now, WorkerLost(f"STUCK_MAX_ATTEMPTS: {lost.message}"))
    return replace(
        job,
        state=JobState.RETRY_WAIT,
        lease_owner=None,
        lease_until=None,
        due_at=now,
        wake_at=now + hold_seconds,
        error=ErrorReport.of(lost),
    )


def never_began(job: Job, now: float, *, fence: int, why: str, dice: float) -> Job:
    """The container that was sent for a waiting job ended before it claimed it. That is an execution too, or one that can't start
    would be sent for ever: RETRY_WAIT with the pace of ordinary errors, DEAD at the limit. The fence goes on, so that saying
    it twice counts once. Raises LeaseLost when somebody claimed the job since."""
    if job.state not in (JobState.QUEUED, JobState.RETRY_WAIT) or job.fence != fence:
        raise LeaseLost(f"job {job.id} went on meanwhile: {job.state}, fence {job.fence}")
    counted = replace(job, attempts=job.attempts + 1, fence=job.fence + 1)
    error = ContainerLost(f"container {counted.attempts} of {job.max_attempts} ended before it began: {why}")
    if counted.attempts >= job.max_attempts:
        return _dead(counted, now, ContainerLost(f"RECONCILE_MAX_ATTEMPTS: {error.message}"))
    due = now + POLICIES["default"].delay_seconds(counted.attempts, dice)
    return replace(counted, state=JobState.RETRY_WAIT, due_at=due, wake_at=due, error=ErrorReport.of(error))


def given_up(job: Job, now: float, *, fence: int, why: str) -> Job:
    """A waiting job that containers came for again and again without doing it, nor failing: DEAD. Raises LeaseLost when somebody
    claimed it since."""
    if job.state not in (JobState.QUEUED, JobState.RETRY_WAIT) or job.fence != fence:
        raise LeaseLost(f"job {job.id} went on meanwhile: {job.state}, fence {job.fence}")
    return _dead(job, now, WorkerLost(f"STUCK_MAX_ATTEMPTS: {why}"))


def due_now(job: Job, now: float, *, fence: int) -> Job:
    """Let a waiting job's owner look at it at once. The same row when it went on meanwhile."""
    if job.state not in (JobState.QUEUED, JobState.RETRY_WAIT) or job.fence != fence:
        return job
    return replace(job, wake_at=max(job.due_at, now))


def held_off(job: Job, now: float, *, seconds: float) -> Job:
    """Something is on its way to the job: look again later. The same row when it is not waiting any more."""
    if job.state not in (JobState.QUEUED, JobState.RETRY_WAIT):
        return job
    return replace(job, wake_at=max(job.due_at, now) + seconds)


def _dead(job: Job, now: float, error: WorkerLost) -> Job:
    return replace(
        job,
        state=JobState.DEAD,
        lease_owner=None,
        lease_until=None,
        wake_at=None,
        finished_at=now,
        error=ErrorReport.of(error),
    )
