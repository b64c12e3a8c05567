"""What the recovery jobs of the Batch road do about a job, a submission and a batch job: decisions only, from what is known.

Three rules stand over all others (contracts.md 1.9, lessons 8-13): no answer changes nothing; a live lease is never touched; age
alone proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from src.domain.batch import BatchState
from src.domain.job import Job, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take. Seconds; the numbers are those of contracts.md 1.9 where it has them."""

    silent: float = 1200.0
    """a container that Batch calls alive may be without a heartbeat"""
    gone_times: int = 3
    gone: float = 1800.0
    """Batch answers that it does not know a batch job: so many times in a row, or this long, and it is gone for good"""
    young: float = 120.0
    """a submission may be on its way, or not yet known to every part of Batch"""
    runnable: float = 900.0
    """an orphan may wait for a host while others get one"""
    runnable_alarm: float = 3600.0
    """a wanted batch job may wait for a host before somebody is told"""
    unclaimed: float = 900.0
    """a container may run without having claimed its job"""
    submissions: int = 3
    """containers that may be sent for each execution a job has: those that were told to end, or ended well without doing it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A batch job of ours, and what is known of it now. `state` None: Batch answered and did not know it."""

    batch_id: str
    generation: int
    fence: int
    """the job's when it was submitted: the same now means that nobody has claimed the job since"""
    state: BatchState | None
    submitted_at: float
    counted: bool = False
    missing_times: int = 0
    missing_seconds: float = 0.0
    started_at: float | None = None
    reason: str = ""
    asked: bool = False
    """Batch was asked for it, and nobody knows what it answered"""

    def gone(self, patience: Patience) -> bool:
        """Not known to Batch, for good."""
        long_enough = self.missing_times >= patience.gone_times or self.missing_seconds > patience.gone
        return self.state is None and not self.counted and long_enough

    def over(self, patience: Patience) -> bool:
        """Nothing of it runs, and nothing will."""
        return self.counted or (self.state is not None and self.state.ended) or self.gone(patience)

    @property
    def alive(self) -> bool:
        """It waits or runs."""
        return not self.counted and self.state is not None and not self.state.ended


