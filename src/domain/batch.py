"""The states of a job at AWS Batch, which are not those of our job."""

from __future__ import annotations

from enum import StrEnum


class BatchState(StrEnum):
    """The seven states of a batch job, in the order in which it goes through them."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def ended(self) -> bool:
        """Nothing of it runs any more, and nothing will."""
        return self in (BatchState.SUCCEEDED, BatchState.FAILED)

    @property
    def waiting(self) -> bool:
        """It has no container yet."""
        return self in (BatchState.SUBMITTED, BatchState.PENDING, BatchState.RUNNABLE)
