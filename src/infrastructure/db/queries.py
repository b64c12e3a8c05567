"""Reading jobs for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Row, Table, bindparam, func, select

from src.application.ports.ledger import JobFilter
from src.domain.errors import Conflict
from src.domain.history import Attempt, told_by
from src.domain.job import Job, JobState
from src.infrastructure.db.engine import Database
from src.infrastructure.db.rows import to_attempt, to_job
from src.infrastructure.db.tables import job_attempts, jobs

ACTIVE: BindParameter[Any] = bindparam(
    "active", ["QUEUED", "RUNNING", "RETRY_WAIT"], expanding=True, unique=True, literal_execute=True
)
"""domain/job.py's ACTIVE_STATES, for `in_`: written out in the statement, and in the order of indexes.py, because SQLite uses a
partial index only for the very words that it was made with. Else it reads all jobs in search of the active one."""

PREFIX_LENGTH = 6
"""Shortest beginning of an id that is accepted for the id (ports/ledger.py)."""


@dataclass
class SqlJobQueries:
    """JobQueries."""

    database: Database

    def find(self, job_id: str) -> Job | None:
        """By id or by a unique beginning of it."""
        row = self.database.read(lambda connection: by_prefix(connection, jobs, job_id))
        return None if row is None else to_job(row)

    def list(self, criteria: JobFilter) -> Sequence[Job]:
        """Newest first, or by their end."""
        wanted: dict[ColumnElement[Any], Any] = {
            jobs.c.state: criteria.state and criteria.state.value,
            jobs.c.type: criteria.type,
            jobs.c.tenant: criteria.tenant,
        }
        query = select(jobs).where(*matching(wanted))
        if criteria.ended_from is not None:
            query = query.where(jobs.c.finished_at >= criteria.ended_from)
        if criteria.ended_to is not None:
            query = query.where(jobs.c.finished_at <= criteria.ended_to)
        if criteria.by_end:
            query = query.order_by(jobs.c.finished_at, jobs.c.id)
        else:
            query = query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
        query = query.limit(criteria.limit).offset(criteria.offset)
        return self.database.read(lambda connection: [to_job(row) for row in connection.execute(query)])

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Oldest first."""
        query = select(job_attempts).where(job_attempts.c.job_id == job_id).order_by(job_attempts.c.fence)
        row = select(jobs).where(jobs.c.id == job_id)

        def look(connection: Connection) -> list[Attempt]:
            history = [to_attempt(row) for row in connection.execute(query)]
            found = connection.execute(row).one_or_none()
            told = told_by(to_job(found)) if found is not None else None
            # A version before this one wrote also what the row tells of.
            return [*(one for one in history if told is None or one.fence != told.fence), *([told] if told else [])]

        return self.database.read(look)

    def counts(self, *, ended_from: float | None = None) -> Mapping[tuple[str, JobState], int]:
        """Rows by type and state."""
        query = select(jobs.c.type, jobs.c.state, func.count()).group_by(jobs.c.type, jobs.c.state)
        if ended_from is not None:
            query = query.where(jobs.c.finished_at >= ended_from)
        rows = self.database.read(lambda connection: connection.execute(query).all())
        return {(job_type, JobState(state)): count for job_type, state, count in rows}


def matching(wanted: Mapping[ColumnElement[Any], Any]) -> list[ColumnElement[bool]]:
    """Conditions for the values that are given; None means any."""
    return [column == value for column, value in wanted.items() if value is not None]


def by_prefix(connection: Connection, table: Table, value: str) -> Row[Any] | None:
    """The row with this id, or the only one whose id begins so. Raises Conflict when several do."""
    row = connection.execute(select(table).where(table.c.id == value)).one_or_none()
    if row is not None or len(value) < PREFIX_LENGTH:
        return row
    # Not LIKE: it ignores case on one database, and has wildcards on all.
    begins = func.substr(table.c.id, 1, len(value)) == value
    found = connection.execute(select(table).where(begins).limit(2)).all()
    if len(found) > 1:
        raise Conflict(f"{value!r} is the beginning of several ids", fix="give more of the id")
    return found[0] if found else None
