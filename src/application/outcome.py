"""How a handler may end without raising."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from src.domain.progress import ProgressReport


@dataclass(frozen=True, slots=True)
class Done:
    """The work is finished. `result` is JSON: it is stored with the job and shown by the status command."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: try again in `seconds`, without counting this attempt."""

    seconds: float
    reason: str = ""


Outcome = Done | Snooze


@dataclass(slots=True, kw_only=True)
class Run:
    """What a handler knows about the attempt it is part of. `report` is cheap, never blocks and never fails. (Not frozen: a frozen
    one takes three times as long to make, and a short job has little else to pay for.)"""

    job_id: str
    tenant: str
    generation: int
    fence: int
    attempt: int
    max_attempts: int
    open_scratch: Callable[[], Path]
    report: Callable[[ProgressReport], None]
    trace: str | None = None

    @property
    def scratch(self) -> Path:
        """The attempt's own folder, empty at first; it is made when it is first asked for, and removed when the attempt ends
        in whatever way. Raises DiskFull or FileAccessError."""
        return self.open_scratch()


class Handler(Protocol):
    """One job type's work. Made anew for each attempt, with the ports it names as fields."""

    def handle(self, request: Any, run: Run) -> Outcome:
        """Do the work, or raise a JobError. Nothing it writes may be visible before the engine commits Done."""
