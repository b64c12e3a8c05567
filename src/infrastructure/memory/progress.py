"""Readings of progress in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from src.domain.progress import ProgressReport


@dataclass
class MemoryProgress:
    """Progress. Thread-safe."""

    _readings: dict[str, tuple[int, ProgressReport]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def record(self, job_id: str, fence: int, report: ProgressReport) -> None:
        """Keep, unless a later attempt has already reported."""
        with self._lock:
            known, earlier = self._readings.get(job_id, (fence, None))
            if fence >= known:
                self._readings[job_id] = (
                    fence,
                    report.after(earlier if fence == known else None),
                )

    def latest(self, job_id: str) -> ProgressReport | None:
        """The last reading."""
        with self._lock:
            return self._readings[job_id][1] if job_id in self._readings else None

    def clear(self, job_id: str) -> None:
        """Forget."""
        with self._lock:
            self._readings.pop(job_id, None)
