"""Where handlers run: a place that the worker can watch and kill, and whose death does not hurt the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from src.domain.errors import ErrorReport
from src.domain.progress import ProgressReport


class WorkOrder(NamedTuple):
    """One attempt, as the executor is told of it. `run_id` is unique per attempt and safe as a folder name. (A tuple, because
    thousands are made in a second.) What a batch of short jobs has in common stands at the end."""

    run_id: str
    job_id: str
    payload: Mapping[str, Any]
    type: str
    tenant: str
    subject: str | None
    generation: int
    fence: int
    attempt: int
    max_attempts: int
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Progressed:
    """The handler reported progress."""

    run_id: str
    report: ProgressReport


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned Done."""

    run_id: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler gave the job back untried."""

    run_id: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or its process died (then the report's policy is `crash`)."""

    run_id: str
    error: ErrorReport


@dataclass(frozen=True, slots=True)
class Stopped:
    """`stop` was called and everything of the run is dead now: its processes reaped, its scratch folder removed."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The run had not begun when its process died, or got stuck in a run before it: nothing of it was done."""

    run_id: str


ExecutorEvent = Progressed | Succeeded | Snoozed | Failed | Stopped | Returned


class Executor(Protocol):
    """Each started run ends in exactly one of Succeeded, Snoozed, Failed, Stopped, Returned, after any number of Progressed."""

    def start(self, order: WorkOrder) -> None:
        """Begin in a process of its own; returns at once."""

    def start_short(self, orders: Sequence[WorkOrder], *, processes: int) -> None:
        """Begin many in at most so many processes, one after another in each; returns at once. Those that wait behind a run
        that takes long are Returned."""

    def warm(self) -> None:
        """Have a process ready from now on, so that the next run does not wait for one to start."""

    def ready(self) -> bool:
        """Whether that process stands ready. True as well when none was asked for, or none can be had: a run then says why."""

    def stop(self, run_id: str, reason: str) -> None:
        """End the run: its handler sees `reason` raised (Cancelled for "cancelled", else Interrupted) and has a moment to
        clean up, then the whole process group is killed. A Stopped event follows, unless the run had already ended; or Returned,
        when its process was killed before it had begun."""

    def events(self, timeout_seconds: float) -> Sequence[ExecutorEvent]:
        """What happened since the last call; waits at most this long for the first."""

    def close(self) -> None:
        """Kill whatever still runs and leave no process behind."""
