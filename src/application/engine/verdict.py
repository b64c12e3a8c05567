"""How a container of its own ends: event and exit code (contracts.md 1.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from src.application.engine.stop import StopSwitch
from src.domain.job import Busy, ClaimAnswer, Finished, Job, JobState


class Event(StrEnum):
    """Names of contracts.md 1.7, and ours where it has none."""

    START = "BATCH_PROCESS_START"
    COMPLETED = "BATCH_JOB_COMPLETED"
    FAILED = "BATCH_JOB_FAILED"
    CANCELLED = "BATCH_JOB_CANCELLED"
    DEAD = "BATCH_JOB_DEAD"
    TERMINATED = "BATCH_TERMINATED"
    DONE = "IDEMPOTENT_DONE"
    READY = "IDEMPOTENT_READY"
    NOT_FOUND = "JOB_NOT_FOUND"
    TAKEN = "JOB_ALREADY_TAKEN"
    # not in contracts.md
    NOT_STARTED = "BATCH_NOT_STARTED"
    """settings, machine or a backend kept it from beginning; the row says what it said"""
    ENDED = "JOB_ALREADY_ENDED"
    """FAILED or DEAD before it began"""
    DELETED = "VIDEO_DELETED"
    STALE = "STALE_COMPLETION"
    """somebody else has the job, or has ended it: nothing was written"""


NOTHING_TO_DO = frozenset(
    {Event.COMPLETED, Event.DONE, Event.READY, Event.NOT_FOUND, Event.TAKEN, Event.ENDED, Event.DELETED, Event.STALE}
)
"""Exit 0: nobody has to send another container because of this one. Every other end exits 1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended. `job` is the row as it then stood, `facts` what else the log line says."""

    event: Event
    job: Job | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """What the container ends with."""
        return 0 if self.event in NOTHING_TO_DO else 1


OF_STATE: Mapping[JobState, Event] = {
    JobState.SUCCEEDED: Event.COMPLETED,
    JobState.FAILED: Event.FAILED,
    JobState.RETRY_WAIT: Event.FAILED,
    JobState.DEAD: Event.DEAD,
    JobState.CANCELLED: Event.CANCELLED,
}


def of_ended(job: Job, answer: ClaimAnswer, *, here: bool = False) -> Verdict:
    """Of a job that is not ours to run. `here`: this very claim ended it (cancelled, attempts used up)."""
    if isinstance(answer, Busy):
        return Verdict(
            Event.TAKEN, job, {"lease_owner": job.lease_owner, "lease_seconds_left": round(answer.seconds, 1)}
        )
    if not isinstance(answer, Finished):
        return Verdict(Event.TAKEN, job, {"reason": type(answer).__name__})
    if answer.state is JobState.SUCCEEDED:
        return Verdict(Event.DONE, job)
    if answer.state is JobState.CANCELLED or here:
        return Verdict(OF_STATE[answer.state], job)
    return Verdict(Event.ENDED, job)


def of_outcome(claimed: Job, row: Job | None, *, made: bool, stop: StopSwitch) -> Verdict:
    """Of an attempt that was made. `row`: as settled, None when nothing was written."""
    if row is None:
        facts = {"made": made, "written": False}
        return Verdict(Event.TERMINATED if stop.must_go() else Event.STALE, claimed, facts)
    if row.state is JobState.RETRY_WAIT and stop.requested and row.attempts < claimed.attempts:
        return Verdict(Event.TERMINATED, row, {"signal": stop.name, "reason": "TERMINATED"})
    return Verdict(OF_STATE[row.state], row)
