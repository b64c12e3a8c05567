"""The attempts this worker holds right now, shared by its threads."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from src.application.ports.executor import WorkOrder
from src.application.ports.queue import Delivery
from src.domain.job import Job
from src.domain.progress import ProgressReport

_UNSAFE = re.compile(r"[^0-9A-Za-z]")
_SAFE = re.compile(r"[0-9A-Za-z]{1,40}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class StopReason(StrEnum):
    """Why the worker stops a running attempt."""

    CANCELLED = "cancelled"
    STALLED = "stalled"
    LEASE_LOST = "lease_lost"
    DRAINED = "drained"


@dataclass(slots=True)
class Held:
    """One claimed job: its row as claimed, the message that brought it, the lock's token (None when degraded)."""

    job: Job
    delivery: Delivery | None
    lock_token: str | None
    received_at: float
    """monotonic"""
    last_progress_at: float
    """monotonic; moves only when a report differs from the one before"""
    progress: ProgressReport | None = None
    stop_reason: StopReason | None = None
    stop_requested_at: float | None = None
    """monotonic"""
    settling: bool = False
    short: bool = False
    """of a short job type: taken and settled with many others"""
    run_id: str = field(init=False)
    """Unique per attempt; safe as a folder name."""

    def __post_init__(self) -> None:
        self.run_id = run_id(self.job)

    def heard(self, report: ProgressReport, now: float) -> None:
        """A reading of its progress, at a monotonic time. Only getting further counts: not a loop that repeats itself, not a
        clock that ticks in it (lesson 9)."""
        if self.progress is None or report.reached != self.progress.reached:
            self.last_progress_at = now
        self.progress = report

    def is_settled(self) -> bool:
        """Another thread may have begun to write its outcome at any time."""
        return self.settling


def run_id(job: Job) -> str:
    """Names an attempt of a claimed job: unique (two ids never meet in one name), short, and safe as a folder name."""
    if _SAFE.fullmatch(job.id):
        # With two dashes or six; the others below have three.
        return f"{job.id}-{job.generation}-{job.fence}"
    mark = hashlib.sha256(job.id.encode()).hexdigest()[:16]
    return f"{_UNSAFE.sub('_', job.id[:40])}-{mark}-{job.generation}-{job.fence}"


def work_order(held: Held) -> WorkOrder:
    """A claimed job, as the executor is told of it."""
    job = held.job
    return WorkOrder(
        held.run_id,
        job.id,
        job.payload,
        job.type,
        job.tenant,
        job.subject,
        job.generation,
        job.fence,
        job.attempts,
        job.max_attempts,
        job.trace,
    )


@dataclass(slots=True)
class HeldRuns:
    """Guarded by one lock; snapshots are copies."""

    _runs: dict[str, Held] = field(default_factory=dict)
    _short: int = 0
    """of them"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, held: Held) -> None:
        """A new attempt."""
        self.add_all([held])

    def add_all(self, many: Iterable[Held]) -> None:
        """New attempts."""
        with self._lock:
            for held in many:
                self._short += held.short and held.run_id not in self._runs
                self._runs[held.run_id] = held

    def get(self, name: str) -> Held | None:
        """The attempt, or None when it has ended."""
        with self._lock:
            return self._runs.get(name)

    def begin_settling(self, name: str) -> Held | None:
        """The attempt, for exactly one caller; the keeper leaves it alone from now on."""
        with self._lock:
            held = self._runs.get(name)
            if held is None or held.settling:
                return None
            held.settling = True
            return held

    def begin_settling_all(self, names: Iterable[str]) -> Sequence[Held]:
        """As `begin_settling`, for many."""
        with self._lock:
            found = [held for held in map(self._runs.get, names) if held is not None and not held.settling]
            for held in found:
                held.settling = True
            return found

    def remove(self, *names: str) -> None:
        """The attempts have ended and are settled."""
        with self._lock:
            for name in names:
                if (held := self._runs.pop(name, None)) is not None:
                    self._short -= held.short

    def count(self) -> tuple[int, int]:
        """(long ones, short ones) held, settling ones included."""
        with self._lock:
            return len(self._runs) - self._short, self._short

    def by_type(self) -> Mapping[str, int]:
        """{job type: how many are held}, settling ones included."""
        with self._lock:
            return Counter(held.job.type for held in self._runs.values())

    def request_stop(self, held: Held, reason: StopReason, now: float) -> bool:
        """Mark once; False when it is being stopped or settled already. (A drained job whose cancel was requested ends
        CANCELLED all the same: `Job.hand_back` looks.)"""
        with self._lock:
            if held.settling or (held.stop_reason is not None):
                return False
            held.stop_reason, held.stop_requested_at = reason, now
            return True

    def active(self) -> list[Held]:
        """Attempts that still run."""
        with self._lock:
            return [held for held in self._runs.values() if not held.settling]

    def __len__(self) -> int:
        """Attempts held, settling ones included."""
        with self._lock:
            return len(self._runs)
