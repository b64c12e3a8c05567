"""What a job type may look at before an attempt is made: is there anything left to do?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from src.domain.job import Job


@dataclass(frozen=True, slots=True)
class Made:
    """What the job is to make is there already; its result."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gone:
    """What the job is about is there no more."""

    reason: str


Guard = Callable[[Job], Made | Gone | None]
"""None: the work is to be done. Changes nothing. Raises what its ports raise."""


def nothing_to_look_at(_job: Job) -> None:
    """The guard of job types that have none."""
