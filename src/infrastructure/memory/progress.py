"""Readings of progress in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.domain.progress import ProgressReport


@dataclass
class MemoryProgress:
    """Progress. Thread-safe. A reading older than `ttl_seconds` is not shown."""

    clock: Clock
    ttl_seconds: float = 86_400.0
    _readings: dict[str, tuple[int, ProgressReport, float]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def record(self, job_id: str, fence: int, report: ProgressReport) -> None:
        """Keep, unless a later attempt has already reported."""
        with self._lock:
            known, earlier, _ = self._readings.get(job_id, (fence, None, 0.0))
            if fence >= known:
                self._readings[job_id] = (
                    fence,
                    report.after(earlier if fence == known else None),
                    self.clock.now(),
                )

    def latest(self, job_id: str) -> ProgressReport | None:
        """The last reading."""
        with self._lock:
            _, report, at = self._readings.get(job_id, (0, None, 0.0))
            return report if at > self.clock.now() - self.ttl_seconds else None

    def clear(self, job_id: str) -> None:
        """Forget."""
        with self._lock:
            self._readings.pop(job_id, None)
