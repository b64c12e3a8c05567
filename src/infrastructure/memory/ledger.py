"""The job ledger in memory. One lock stands for the database's row locks and makes every change one commit."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from src.application.catalog import no_effects
from src.application.ports.clock import Clock
from src.application.ports.ledger import (
    Admission,
    Beat,
    DeadLetterFilter,
    DeadLetters,
    Effect,
    Effects,
    JobFilter,
    Limits,
    Move,
    TenantFull,
    given_back,
    letter_of,
)
from src.domain.errors import Conflict, NotFound
from src.domain.history import Attempt, closed_attempt, is_dead_letter, is_reopened, starts_attempt, told_by
from src.domain.job import ACTIVE_STATES, Job, JobDraft, JobState

Undo = Callable[[], None]
MemoryApplier = Callable[[Effect, float], Undo]
"""(effect, now): makes it true and returns how to take it back, for a change that fails later on."""

PREFIX_LENGTH = 6
"""Shortest beginning of an id that `find` accepts (ports/ledger.py)."""


@dataclass
class MemoryJobQueries:
    """JobQueries over the rows in memory."""

    _jobs: dict[str, Job] = field(default_factory=dict, init=False)
    _attempts: dict[str, list[Attempt]] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def find(self, job_id: str) -> Job | None:
        """By id or by a unique beginning of it."""
        with self._lock:
            if job_id in self._jobs or len(job_id) < PREFIX_LENGTH:
                return self._jobs.get(job_id)
            found = [job for key, job in self._jobs.items() if key.startswith(job_id)]
        if len(found) > 1:
            raise Conflict(
                f"{job_id!r} is the beginning of {len(found)} job ids",
                fix="give more of the id",
            )
        return found[0] if found else None

    def list(self, criteria: JobFilter) -> Sequence[Job]:
        """Newest first, or by their end."""
        with self._lock:
            found = [
                job
                for job in self._jobs.values()
                if criteria.state in (None, job.state)
                and criteria.type in (None, job.type)
                and criteria.tenant in (None, job.tenant)
                and (not criteria.by_end or _ended_within(job, criteria))
            ]
        if criteria.by_end:
            found.sort(key=lambda job: (job.finished_at or 0.0, job.id))
        else:
            found.sort(key=lambda job: (job.created_at, job.id), reverse=True)
        return found[criteria.offset : criteria.offset + criteria.limit]

    def rows(self) -> Sequence[Job]:
        """Every job, in no order."""
        with self._lock:
            return list(self._jobs.values())

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Oldest first."""
        with self._lock:
            job = self._jobs.get(job_id)
            told = told_by(job) if job else None
            return (*self._attempts.get(job_id, ()), *((told,) if told else ()))

    def counts(self, *, ended_from: float | None = None) -> Mapping[tuple[str, JobState], int]:
        """Rows by type and state."""
        wanted = JobFilter(ended_from=ended_from)
        with self._lock:
            jobs = [job for job in self._jobs.values() if not wanted.by_end or _ended_within(job, wanted)]
        return Counter((job.type, job.state) for job in jobs)


def _ended_within(job: Job, criteria: JobFilter) -> bool:
    if job.finished_at is None:
        return False
    after = criteria.ended_from is None or job.finished_at >= criteria.ended_from
    return after and (criteria.ended_to is None or job.finished_at <= criteria.ended_to)


