"""Rows of what was handed to AWS Batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, or_, select, update

from src.application.ports.batch import REASON_LIMIT, BatchState
from src.application.ports.submissions import ASKED, BatchSubmission, Place
from src.domain.errors import NotFound
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.rows import storable
from src.infrastructure.db.tables import batch_submissions as rows

FIELDS = tuple(field.name for field in fields(BatchSubmission))
NEWEST_LAST = (rows.c.submitted_at, rows.c.batch_id)


@dataclass
class SqlSubmissions:
    """Submissions."""

    database: Database

    def begin(self, asked: BatchSubmission) -> bool:
        """False when it is there."""
        return self.database.write(lambda connection: _insert(connection, asked, database_now(connection)))

    def answered(self, asked: BatchSubmission, batch_id: str) -> BatchSubmission:
        """One row stays."""

        def write(connection: Connection) -> BatchSubmission:
            gone = delete(rows).where(rows.c.batch_id == asked.batch_id).returning(rows.c.submitted_at)
            at = connection.execute(gone).scalar_one_or_none()
            _insert(connection, replace(asked, batch_id=batch_id), database_now(connection) if at is None else at)
            return _load(connection, batch_id)

        return self.database.write(write)

    def forget(self, batch_id: str) -> bool:
        """True when it was there."""
        unanswered = rows.c.batch_id.startswith(ASKED, autoescape=True)
        gone = delete(rows).where(rows.c.batch_id == batch_id, unanswered).returning(rows.c.batch_id)
        return self.database.write(lambda connection: connection.execute(gone).scalar_one_or_none() is not None)

    def add(self, submission: BatchSubmission) -> BatchSubmission:
        """Keep, or the row that is there."""

        def write(connection: Connection) -> BatchSubmission:
            _insert(connection, submission, database_now(connection))
            return _load(connection, submission.batch_id)

        return self.database.write(write)

    def latest(self, job_id: str) -> BatchSubmission | None:
        """The newest, or None."""
        return self.latest_of([job_id]).get(job_id)

    def of_job(self, job_id: str) -> Sequence[BatchSubmission]:
        """Oldest first."""
        query = select(rows).where(rows.c.job_id == job_id).order_by(*NEWEST_LAST)
        return self.database.read(lambda connection: [_of(row) for row in connection.execute(query)])

    def latest_of(self, job_ids: Collection[str]) -> Mapping[str, BatchSubmission]:
        """The newest of each."""
        query = select(rows).where(rows.c.job_id.in_(sorted(job_ids))).order_by(*NEWEST_LAST)
        found = self.database.read(lambda connection: [_of(row) for row in connection.execute(query)])
        return {submission.job_id: submission for submission in found}

    def open(self, limit: int, after: Place | None = None) -> Sequence[BatchSubmission]:
        """Oldest first."""
        query = select(rows).where(rows.c.counted_at.is_(None)).order_by(*NEWEST_LAST).limit(limit)
        if after is not None:
            at, batch_id = after
            query = query.where(
                or_(rows.c.submitted_at > at, and_(rows.c.submitted_at == at, rows.c.batch_id > batch_id))
            )
        return self.database.read(lambda connection: [_of(row) for row in connection.execute(query)])

    def seen(self, batch_id: str, state: BatchState, reason: str) -> BatchSubmission:
        """What Batch says of it."""
        said = {"state": state.value, "reason": storable(reason[:REASON_LIMIT])}
        return self._change(batch_id, {**said, "missing_times": 0, "missing_since": None})

    def missing(self, batch_id: str) -> BatchSubmission:
        """Once more."""

        def write(connection: Connection) -> BatchSubmission:
            old = _load(connection, batch_id, lock=True)
            since = database_now(connection) if old.missing_since is None else old.missing_since
            values = {"missing_times": old.missing_times + 1, "missing_since": since}
            connection.execute(update(rows).where(rows.c.batch_id == batch_id).values(**values))
            return _load(connection, batch_id)

        return self.database.write(write)

    def count(self, batch_id: str) -> bool:
        """True once."""

        def write(connection: Connection) -> bool:
            if _load(connection, batch_id, lock=True).counted_at is not None:
                return False
            values = {"counted_at": database_now(connection)}
            connection.execute(update(rows).where(rows.c.batch_id == batch_id).values(**values))
            return True

        return self.database.write(write)

    def _change(self, batch_id: str, values: Mapping[str, Any]) -> BatchSubmission:
        def write(connection: Connection) -> BatchSubmission:
            connection.execute(update(rows).where(rows.c.batch_id == batch_id).values(**values))
            return _load(connection, batch_id)

        return self.database.write(write)


def _insert(connection: Connection, submission: BatchSubmission, at: float) -> bool:
    values = {name: getattr(submission, name) for name in FIELDS}
    values |= {"submitted_at": at, "reason": storable(submission.reason)}
    return upsert(connection, rows, values, keys=["batch_id"]) == 1


def _load(connection: Connection, batch_id: str, *, lock: bool = False) -> BatchSubmission:
    query = select(rows).where(rows.c.batch_id == batch_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"no batch job {batch_id[:80]!r} was submitted from here")
    return _of(row)


def _of(row: Row[Any]) -> BatchSubmission:
    found = row._asdict()
    values = {name: found[name] for name in FIELDS}
    values["state"] = None if values["state"] is None else BatchState(values["state"])
    return BatchSubmission(**values)
