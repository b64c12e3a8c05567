"""What operators want to read later, in words that stay when videos and jobs are gone (contracts.md 1.5, VideoOpsEvent)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from src.application.ports.ledger import Effect


class Severity(StrEnum):
    """In rising order."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"

    @property
    def and_above(self) -> Sequence[Severity]:
        """This one and the worse ones."""
        order = list(Severity)
        return order[order.index(self) :]


class EventType(StrEnum):
    """Names of contracts.md 1.5; BATCH_SUBMIT_FAILED is there the code of a failed submission (1.9)."""

    JOB_DEAD = "JOB_DEAD"
    BATCH_DESYNC = "BATCH_DESYNC"
    BATCH_SUBMIT_FAILED = "BATCH_SUBMIT_FAILED"
    UPLOAD_INTEGRITY_FAIL = "UPLOAD_INTEGRITY_FAIL"
    ORPHAN_CANCELLED = "ORPHAN_CANCELLED"
    TENANT_LIMIT_EXCEEDED = "TENANT_LIMIT_EXCEEDED"
    VIDEO_DELETE_TERMINATE_REQUESTED = "VIDEO_DELETE_TERMINATE_REQUESTED"
    VIDEO_DELETE_TERMINATE_FAILED = "VIDEO_DELETE_TERMINATE_FAILED"
    RECONCILE_DESCRIBE_JOBS_FAILED = "RECONCILE_DESCRIBE_JOBS_FAILED"
    VIDEO_STUCK_DETECTED = "VIDEO_STUCK_DETECTED"

    @property
    def is_told(self) -> bool:
        """Whether an administrator is told of each event. JOB_DEAD is not among them: the job's dead letter is told."""
        return self is EventType.BATCH_DESYNC


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsEvent:
    """One event. All ids are plain words: what they name may be gone. Times are epoch seconds of whoever keeps it."""

    type: EventType
    severity: Severity
    tenant: str | None = None
    video_id: str | None = None
    job_id: str | None = None
    aws_batch_job_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    """JSON; numbers and short words, never secrets"""
    id: str = ""
    """Empty: whoever keeps it makes one. Events that two could write about the same thing have an id that both arrive at"""
    created_at: float = 0.0
    tell_at: float | None = None
    """Since when an administrator should know of it; None when told, or when nobody has to be"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events. None means any; `severity` means that one or worse; `since` (epoch seconds) is included."""

    type: EventType | None = None
    severity: Severity | None = None
    tenant: str | None = None
    video_id: str | None = None
    job_id: str | None = None
    since: float | None = None
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Noted(Effect):
    """An event that becomes true with a job's move."""

    event: OpsEvent


class OpsEvents(Protocol):
    """Nothing that was written is changed; what is old goes. Raises DatabaseUnavailable."""

    def add(self, event: OpsEvent) -> bool:
        """Keep, with the time of now. False, and nothing is changed, when there is one with this id."""

    def list(self, criteria: EventFilter) -> Sequence[OpsEvent]:
        """Newest first."""

    def untold(self, limit: int) -> Sequence[OpsEvent]:
        """What an administrator has yet to be told, oldest first."""

    def told(self, ids: Collection[str]) -> None:
        """These were told."""

    def outdated(self, before: float, limit: int) -> Sequence[OpsEvent]:
        """Kept before that time (epoch seconds), and not waiting to be told; oldest first."""

    def remove(self, ids: Collection[str]) -> None:
        """They go; unknown ones are fine, and one that waits to be told stays."""
