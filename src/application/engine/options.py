"""The engine's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Pauses of a loop whose backend is away; the last repeats (reliability.md F06: no busy loop)."""


class OnLockFailure(StrEnum):
    """What an unreachable lock server means: go on under the ledger's claim alone, or give the message back."""

    DEGRADE = "degrade"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Seconds everywhere. `owner` names this worker in leases and history."""

    owner: str
    slots: int = 1
    lease_seconds: float = 30.0
    scan_seconds: float = 10.0
    watch_seconds: float = 1.0
    stall_seconds: float = 900.0
    grace_seconds: float = 30.0
    receive_wait_seconds: float = 20.0
    on_lock_failure: OnLockFailure = OnLockFailure.DEGRADE
    retry_scale: float = 1.0
    running_per_tenant: int = 0
    newer_schema_delay_seconds: float = 60.0
    unknown_job_delay_seconds: float = 30.0
    unknown_job_receives: int = 5
    message_hold_limit_seconds: float | None = None
    """Longest time the queue lets one message be hidden (SQS: 12 h); then the ledger's lease carries the job alone."""

    @property
    def beat_seconds(self) -> float:
        """A lease survives two lost beats (reliability.md 2)."""
        return self.lease_seconds / 3

    @property
    def visibility_seconds(self) -> float:
        """The lease must end before the message becomes visible, else the next receive finds the job still leased
        (contracts.md 1.3 asks for 60 s of margin on leases near an hour; a tenth keeps short leases short)."""
        return self.lease_seconds + min(60.0, max(0.5, self.lease_seconds / 10))
