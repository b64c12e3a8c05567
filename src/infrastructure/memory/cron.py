"""Cron's memory in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.cron import Board, Standing, Tick
from src.application.ports.ledger import Admission, JobLedger
from src.domain.job import JobDraft


@dataclass
class MemoryCronTicks:
    """CronTicks. Thread-safe."""

    clock: Clock
    ledger: JobLedger
    _known: dict[str, dict[str, float]] = field(default_factory=dict, init=False)
    _last: dict[str, Tick] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def board(self, schedules: Mapping[str, str]) -> Board:
        """Where they stand."""
        with self._lock:
            standings = {name: self._standing(name, schedule) for name, schedule in schedules.items()}
            return Board(self.clock.now(), standings)

    def know(self, schedules: Mapping[str, str]) -> None:
        """From now on."""
        with self._lock:
            for name, schedule in schedules.items():
                self._known.setdefault(name, {}).setdefault(schedule, self.clock.now())

    def fire(self, name: str, scheduled_at: float, draft: JobDraft) -> Admission | None:
        """The moment and the job, or neither."""
        with self._lock:
            last = self._last.get(name)
            if last is not None and last.scheduled_at >= scheduled_at:
                return None
            admission = self.ledger.admit(draft)
            job_id = admission.job.id if admission.job else draft.id
            self._last[name] = Tick(scheduled_at=scheduled_at, fired_at=self.clock.now(), job_id=job_id)
            return admission

    def _standing(self, name: str, schedule: str) -> Standing:
        last, known = self._last.get(name), self._known.get(name, {})
        if schedule not in known:
            return Standing(None, last)
        return Standing(max(*known.values(), last.scheduled_at if last else 0.0), last)
