"""Write-behind progress: at most one write a second and job, never in the way of the job (mission.md E10)."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.progress import Progress
from src.domain.errors import JobError, NetworkError
from src.domain.progress import ProgressReport

log = logging.getLogger(__name__)

WRITE_SECONDS = 1.0
WARN_SECONDS = 60.0
"""One warning a minute while the store is away (reliability.md F13)."""


@dataclass(slots=True)
class ProgressWriter:
    """`offer` keeps the newest reading per attempt; `tick` writes what is due."""

    progress: Progress
    clock: Clock
    _waiting: dict[str, tuple[int, ProgressReport]] = field(default_factory=dict)
    _written_at: dict[str, float] = field(default_factory=dict)
    _last: dict[str, tuple[int, ProgressReport]] = field(default_factory=dict)
    _warned_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, job_id: str, fence: int, report: ProgressReport) -> ProgressReport:
        """Keep for the next write; the reading as it will be shown (never below an earlier one of the attempt)."""
        with self._lock:
            last = self._last.get(job_id)
            shown = report.after(last[1] if last and last[0] == fence else None)
            self._last[job_id] = (fence, shown)
            self._waiting[job_id] = (fence, shown)
            return shown

    def ended(self, job_id: str, *, succeeded: bool) -> None:
        """The attempt is over. A finished job shows 100 %, whatever its last report was."""
        with self._lock:
            last = self._last.pop(job_id, None)
            self._written_at.pop(job_id, None)
            if succeeded and last is not None:
                fence, report = last
                done = ProgressReport(
                    percent=100.0,
                    step="done",
                    step_index=report.step_total,
                    step_total=report.step_total,
                    eta_seconds=0.0,
                    parts=dict.fromkeys(report.parts, 100.0),
                )
                self._waiting[job_id] = (fence, done)

    def finish(self, within_seconds: float) -> None:
        """Write all of them, or give up after so long: a store that hangs must not keep the process."""
        telling = threading.Thread(target=self.tick, kwargs={"everything": True}, daemon=True)
        telling.start()
        telling.join(timeout=within_seconds)

    def tick(self, *, everything: bool = False) -> None:
        """Write readings whose second has passed (or all of them). Never raises."""
        now = self.clock.monotonic()
        with self._lock:
            due = {
                job_id: reading
                for job_id, reading in self._waiting.items()
                if everything or now - self._written_at.get(job_id, -WRITE_SECONDS) >= WRITE_SECONDS
            }
            for job_id in due:
                del self._waiting[job_id]
                if job_id in self._last:
                    self._written_at[job_id] = now
        while due:
            job_id, (fence, report) = due.popitem()
            try:
                self.progress.record(job_id, fence, report)
            except JobError as error:
                if self._warned_at is None or now - self._warned_at >= WARN_SECONDS:
                    self._warned_at = now
                    log.warning("progress.lost", extra={"job": job_id, "error": str(error)})
                if isinstance(error, NetworkError):
                    # Asked for each of them, a store that is silent would hold up this loop, and the worker's end.
                    break
        with self._lock:
            for job_id, reading in due.items():
                self._waiting.setdefault(job_id, reading)
