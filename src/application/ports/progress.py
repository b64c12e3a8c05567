"""Where readings of progress go. It never decides a job's state, and losing it loses nothing."""

from __future__ import annotations

from typing import Protocol

from src.domain.progress import ProgressReport


class Progress(Protocol):
    """Latest reading per job. Adapters may raise NetworkError; the engine's writer logs that and goes on."""

    def record(self, job_id: str, fence: int, report: ProgressReport) -> None:
        """Store; a reading with a lower fence than the stored one is ignored."""

    def latest(self, job_id: str) -> ProgressReport | None:
        """The last reading, or None; also None when that is older than readings are kept."""

    def clear(self, job_id: str) -> None:
        """Forget the job's readings."""
