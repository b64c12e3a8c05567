"""The ledger row and every legal move on it. One place decides; the adapters only lock the row and write what comes back.

    QUEUED ──claim──> RUNNING ──succeed──> SUCCEEDED
      ^  ^               │ ├──fail────────> FAILED (permanent) | DEAD (policy used up) | RETRY_WAIT ──claim──> RUNNING
      │  └──hand_back────┘ ├──cancelled───> CANCELLED
      │                    └──wait_untried> RETRY_WAIT (not counted)
      └─────retry (operator, new generation)───── any terminal state

Times are epoch seconds of the database's clock. Every claim raises `fence` by one; a move that carries an older fence is
refused with LeaseLost, so a worker that lost its lease cannot write over its successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from src.domain import retry as retries
from src.domain.errors import Cancelled, Conflict, CrashLoop, ErrorReport, LeaseLost, WorkerLost

CRASH_LIMIT = 3
"""Attempts that may end with the job's process dead before the job is quarantined (reliability.md F27)."""

QUEUED_WAKE_SECONDS = 3600.0
"""How long a QUEUED row waits for its message before the waker publishes another one."""


ORPHAN_WAKE_SECONDS = 60.0
"""How long a RUNNING row with an expired lease waits for the message that was published for it, before the next one."""


class JobState(StrEnum):
    """Spelled as in contracts.md 1.6."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRY_WAIT = "RETRY_WAIT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Final unless an operator opens a new generation."""
        return self not in ACTIVE_STATES


ACTIVE_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.RETRY_WAIT})


