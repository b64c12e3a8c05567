"""Registers the job type that keeps the search index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.application.catalog import JobType
from src.application.content.index_request import parse_index

ALL = "all"


def whole(_tenant: str, payload: Mapping[str, Any]) -> str | None:
    """One full re-index at a time, the next one waits its turn: the newer of two would end the older one. Single contents are
    about nothing: a second change of one must not wait for the first."""
    return ALL if payload.get(ALL) is True else None


JOB_TYPES = [
    JobType(
        name="index",
        parse=parse_index,
        handler="src.application.content.index_handler:IndexContentHandler",
        subject=whole,
        # The network's policy has five retries (domain/retry.py).
        max_attempts=6,
        short=True,
    ),
]
