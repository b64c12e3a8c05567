"""Rows of jobs that ended long ago, with all that hangs on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

Place = tuple[float, str]
"""(created_at, id) of the job after which the next page begins."""


@dataclass(frozen=True, slots=True)
class Outdated:
    """A job whose row may go. `created_at`: when it was asked for, in epoch seconds of the ledger."""

    id: str
    created_at: float


@dataclass(frozen=True, slots=True)
class OutdatedPage:
    """`jobs` are those of the rows looked at that may go; `after` is where the next page begins, None when this was the last."""

    jobs: Sequence[Outdated]
    after: Place | None = None


class EndedJobs(Protocol):
    """A row stays, however old, while somebody still goes by it: the job is active or was reopened, a dead letter names it, an
    event of it is yet to be sent, a submission to AWS Batch is not accounted for, or it is the cancelled job by which an UPLOADED
    video is known not to be wanted. Raises DatabaseUnavailable; repeating any call is safe."""

    def now(self) -> float:
        """The ledger's clock, by which jobs end. This machine's may be years off, and a row that goes too early is a job done twice."""

    def outdated(self, before: float, limit: int, after: Place | None = None) -> OutdatedPage:
        """Looks at no more than `limit` jobs that ended before that time (epoch seconds), in the order in which they were asked
        for, from `after` on."""

    def remove(self, ids: Collection[str], before: float) -> Collection[str]:
        """Those of them that may go go, in one commit, with their history, progress and counted submissions; which they were.
        Whether one may go is looked at again in that commit, so that a job that somebody reopens at this moment either
        stays, or is not there for them."""
