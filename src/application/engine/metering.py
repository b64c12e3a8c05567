"""What is counted of ends of jobs and of attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from src.application.engine.held import Held
from src.application.metrics import ATTEMPTS, DEAD_LETTERS, DURATION, JOBS, RETRIED, RETRIES, RETURNED
from src.application.ports.meter import Meter
from src.domain.job import Job, JobState

OUTCOMES = {
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.DEAD: "dead",
    JobState.CANCELLED: "cancelled",
}

UNKNOWN = "unknown"
"""In place of an error's class, where a row has none."""


def count_end(meter: Meter, job: Job) -> None:
    """A job that has just ended, whoever ended it."""
    meter.add(JOBS, job.type, OUTCOMES[job.state])
    if job.state in (JobState.FAILED, JobState.DEAD):
        meter.add(DEAD_LETTERS, job.type, job.error.code if job.error else UNKNOWN)


def count_attempt(meter: Meter, taken: Held, job: Job, now: float) -> None:
    """An attempt whose outcome is in `job`, the row as settled; `now` is monotonic."""
    outcome = OUTCOMES.get(job.state)
    if outcome is not None:
        count_end(meter, job)
    elif job.attempts < taken.job.attempts:
        meter.add(ATTEMPTS, taken.job.type, RETURNED)
        return
    else:
        outcome = RETRIED
        meter.add(RETRIES, job.type, job.error.code if job.error else UNKNOWN)
    meter.add(ATTEMPTS, job.type, outcome)
    meter.observe(DURATION, job.type, value=now - taken.received_at)


def count_short(meter: Meter, done: Sequence[Held], now: float) -> None:
    """Short jobs that succeeded together: those of one receive began together, so a batch costs a few calls."""
    for (job_type, began), times in Counter([(held.job.type, held.received_at) for held in done]).items():
        meter.add(JOBS, job_type, OUTCOMES[JobState.SUCCEEDED], amount=times)
        meter.add(ATTEMPTS, job_type, OUTCOMES[JobState.SUCCEEDED], amount=times)
        meter.observe(DURATION, job_type, value=now - began, times=times)


def count_returned(meter: Meter, back: Sequence[Held]) -> None:
    """Attempts that were given back untried, together."""
    for job_type, times in Counter([held.job.type for held in back]).items():
        meter.add(ATTEMPTS, job_type, RETURNED, amount=times)
