"""Rows of jobs that ended long ago, and their going."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, or_, select

from src.application.ports.ended_jobs import Outdated, OutdatedPage, Place
from src.application.video.request import JOB_TYPE, SUBJECT
from src.domain.job import ACTIVE_STATES, JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.db.engine import Database, database_now
from src.infrastructure.db.tables import batch_submissions, dead_letters, jobs, outbox, progress, videos

ENDED = sorted(state.value for state in JobState if state not in ACTIVE_STATES)

COLUMNS = (jobs.c.id, jobs.c.created_at, jobs.c.type, jobs.c.subject, jobs.c.state)

HANGING = (progress, batch_submissions)
"""What goes with a job's row; its attempts do so by their foreign key. Videos, events and fired moments of cron outlive it."""


@dataclass
class SqlEndedJobs:
    """EndedJobs."""

    database: Database

    def now(self) -> float:
        """The database's."""
        return self.database.read(database_now)

    def outdated(self, before: float, limit: int, after: Place | None = None) -> OutdatedPage:
        """By the index of created_at, which an end is never before: one of finished_at would cost every job that ends."""
        query = select(*COLUMNS).where(jobs.c.created_at < before, _ended(before))
        if after is not None:
            at, last = after
            # The first half says to the planner where to begin.
            query = query.where(jobs.c.created_at >= at, or_(jobs.c.created_at > at, jobs.c.id > last))
        query = query.order_by(jobs.c.created_at, jobs.c.id).limit(limit)

        def look(connection: Connection) -> OutdatedPage:
            rows = connection.execute(query).all()
            kept = _kept(connection, rows)
            free = [Outdated(row.id, row.created_at) for row in rows if row.id not in kept]
            more = len(rows) == limit
            return OutdatedPage(free, (rows[-1].created_at, rows[-1].id) if more else None)

        return self.database.read(look)

    def remove(self, ids: Collection[str], before: float) -> Collection[str]:
        """Locked first, in the order of everybody who locks many; what somebody else is writing at this moment is left alone. What
        keeps a row is written under its lock (letters, events), or before its end."""
        there = select(*COLUMNS).where(jobs.c.id.in_(sorted(ids)), _ended(before)).order_by(jobs.c.id)

        def drop(connection: Connection) -> Collection[str]:
            rows = connection.execute(there.with_for_update(of=jobs, skip_locked=True)).all()
            kept = _kept(connection, rows)
            gone = [row.id for row in rows if row.id not in kept]
            if gone:
                for table in HANGING:
                    connection.execute(delete(table).where(table.c.job_id.in_(gone)))
                connection.execute(delete(jobs).where(jobs.c.id.in_(gone)))
            return gone

        return self.database.write(drop)


def _ended(before: float) -> ColumnElement[bool]:
    return and_(jobs.c.finished_at < before, jobs.c.state.in_(ENDED))


def _kept(connection: Connection, rows: Sequence[Any]) -> set[str]:
    """Whose rows somebody goes by."""
    ids = [row.id for row in rows]
    if not ids:
        return set()
    uncounted = batch_submissions.c.counted_at.is_(None)
    questions: list[Select[Any]] = [
        select(dead_letters.c.job_id).where(dead_letters.c.job_id.in_(ids)),
        select(outbox.c.job_id).where(outbox.c.job_id.in_(ids)),
        select(batch_submissions.c.job_id).where(batch_submissions.c.job_id.in_(ids), uncounted),
    ]
    # By the videos' own ids: a row names its job in a column that has no index.
    if unwanted := {row.id: row.subject for row in rows if _is_cancelled_video(row)}:
        uploaded = and_(videos.c.status == VideoStatus.UPLOADED.value, videos.c.deleted_at.is_(None))
        about = [subject.removeprefix(SUBJECT) for subject in unwanted.values()]
        questions.append(
            select(videos.c.job_id).where(videos.c.id.in_(about), videos.c.job_id.in_(list(unwanted)), uploaded)
        )
    return {found for question in questions for found in connection.execute(question).scalars()}


def _is_cancelled_video(row: Any) -> bool:
    cancelled = row.type == JOB_TYPE and row.state == JobState.CANCELLED.value
    return cancelled and row.subject is not None and row.subject.startswith(SUBJECT)
