"""The attempts this worker holds right now, shared by its threads."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from enum import StrEnum

from src.application.ports.executor import WorkOrder
from src.application.ports.queue import Delivery
from src.domain.job import Job
from src.domain.progress import ProgressReport


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

    def is_settled(self) -> bool:
        """Another thread may have begun to write its outcome at any time."""
        return self.settling

    @property
    def run_id(self) -> str:
        """Unique per attempt; safe as a folder name."""
        return run_id(self.job)


def run_id(job: Job) -> str:
    """Names an attempt of a claimed job: unique (two ids never meet in one name), short, and safe as a folder name."""
    mark = hashlib.sha256(job.id.encode()).hexdigest()[:16]
    safe = "".join(character if character.isascii() and character.isalnum() else "_" for character in job.id)[:40]
    return f"{safe}-{mark}-{job.generation}-{job.fence}"


def work_order(job: Job) -> WorkOrder:
    """A claimed job, as the executor is told of it."""
    return WorkOrder(
        run_id=run_id(job),
        job_id=job.id,
        type=job.type,
        tenant=job.tenant,
        subject=job.subject,
        payload=job.payload,
        generation=job.generation,
        fence=job.fence,
        attempt=job.attempts,
        max_attempts=job.max_attempts,
        trace=job.trace,
    )


@dataclass(slots=True)
class HeldRuns:
    """Guarded by one lock; snapshots are copies."""

    _runs: dict[str, Held] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, held: Held) -> None:
        """A new attempt."""
        with self._lock:
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

    def remove(self, name: str) -> None:
        """The attempt has ended and is settled."""
        with self._lock:
            self._runs.pop(name, None)

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
