"""Many jobs given back untried in one commit: what waited behind a short job that got stuck. The rows are those of
domain/job.py (`Job.hand_back`); the contract suite compares them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, select, update

from src.domain.history import Attempt, closed_attempt
from src.domain.job import JobState
from src.infrastructure.db.batches import BATCH
from src.infrastructure.db.engine import Database, database_now, upsert_all
from src.infrastructure.db.rows import attempt_row, to_job
from src.infrastructure.db.tables import job_attempts, jobs


def hand_back(database: Database, holds: Mapping[str, int]) -> Collection[str]:
    """Which of {job id: fence} are QUEUED under that fence now."""
    if not holds:
        return ()
    # Everybody who locks many rows does so in this order.
    ids = sorted(holds)

    def work(connection: Connection) -> list[str]:
        return [
            given
            for start in range(0, len(ids), BATCH)
            for given in _hand_back(connection, {job_id: holds[job_id] for job_id in ids[start : start + BATCH]})
        ]

    return database.write(work)


def close_attempts(connection: Connection, closed: Sequence[Attempt]) -> None:
    """Executions that their rows do not tell of any more."""
    # A version before this one wrote the row when the attempt began.
    ended = ("ended_at", "outcome", "error")
    upsert_all(connection, job_attempts, list(map(attempt_row, closed)), keys=["job_id", "fence"], update=ended)


def _hand_back(connection: Connection, holds: Mapping[str, int]) -> list[str]:
    there = select(jobs).where(jobs.c.id.in_(list(holds))).order_by(jobs.c.id).with_for_update()
    now, given, closed = database_now(connection), list[str](), list[Attempt]()
    already: list[str] = []
    for old in map(to_job, connection.execute(there)):
        fence = holds[old.id]
        if old.was_handed_back(fence):
            already.append(old.id)
        elif old.can_be_handed_back(fence):
            given.append(old.id)
            if (attempt := closed_attempt(old, old.hand_back(now, fence=fence), now)) is not None:
                closed.append(attempt)
    if given:
        back = {
            "state": JobState.QUEUED.value,
            "attempts": jobs.c.attempts - 1,
            "lease_owner": None,
            "lease_until": None,
            "due_at": now,
            "wake_at": now,
        }
        connection.execute(update(jobs).where(jobs.c.id.in_(given)).values(back))
        close_attempts(connection, closed)
    return given + already