@dataclass(slots=True, kw_only=True)
class JobDraft:
    """A job somebody asks for. `subject` names what it is about: at most one active job per (type, subject). (Not frozen, which
    would take twice as long, once a message. Nobody changes it.)"""

    id: str
    type: str
    tenant: str
    payload: Mapping[str, Any]
    subject: str | None = None
    max_attempts: int = 5
    priority: int = 0
    delay_seconds: float = 0.0
    trace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row of the ledger. Frozen: a move returns the next row."""

    id: str
    type: str
    tenant: str
    payload: Mapping[str, Any]
    subject: str | None = None
    state: JobState = JobState.QUEUED
    generation: int = 1
    fence: int = 0
    attempts: int = 0
    crashes: int = 0
    max_attempts: int = 5
    error_counts: Mapping[str, int] = field(default_factory=dict)
    lease_owner: str | None = None
    lease_until: float | None = None
    due_at: float = 0.0
    wake_at: float | None = None
    cancel_requested_at: float | None = None
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    priority: int = 0
    trace: str | None = None
    result: Mapping[str, Any] | None = None
    error: ErrorReport | None = None

    @classmethod
    def admitted(cls, draft: JobDraft, now: float) -> Job:
        """The first row of a job."""
        due = now + draft.delay_seconds
        return cls(
            id=draft.id,
            type=draft.type,
            tenant=draft.tenant,
            payload=dict(draft.payload),
            subject=draft.subject,
            max_attempts=draft.max_attempts,
            priority=draft.priority,
            trace=draft.trace,
            created_at=now,
            due_at=due,
            # Soon: a crash between this commit and the publish must not cost an hour; the publish moves it away.
            wake_at=due,
        )

    @classmethod
    def begun(cls, draft: JobDraft, now: float, *, owner: str, lease_seconds: float) -> Job:
        """The row of a job that is admitted and claimed in one go: what `admitted` and `claim` arrive at."""
        # Filled at once: the usual way is a call for each of 25 fields, which is most of what a short job's row costs.
        row = object.__new__(cls)
        until = now + lease_seconds
        vars(row).update(
            _BEGUN,
            id=draft.id,
            type=draft.type,
            tenant=draft.tenant,
            payload=draft.payload,
            subject=draft.subject,
            max_attempts=draft.max_attempts,
            lease_owner=owner,
            lease_until=until,
            due_at=now,
            wake_at=until,
            created_at=now,
            started_at=now,
            priority=draft.priority,
            trace=draft.trace,
        )
        return row

    @property
    def is_untouched(self) -> bool:
        """Nobody ever claimed, ended or reopened it: the admission is all that happened."""
        return self.state is JobState.QUEUED and self.fence == 0 and self.generation == 1

    def taken(self, now: float) -> Busy | Finished | None:
        """Why nobody may claim it now: it has ended, or somebody's lease runs. None: a claim decides."""
        if self.state.is_terminal:
            return Finished(self.state)
        if self.state is JobState.RUNNING and (self.lease_until or 0) > now:
            return Busy((self.lease_until or now) - now)
        return None

    # ------------------------------------------------------------------ the worker's moves
    def claim(self, now: float, *, owner: str, lease_seconds: float, early: bool = False) -> tuple[Job, ClaimAnswer]:
        """Take the job, or say why not. Also ends a job that may not run again (cancelled, attempts used up). `early`: before
        the time it is due, because whoever owns that time has sent for it."""
        if (taken := self.taken(now)) is not None:
            return self, taken
        if self.cancel_requested_at is not None:
            return self._end(JobState.CANCELLED, now), Finished(JobState.CANCELLED)
        if self.attempts >= self.max_attempts:
            lost = WorkerLost(f"the worker vanished during attempt {self.attempts} of {self.max_attempts}")
            error = ErrorReport.of(lost) if self.state is JobState.RUNNING else self.error or ErrorReport.of(lost)
            return self._end(JobState.DEAD, now, error=error), Finished(JobState.DEAD)
        if self.state is not JobState.RUNNING and self.due_at > now and not early:
            return self, NotDue(self.due_at - now)
        claimed = replace(
            self,
            state=JobState.RUNNING,
            fence=self.fence + 1,
            attempts=self.attempts + 1,
            lease_owner=owner,
            lease_until=now + lease_seconds,
            wake_at=now + lease_seconds,
            started_at=now,
        )
        return claimed, Claimed(claimed)

    def beat(self, now: float, *, fence: int, lease_seconds: float) -> Job:
        """Renew the lease. Raises LeaseLost."""
        self._holds(fence)
        return replace(self, lease_until=now + lease_seconds, wake_at=now + lease_seconds)

    def succeed(self, now: float, *, fence: int, result: Mapping[str, Any]) -> Job:
        """The outcome is durable with this move. Repeating it with the same fence changes nothing."""
        if self.state is JobState.SUCCEEDED and self.fence == fence:
            return self
        self._holds(fence)
        done = self._end(JobState.SUCCEEDED, now)
        # The owner stays: a success is told by its row alone (history.py's `told_by`).
        return replace(done, result=dict(result), error=None, lease_owner=self.lease_owner)

    def fail(self, now: float, *, fence: int, error: ErrorReport, dice: float, scale: float = 1.0) -> Job:
        """End the attempt with an error: RETRY_WAIT, FAILED or DEAD, as domain/retry.py decides; CANCELLED when the handler
        itself found that nobody wants the job any more."""
        self._holds(fence)
        if self.cancel_requested_at is not None or error.code == Cancelled.code:
            return self._end(JobState.CANCELLED, now, error=error)
        if error.policy == "crash" and self.crashes + 1 >= CRASH_LIMIT:
            loop = CrashLoop(f"the job's process died {self.crashes + 1} times; last: {error.message}")
            report = replace(ErrorReport.of(loop), traceback=error.traceback)
            return replace(self._end(JobState.DEAD, now, error=report), crashes=self.crashes + 1)
        same = self.error_counts.get(error.policy, 0)
        match retries.decide(
            error,
            same_before=same,
            attempts=self.attempts,
            max_attempts=self.max_attempts,
            now=now,
            dice=dice,
            scale=scale,
        ):
            case retries.RetryAt(at):
                return replace(
                    self,
                    state=JobState.RETRY_WAIT,
                    lease_owner=None,
                    lease_until=None,
                    due_at=at,
                    wake_at=at,
                    error=error,
                    error_counts={**self.error_counts, error.policy: same + 1},
                    crashes=self.crashes + (error.policy == "crash"),
                )
            case retries.GiveUp(permanent):
                return self._end(JobState.FAILED if permanent else JobState.DEAD, now, error=error)

    def hand_back(self, now: float, *, fence: int, delay_seconds: float = 0.0, error: ErrorReport | None = None) -> Job:
        """Give the job back untried (drain, snooze, outage): the attempt is not counted, nor is `error`, which says why. Raises
        LeaseLost."""
        self._holds(fence)
        if self.cancel_requested_at is not None:
            return self._end(JobState.CANCELLED, now)
        due = now + delay_seconds
        return replace(
            self,
            state=JobState.QUEUED,
            attempts=self.attempts - 1,
            lease_owner=None,
            lease_until=None,
            due_at=due,
            wake_at=due,
            error=error or self.error,
        )

    def can_be_handed_back(self, fence: int) -> bool:
        """Whether `hand_back` would put it back: held under this fence, and nobody asked to cancel it."""
        return self.state is JobState.RUNNING and self.fence == fence and self.cancel_requested_at is None

    def was_handed_back(self, fence: int) -> bool:
        """Whether the attempt of this fence was the last one, and is not counted: what `hand_back` leaves behind."""
        return self.state is JobState.QUEUED and self.fence == fence

    def wait_untried(
        self, now: float, *, fence: int, delay_seconds: float = 0.0, error: ErrorReport | None = None
    ) -> Job:
        """As `hand_back`, where nobody waits at a queue (a container that is told to end): RETRY_WAIT, whose owner sends for it
        again. The attempt is not counted, nor the error. Raises LeaseLost."""
        back = self.hand_back(now, fence=fence, delay_seconds=delay_seconds, error=error)
        return back if back.state.is_terminal else replace(back, state=JobState.RETRY_WAIT)

    def made_already(self, now: float, *, owner: str, result: Mapping[str, Any]) -> tuple[Job, Finished | Busy]:
        """Complete a job that nobody runs with what another job has made of the same thing. It is an execution, but not one
        that can be one too many."""
        if (taken := self.taken(now)) is not None:
            return self, taken
        done = replace(
            self._end(JobState.SUCCEEDED, now),
            fence=self.fence + 1,
            attempts=min(self.attempts + 1, self.max_attempts),
            lease_owner=owner,
            started_at=now,
            result=dict(result),
            error=None,
        )
        return done, Finished(JobState.SUCCEEDED)

    def cancelled(self, now: float, *, fence: int) -> Job:
        """The worker stopped the job because its cancellation was requested. Raises LeaseLost."""
        self._holds(fence)
        return self._end(JobState.CANCELLED, now)

    # ------------------------------------------------------------------ the waker's and the publisher's moves
    def waking(self, now: float, *, seen: float | None, hold_seconds: float) -> tuple[Job, bool]:
        """One waker takes the row (it saw `seen` as wake_at); the others leave it for `hold_seconds`."""
        if self.state.is_terminal or self.wake_at is None or self.wake_at != seen or self.wake_at > now:
            return self, False
        return replace(self, wake_at=now + hold_seconds), True

    def published(self, now: float) -> Job:
        """A message for this job is in the queue: do not wake it again for a while."""
        if self.state.is_terminal:
            return self
        if self.state is JobState.RUNNING:
            if (self.lease_until or 0) > now:
                return self
            return replace(self, wake_at=now + ORPHAN_WAKE_SECONDS)
        return replace(self, wake_at=max(self.due_at, now) + QUEUED_WAKE_SECONDS)

    # ------------------------------------------------------------------ the operator's moves
    def request_cancel(self, now: float) -> Job:
        """Cancel: at once when nobody runs it, else a flag that the running worker sees. Raises Conflict when ended."""
        if self.state is JobState.CANCELLED:
            return self
        if self.state.is_terminal:
            raise Conflict(f"job {self.id} has already ended: {self.state}")
        if self.state is JobState.RUNNING:
            # A worker that vanished can't see the flag; waking the job lets the next claim cancel it.
            return replace(self, cancel_requested_at=self.cancel_requested_at or now)
        return self._end(JobState.CANCELLED, now)

    def retry_now(self, now: float) -> Job:
        """Do not wait for the retry's time, nor for a message that may be lost. No counter changes: it is the attempt that was
        due anyway. Raises Conflict unless the job waits."""
        if self.state not in (JobState.RETRY_WAIT, JobState.QUEUED):
            raise Conflict(f"job {self.id} does not wait: {self.state}")
        return replace(self, due_at=min(self.due_at, now), wake_at=now)

    def reopen(self, now: float, *, delay_seconds: float = 0.0) -> Job:
        """A new generation by an operator's wish: counters start again, the fence goes on. Raises Conflict when active."""
        if not self.state.is_terminal:
            raise Conflict(f"job {self.id} is active: {self.state}")
        due = now + delay_seconds
        return replace(
            self,
            state=JobState.QUEUED,
            generation=self.generation + 1,
            attempts=0,
            crashes=0,
            error_counts={},
            lease_owner=None,
            lease_until=None,
            due_at=due,
            wake_at=due,
            cancel_requested_at=None,
            finished_at=None,
            result=None,
            error=None,
        )

    # ------------------------------------------------------------------ shared
    def _holds(self, fence: int) -> None:
        if self.state is not JobState.RUNNING or self.fence != fence:
            raise LeaseLost(f"job {self.id}: fence {fence} lost to {self.fence} ({self.state})")

    def _end(self, state: JobState, now: float, *, error: ErrorReport | None = None) -> Job:
        return replace(
            self,
            state=state,
            lease_owner=None,
            lease_until=None,
            wake_at=None,
            finished_at=now,
            error=error or self.error,
        )


# ---------------------------------------------------------------------- answers to a claim
@dataclass(frozen=True, slots=True)
class Claimed:
    """The job is ours under `job.fence`."""

    job: Job


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker's lease runs for `seconds` more."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NotDue:
    """The retry's time comes in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Throttled:
    """The tenant runs as many jobs as it may; try again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing to do: the job has ended."""

    state: JobState


ClaimAnswer = Claimed | Busy | NotDue | Throttled | Finished

_BEGUN = vars(Job(id="", type="", tenant="", payload={}, state=JobState.RUNNING, fence=1, attempts=1))
"""What the rows of all jobs that begin have in common."""
