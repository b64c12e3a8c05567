"""The road by which an admitted job comes to run: a queue and its workers, or AWS Batch and a container of its own."""

from __future__ import annotations

from typing import Protocol

from src.domain.errors import BatchNotTaken, BatchRefused
from src.domain.job import Job

NOT_TAKEN = (BatchRefused, BatchNotTaken)
"""Errors after which certainly nothing is on its way to the job. After any other one, something may be."""


class Dispatch(Protocol):
    """Whatever it does is a hint: the job's claim decides who runs it, so once too often does no harm."""

    def dispatch(self, job: Job) -> None:
        """Have this job run. After the commit that admitted or freed it, never before (lesson 7). Raises BatchRefused, BatchNotTaken
        (nothing happened); QueueUnavailable, BatchUnavailable, DatabaseUnavailable (nobody knows: leave the row alone, it must
        be there for a worker or a container that is on its way)."""
