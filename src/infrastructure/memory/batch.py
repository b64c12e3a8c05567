"""AWS Batch in memory, driven by hand: nothing runs by itself, and everything that goes wrong there can be had here."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from src.application.ports.batch import REASON_LIMIT, BatchJob, BatchState, BatchSummary, batch_name
from src.application.ports.clock import Clock
from src.domain.errors import BatchRefused, BatchUnavailable
from src.domain.ids import identifier

OPERATIONS = ("submit", "describe", "listing", "of_job", "terminate")
HOST_LOST = "Host EC2 (instance i-0123456789abcdef0) terminated."
"""The words of AWS for a container whose machine went away, by a spot interruption for example."""

EXITED = "Essential container in task exited"


def random_id() -> str:
    """As Batch makes them."""
    return str(uuid.uuid4())


@dataclass
class MemoryBatch:
    """BatchService. Thread-safe. Jobs stay SUBMITTED until `move`, `end` or `lose_host` is called. `ids` makes the next batch id; a
    deterministic test passes its own."""

    clock: Clock
    ids: Callable[[], str] = random_id
    lingers: bool = False
    """terminate leaves RUNNING jobs running, as Batch does for its grace time; `end` ends them then"""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(operation, job or batch id, or ids and states joined by commas) of every call, also of those that failed"""
    _jobs: dict[str, BatchJob] = field(default_factory=dict, init=False)
    _dying: dict[str, str] = field(default_factory=dict, init=False)
    _faults: dict[str, list[tuple[Exception, bool]]] = field(default_factory=lambda: defaultdict(list), init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    # ------------------------------------------------------------------ BatchService
    def submit(self, job_id: str, *, name: str, tenant: str) -> str:
        """A new batch job, each time."""
        shown = batch_name(name, job_id)
        identifier(tenant, "tenant")
        with self._lock:
            self.calls.append(("submit", job_id))
            after = self._meet("submit")
            made = self.add(job_id, name=shown)
            if after:
                raise after
            return made

    def describe(self, batch_ids: Collection[str]) -> Mapping[str, BatchJob]:
        """Those that are known."""
        with self._lock:
            self.calls.append(("describe", ",".join(batch_ids)))
            after = self._meet("describe")
            if after:
                raise after
            return {each: self._jobs[each] for each in batch_ids if each in self._jobs}

    def listing(self, states: Collection[BatchState]) -> Iterator[BatchSummary]:
        """Of a listing that fails afterwards (`fail(..., after=True)`) the first half comes."""
        with self._lock:
            self.calls.append(("listing", ",".join(state for state in BatchState if state in states)))
            after = self._meet("listing")
            found = [
                BatchSummary(
                    batch_id=job.batch_id,
                    name=job.name,
                    state=job.state,
                    status_reason=job.status_reason,
                    created_at=job.created_at,
                )
                for state in BatchState
                for job in self._jobs.values()
                if job.state is state and state in states and job.job_id is not None
            ]
        yield from itertools.islice(found, len(found) // 2 if after else None)
        if after:
            raise after

    def of_job(self, job_id: str, *, name: str) -> Sequence[BatchJob]:
        """By name and id."""
        shown = batch_name(name, job_id)
        with self._lock:
            self.calls.append(("of_job", job_id))
            after = self._meet("of_job")
            if after:
                raise after
            return [job for job in self._jobs.values() if (job.name, job.job_id) == (shown, job_id)]

    def terminate(self, batch_id: str, reason: str) -> None:
        """At once, unless it `lingers`."""
        with self._lock:
            self.calls.append(("terminate", batch_id))
            after = self._meet("terminate")
            job, reason = self._jobs.get(batch_id), reason[:REASON_LIMIT]
            if job is not None and not job.state.ended:
                if self.lingers and not job.state.waiting:
                    self._dying.setdefault(batch_id, reason)
                else:
                    self._finish(job, BatchState.FAILED, reason, None if job.state.waiting else 143)
            if after:
                raise after

    # ------------------------------------------------------------------ for tests
    def add(self, job_id: str | None, *, name: str = "video-other") -> str:
        """A batch job that nobody here submitted; None: not made from our definition."""
        with self._lock:
            made = self.ids()
            self._jobs[made] = BatchJob(
                batch_id=made, name=name, job_id=job_id, state=BatchState.SUBMITTED, created_at=self.clock.now()
            )
            return made

    def known(self) -> list[BatchJob]:
        """All jobs as they are, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def move(self, batch_id: str, state: BatchState, reason: str = "") -> None:
        """On to a state in which it has not ended."""
        if state.ended:
            raise ValueError("`end` and `lose_host` end jobs")
        with self._lock:
            job = self._alive(batch_id)
            started = self.clock.now() if state is BatchState.RUNNING else None
            self._jobs[batch_id] = replace(job, state=state, status_reason=reason, started_at=started)

    def end(self, batch_id: str, exit_code: int) -> None:
        """Its container exits. A terminated job is FAILED whatever it said."""
        with self._lock:
            job, dying = self._alive(batch_id), self._dying.pop(batch_id, None)
            good = exit_code == 0 and dying is None
            reason = dying if dying is not None else EXITED
            self._finish(job, BatchState.SUCCEEDED if good else BatchState.FAILED, reason, exit_code)

    def lose_host(self, batch_id: str) -> None:
        """Its machine goes away; nobody saw how it ended."""
        with self._lock:
            self._finish(self._alive(batch_id), BatchState.FAILED, HOST_LOST, None)

    def forget(self, batch_id: str) -> None:
        """As Batch does a day after the end."""
        with self._lock:
            del self._jobs[batch_id]

    def fail(self, operation: str, error: Exception | None = None, *, after: bool = False, times: int = 1) -> None:
        """The next calls of that kind raise this (BatchUnavailable): before they did anything, or after they did all of it (the
        reply got lost)."""
        if operation not in OPERATIONS:
            raise ValueError(f"{operation} is none of {OPERATIONS}")
        raised = error or BatchUnavailable(f"scripted: {operation} got no answer")
        with self._lock:
            self._faults[operation] += [(raised, after)] * times

    # ------------------------------------------------------------------ inside
    def _meet(self, operation: str) -> Exception | None:
        if not self._faults[operation]:
            return None
        error, after = self._faults[operation].pop(0)
        if after and not isinstance(error, BatchRefused):
            return error
        raise error

    def _alive(self, batch_id: str) -> BatchJob:
        job = self._jobs[batch_id]
        if job.state.ended:
            raise ValueError(f"{batch_id} has ended")
        return job

    def _finish(self, job: BatchJob, state: BatchState, reason: str, exit_code: int | None) -> None:
        self._dying.pop(job.batch_id, None)
        now = self.clock.now()
        ran = not job.state.waiting
        self._jobs[job.batch_id] = replace(
            job,
            state=state,
            status_reason=reason,
            exit_code=exit_code,
            attempts=job.attempts + ran,
            stopped_at=now,
        )
