"""An event may be faster than the commit that it tells of: a record that is not there is looked for again for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from src.application.outcome import Run
from src.application.ports.content import ContentGone, ContentMissing
from src.domain.errors import Retryable

LOOKS = 5
"""Attempts that may find nothing: the policy's pauses between them are 2, 8, 32 and 128 s. A commit, and its way to a replica, take less."""


class ContentNotYet(Retryable):
    """There is no record of the content, which may be about to be committed."""

    code = "content_not_yet"
    policy = "late_commit"


@contextmanager
def record_of(run: Run) -> Iterator[None]:
    """Around what asks for the record or changes it. Raises ContentNotYet for one that is missing; in the LOOKS-th attempt, or
    the job's last one, ContentMissing. One that the platform calls gone is gone (ContentGone)."""
    try:
        yield
    except ContentGone:
        raise
    except ContentMissing as missing:
        if run.attempt >= min(LOOKS, run.max_attempts):
            raise ContentMissing(
                f"{missing.message}, nor was there at {run.attempt} looks", fix=missing.fix
            ) from missing
        raise ContentNotYet(f"{missing.message} (yet)", fix=missing.fix) from missing