@dataclass
class MemoryLedger(MemoryJobQueries):
    """JobLedger and JobQueries; `clock` is the database's time. Thread-safe."""

    clock: Clock
    dead_letters: DeadLetters
    effects: Effects = no_effects
    appliers: Mapping[type[Effect], MemoryApplier] = field(default_factory=dict)

    # ------------------------------------------------------------------ JobLedger
    def admit(self, draft: JobDraft, limits: Limits | None = None) -> Admission:
        """Insert, or answer with the row that is there, or reject."""
        with self._lock:
            existing = self._jobs.get(draft.id) or self._active(draft.type, draft.subject)
            if existing is not None:
                return Admission(existing, created=False)
            if limits is not None and (reason := self._rejection(draft, limits)):
                return Admission(None, created=False, rejected=reason)
            now = self.clock.now()
            job = Job.admitted(draft, now)
            self._apply(None, job, now)
            self._jobs[job.id] = job
            return Admission(job, created=True)

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        """Apply a move and all that follows from it, or nothing."""
        with self._lock:
            old = self._jobs.get(job_id)
            if old is None:
                raise NotFound(f"no job {job_id}")
            now = self.clock.now()
            new = move(old, now)
            if new is old:
                return old
            if running_per_tenant and starts_attempt(old, new) and self._running(old, now) >= running_per_tenant:
                raise TenantFull(old.tenant)
            other = None if new.state.is_terminal else self._active(new.type, new.subject)
            if other is not None and other.id != new.id:
                raise Conflict(f"job {other.id} is active for the same {new.type} {new.subject}")
            self._apply(old, new, now)
            self._jobs[job_id] = new
            self._record(old, new, now)
            return new

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        """Apply the moves that can be made."""
        rows: dict[str, Job] = {}
        with self._lock:
            for job_id in job_ids:
                with suppress(NotFound, Conflict):
                    rows[job_id] = self.change(job_id, move)
        return rows

    def withdraw(self, job_id: str) -> Job | None:
        """Remove a row that nobody has touched."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None and job.is_untouched:
                del self._jobs[job_id]
                return None
            return job

    def remove(
        self, job_ids: Collection[str], may_go: Callable[[Job], bool], forget: Callable[[str], None]
    ) -> Collection[str]:
        """For MemoryEndedJobs: rows that may go, with their history and whatever `forget` takes away; which they were."""
        with self._lock:
            there = [self._jobs[job_id] for job_id in job_ids if job_id in self._jobs]
            gone = [job.id for job in there if may_go(job)]
            for job_id in gone:
                del self._jobs[job_id]
                self._attempts.pop(job_id, None)
                forget(job_id)
            return gone

    def begin(self, drafts: Sequence[JobDraft], *, owner: str, lease_seconds: float) -> Mapping[str, Job]:
        """Admit and claim the new ones in one commit."""
        with self._lock:
            now, begun = self.clock.now(), dict[str, Job]()
            for draft in drafts:
                if draft.id not in self._jobs and self._active(draft.type, draft.subject) is None:
                    begun[draft.id] = Job.begun(draft, now, owner=owner, lease_seconds=lease_seconds)
                    self._jobs[draft.id] = begun[draft.id]
            return begun

    def succeed(self, results: Mapping[str, tuple[int, Mapping[str, Any]]]) -> Collection[str]:
        """Write the successes whose fence still holds, in one commit."""
        with self._lock:
            now, written = self.clock.now(), set[str]()
            for job_id, (fence, result) in results.items():
                job = self._jobs.get(job_id)
                if job is not None and job.fence == fence and job.state in (JobState.RUNNING, JobState.SUCCEEDED):
                    self._jobs[job_id] = job.succeed(now, fence=fence, result=result)
                    written.add(job_id)
            return written

    def hand_back(self, holds: Mapping[str, int]) -> Collection[str]:
        """Give those back whose fence still holds."""
        return given_back(self, holds)

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        """Renew the leases that are still held."""
        with self._lock:
            now = self.clock.now()
            answers = self.watch(holds)
            for job_id, fence in holds.items():
                if answers[job_id].held:
                    self._jobs[job_id] = self._jobs[job_id].beat(now, fence=fence, lease_seconds=lease_seconds)
            return answers

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        """Which leases are still held, and which jobs are to be cancelled."""
        with self._lock:
            return {job_id: self._look(job_id, fence) for job_id, fence in holds.items()}

    def to_wake(self, limit: int, types: Collection[str] | None = None) -> Sequence[Job]:
        """Active rows whose time has come."""
        with self._lock:
            now = self.clock.now()
            due = [job for job in self._jobs.values() if job.wake_at is not None and job.wake_at <= now]
            active = [job for job in due if not job.state.is_terminal and (types is None or job.type in types)]
            return sorted(active, key=lambda job: (job.wake_at or 0.0, job.id))[:limit]

    # ------------------------------------------------------------------ inside one commit
    def _running(self, besides: Job, now: float) -> int:
        return sum(
            job.tenant == besides.tenant
            and job.id != besides.id
            and job.state is JobState.RUNNING
            and (job.lease_until or 0) > now
            for job in self._jobs.values()
        )

    def _active(self, job_type: str, subject: str | None) -> Job | None:
        if subject is None:
            return None
        same = (job for job in self._jobs.values() if (job.type, job.subject) == (job_type, subject))
        return next((job for job in same if job.state in ACTIVE_STATES), None)

    def _rejection(self, draft: JobDraft, limits: Limits) -> str | None:
        same = [job for job in self._jobs.values() if job.type == draft.type]
        active = [job for job in same if job.state in ACTIVE_STATES]
        subject = sum(draft.subject is not None and job.subject == draft.subject for job in same)
        if 0 < limits.active_per_tenant <= sum(job.tenant == draft.tenant for job in active):
            return "tenant_limit"
        if 0 < limits.active_total <= len(active):
            return "global_limit"
        return "per_video_limit" if 0 < limits.total_per_subject <= subject else None

    def _look(self, job_id: str, fence: int) -> Beat:
        job = self._jobs.get(job_id)
        if job is None or job.state is not JobState.RUNNING or job.fence != fence:
            return Beat(held=False)
        return Beat(held=True, cancel_requested=job.cancel_requested_at is not None)

    def _apply(self, old: Job | None, new: Job, now: float) -> None:
        undo: list[Undo] = []
        try:
            for effect in self.effects(old, new):
                undo.append(self.appliers[type(effect)](effect, now))  # noqa: PERF401 - what was done before one fails must be known
        except BaseException:
            for step in reversed(undo):
                step()
            raise

    def _record(self, old: Job, new: Job, now: float) -> None:
        if closed := closed_attempt(old, new, now):
            self._attempts.setdefault(new.id, []).append(closed)
        if is_reopened(old, new):
            stale = self.dead_letters.list(DeadLetterFilter(limit=sys.maxsize))
            self.dead_letters.remove([letter.id for letter in stale if letter.is_job and letter.job_id == new.id])
        if is_dead_letter(old, new):
            self.dead_letters.add(letter_of(new, now))
