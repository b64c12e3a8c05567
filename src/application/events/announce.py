"""Which events a move of a job gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, JobEvent
from src.domain.job import Job, JobState

JOB_FAILED = "worker.job_failed"
"""Of every job that ends without success, whatever its type (seed 000, section 6)."""

ENDED_BADLY = (JobState.FAILED, JobState.DEAD)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a success gives others to know."""

    type: str
    data: Mapping[str, Any]


Announcing = Callable[[Job], Sequence[Announcement]]
"""(job that has just succeeded) -> what to tell. Pure."""


def tells_nothing(_job: Job) -> Sequence[Announcement]:
    """For job types whose success is nobody else's business."""
    return ()


@dataclass(frozen=True, slots=True)
class Announcer:
    """`effects` of the events, for `sinks`; without any there are none. An event's id follows from the job, its generation and
    what is said, so that a move has one however often it is made."""

    sinks: Sequence[str] = ()

    def effects(self, old: Job | None, new: Job, announcing: Announcing) -> Sequence[Effect]:
        """What to write with the move."""
        if not self.sinks or not new.state.is_terminal or (old is not None and old.state.is_terminal):
            return ()
        if new.state is JobState.SUCCEEDED:
            told = announcing(new)
        elif new.state in ENDED_BADLY:
            told = [Announcement(JOB_FAILED, _failure(new))]
        else:
            told = []
        return [Announced(_event(new, said), self.sinks) for said in told]


def _event(job: Job, said: Announcement) -> JobEvent:
    return JobEvent(
        id=f"{job.id}.{job.generation}.{said.type}",
        type=said.type,
        at=job.finished_at or 0.0,
        job_id=job.id,
        tenant=job.tenant,
        subject=job.subject or said.data.get("content_id"),
        data=said.data,
        trace=job.trace,
    )


def _failure(job: Job) -> Mapping[str, Any]:
    error = job.error
    told = {"error": error.message, "error_class": error.code} if error else {"error": job.state.value}
    return {"job_id": job.id, "job_type": job.type, "state": job.state.value, "attempts": job.attempts, **told}