# ---------------------------------------------------------------------- a job that may be stuck
class Step(StrEnum):
    """What `scan-stuck` does about a job."""

    LEAVE = "leave"
    SUBMIT = "submit"
    RESCUE = "rescue"
    """RUNNING without a worker: take it back, then submit (or end it: cancelled, or its executions are used up)"""
    TERMINATE = "terminate"
    """end its silent container first, then as RESCUE"""
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The step, and why in words for people. `batch_ids` are those to terminate."""

    step: Step
    why: str
    batch_ids: Sequence[str] = ()


def stuck_step(job: Job, seen: Sequence[Sighting] | None, now: float, patience: Patience) -> Verdict:
    """`seen` is every batch job known for the job; None: Batch did not answer."""
    if job.state.is_terminal:
        return Verdict(Step.LEAVE, f"it has ended: {job.state}")
    if job.state is JobState.RUNNING and (job.lease_until or 0) > now:
        return Verdict(Step.LEAVE, "its lease is live")
    if job.state is not JobState.RUNNING and job.due_at > now:
        return Verdict(Step.LEAVE, "it is not due")
    if seen is None:
        return Verdict(Step.LEAVE, "AWS Batch did not answer")
    # What was asked for before somebody claimed the job says nothing about what comes after that.
    seen = [one for one in seen if not one.asked or (one.generation, one.fence) == (job.generation, job.fence)]
    if job.state is JobState.RUNNING:
        return _vanished(job, seen, now, patience)
    return _waiting(job, seen, now, patience)


def _vanished(job: Job, seen: Sequence[Sighting], now: float, patience: Patience) -> Verdict:
    silent = now - (job.lease_until or 0)
    if coming := [one for one in seen if one.alive and one.state is not None and one.state.waiting]:
        return Verdict(Step.LEAVE, f"batch job {coming[-1].batch_id} waits and will take it")
    if running := [one for one in seen if one.alive]:
        if silent < patience.silent:
            return Verdict(Step.LEAVE, f"batch job {running[-1].batch_id} runs, without a heartbeat for {silent:.0f} s")
        ids = [one.batch_id for one in running]
        return Verdict(
            Step.TERMINATE, f"no heartbeat for {silent:.0f} s, though AWS Batch calls it {running[-1].state}", ids
        )
    if unsure := [one for one in seen if not one.over(patience)]:
        return Verdict(Step.LEAVE, _unsure(unsure[-1], patience))
    if not seen and silent <= patience.gone:
        return Verdict(Step.LEAVE, "nobody knows its container, which may still be there")
    return Verdict(Step.RESCUE, f"its lease is over, and {_end_of(seen)}")


def _waiting(job: Job, seen: Sequence[Sighting], now: float, patience: Patience) -> Verdict:
    if alive := [one for one in seen if one.alive]:
        return Verdict(Step.LEAVE, f"batch job {alive[-1].batch_id} is {alive[-1].state}")
    if unsure := [one for one in seen if not one.over(patience)]:
        return Verdict(Step.LEAVE, _unsure(unsure[-1], patience))
    mine = [one for one in seen if one.generation == job.generation]
    if uncounted := [one for one in mine if not one.counted and one.fence == job.fence]:
        return Verdict(Step.LEAVE, f"reconcile counts the end of batch job {uncounted[-1].batch_id} first")
    if job.state is JobState.QUEUED and now - job.due_at < patience.young:
        return Verdict(Step.LEAVE, "its submission may be on its way")
    if job.attempts >= job.max_attempts or len(mine) >= patience.submissions * job.max_attempts:
        return Verdict(Step.GIVE_UP, f"{len(mine)} containers came for it, and it was not done")
    return Verdict(Step.SUBMIT, _end_of(seen) if seen else "it was never submitted, or nobody knows of it")


def _unsure(one: Sighting, patience: Patience) -> str:
    if one.asked:
        return "AWS Batch was asked for a container, and reconcile finds out what came of it"
    return f"AWS Batch does not know batch job {one.batch_id}: {one.missing_times} of {patience.gone_times} times"


def _end_of(seen: Sequence[Sighting]) -> str:
    if not seen:
        return "nobody knows of a container"
    last = seen[-1]
    return f"batch job {last.batch_id} is {last.state or 'gone'}" + (f" ({last.reason})" if last.reason else "")


# ---------------------------------------------------------------------- a submission that is open
class Closing(StrEnum):
    """What `reconcile` does about a submission."""

    LEAVE = "leave"
    CLOSE = "close"
    """its end has no consequence here"""
    COUNT = "count"
    """its container ended before it began: an execution of the job"""
    DESYNC = "desync"
    """it ended well, and its job is not done: told, and scan-stuck looks at the job at once"""
    TERMINATE = "terminate"
    """it runs, and nobody has claimed the job"""
    DUPLICATE = "duplicate"
    """another one was submitted after it, and it has not started"""
    ORPHAN = "orphan"
    """it waits, and its job has ended or is not there"""
    ALARM = "alarm"
    """it has waited for a host for too long"""
    ADOPT = "adopt"
    """Batch's answer was lost, and this is what it made"""
    FORGET = "forget"
    """Batch was asked for it and made nothing"""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The step, and why in words for people."""

    step: Closing
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known beside one batch job."""

    newer_alive: bool = False
    """a batch job that was submitted later for the same job waits or runs"""
    other_alive: bool = False
    """any other of the same job does"""
    capacity: bool = False
    """another batch job of the queue was started after this one had been submitted"""


def submission_step(job: Job | None, one: Sighting | None, now: float, around: Around, patience: Patience) -> Ruling:
    """`one` None: Batch did not answer."""
    if one is None:
        return Ruling(Closing.LEAVE, "AWS Batch did not answer")
    if one.counted:
        return Ruling(Closing.LEAVE, "its end was dealt with")
    wanted = job is not None and not job.state.is_terminal and job.generation == one.generation
    if one.alive:
        return _living(job, one, now, around, patience) if wanted else _unwanted(one, now, around, patience)
    if not one.over(patience):
        return Ruling(Closing.LEAVE, _unsure(one, patience))
    if job is None or not wanted:
        return Ruling(Closing.CLOSE, "its job has ended or went on without it")
    return _ended(job, one, now, around)


def asked_step(job: Job | None, one: Sighting, now: float, patience: Patience, *, found: bool | None) -> Ruling:
    """About a submission whose answer was lost, or whose caller died. `found`: Batch has a batch job for this job that nobody wrote
    down; None: it did not answer."""
    if found is None:
        return Ruling(Closing.LEAVE, "AWS Batch did not answer")
    if found:
        return Ruling(Closing.ADOPT, "AWS Batch took it, and its answer was lost")
    if job is None or job.state.is_terminal or job.generation != one.generation:
        return Ruling(Closing.FORGET, "its job has ended or went on without it")
    if job.fence != one.fence:
        return Ruling(Closing.FORGET, "its job was claimed since")
    if (age := now - one.submitted_at) < patience.young:
        return Ruling(Closing.LEAVE, f"it was asked for {age:.0f} s ago, and may be on its way")
    return Ruling(Closing.FORGET, "AWS Batch has nothing for it: it never got there")


def _living(job: Job | None, one: Sighting, now: float, around: Around, patience: Patience) -> Ruling:
    state, age = one.state, now - one.submitted_at
    if state is not None and state.waiting:
        if around.newer_alive:
            return Ruling(Closing.DUPLICATE, "a newer one was submitted for the same job")
        if state is BatchState.RUNNABLE and age > patience.runnable_alarm:
            return Ruling(Closing.ALARM, f"no host for {age:.0f} s")
        return Ruling(Closing.LEAVE, f"it is {state}")
    unclaimed = job is not None and job.state is not JobState.RUNNING and job.fence == one.fence
    runs = now - one.started_at if one.started_at is not None else 0.0
    if state is BatchState.RUNNING and unclaimed and runs > patience.unclaimed:
        return Ruling(Closing.TERMINATE, f"it has run for {runs:.0f} s without claiming its job")
    return Ruling(Closing.LEAVE, f"it is {state}")


def _unwanted(one: Sighting, now: float, around: Around, patience: Patience) -> Ruling:
    age = now - one.submitted_at
    if one.state is not BatchState.RUNNABLE:
        return Ruling(Closing.LEAVE, f"its job has ended; it is {one.state}, and will see that")
    if age <= patience.runnable or not around.capacity:
        return Ruling(Closing.LEAVE, "its job has ended; it waits for a host, as others may")
    return Ruling(Closing.ORPHAN, f"its job has ended, and it waits since {age:.0f} s while others were started")


def _ended(job: Job, one: Sighting, now: float, around: Around) -> Ruling:
    if job.state is JobState.RUNNING:
        if one.state is None and (job.lease_until or 0) > now:
            return Ruling(Closing.LEAVE, "AWS Batch does not know it, and its job's lease is live")
        held = job.lease_owner == owner_of(one.batch_id) and (job.lease_until or 0) <= now
        if one.state is BatchState.SUCCEEDED and held:
            return Ruling(Closing.DESYNC, "it ended well, and its job is RUNNING without a lease")
        return Ruling(Closing.CLOSE, "its job was claimed")
    if job.fence != one.fence:
        return Ruling(Closing.CLOSE, "its job was claimed since")
    if one.state is BatchState.SUCCEEDED:
        return Ruling(Closing.DESYNC, f"it ended well, and its job is {job.state}: nobody claimed it")
    if around.other_alive:
        return Ruling(Closing.CLOSE, "another one is there for the same job")
    return Ruling(Closing.COUNT, one.reason or f"batch job {one.batch_id} is {one.state or 'gone'}")


# ---------------------------------------------------------------------- whose container
OWNER = "batch:"


def owner_of(batch_id: str) -> str:
    """The name under which its container claims a job."""
    return f"{OWNER}{batch_id}"


def holder(job: Job) -> str | None:
    """The batch job whose container claimed this job last, where its lease says so."""
    owner = job.lease_owner or ""
    return owner.removeprefix(OWNER) if owner.startswith(OWNER) and len(owner) > len(OWNER) else None
