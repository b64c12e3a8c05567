"""Cron's memory in two tables. That a moment fires once is the primary key's doing: its row and its job are one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, select

from src.application.ports.cron import Board, Standing, Tick
from src.application.ports.ledger import Admission
from src.domain.job import JobDraft
from src.infrastructure.db.engine import database_now, insert_new, serialize
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.tables import cron_entries as entries, cron_ticks as ticks

KEEP_SECONDS = 30 * 86_400.0
"""How long what fired can be looked up. The newest of an entry stays: nothing before it fires again."""


@dataclass
class SqlCronTicks:
    """CronTicks, beside the jobs of a ledger."""

    ledger: SqlLedger

    def board(self, schedules: Mapping[str, str]) -> Board:
        """One query, whatever number of moments is kept."""
        fired = ticks.alias()
        newest = (
            select(func.max(fired.c.scheduled_at))
            .where(fired.c.name == entries.c.name)
            .correlate(entries)
            .scalar_subquery()
        )
        last = and_(ticks.c.name == entries.c.name, ticks.c.scheduled_at == newest)
        query = (
            select(entries, ticks.c.scheduled_at, ticks.c.fired_at, ticks.c.job_id)
            .select_from(entries.outerjoin(ticks, last))
            .where(entries.c.name.in_(sorted(schedules)))
        )

        def look(connection: Connection) -> Board:
            rows = connection.execute(query).all()
            standings = {
                name: _standing([row for row in rows if row.name == name], schedule)
                for name, schedule in schedules.items()
            }
            return Board(database_now(connection), standings)

        return self.ledger.database.read(look)

    def know(self, schedules: Mapping[str, str]) -> None:
        """One row for each schedule of each name."""

        def write(connection: Connection) -> None:
            now = database_now(connection)
            for name, schedule in sorted(schedules.items()):
                row = {"name": name, "schedule": schedule, "known_since": now}
                insert_new(connection, entries, row, returning="name")

        self.ledger.database.write(write)

    def fire(self, name: str, scheduled_at: float, draft: JobDraft) -> Admission | None:
        """The moment's row and the job's, or neither."""

        def use_up(connection: Connection, job_id: str) -> bool:
            # One at a time, or of two moments the older could come after the newer.
            serialize(connection, f"mediaworker.cron.{name}")
            newest = select(func.max(ticks.c.scheduled_at)).where(ticks.c.name == name)
            if (connection.execute(newest).scalar() or 0.0) >= scheduled_at:
                return False
            row = {"name": name, "scheduled_at": scheduled_at, "fired_at": database_now(connection), "job_id": job_id}
            connection.execute(ticks.insert().values(**row))
            old = and_(ticks.c.name == name, ticks.c.scheduled_at < scheduled_at - KEEP_SECONDS)
            connection.execute(delete(ticks).where(old))
            return True

        return self.ledger.admit_with(draft, use_up)


def _standing(rows: list[Row[Any]], schedule: str) -> Standing:
    """Of one name: a row for each schedule that it ever had, all with the same last moment."""
    if not rows:
        return Standing()
    first = rows[0]
    last = None
    if first.scheduled_at is not None:
        last = Tick(scheduled_at=first.scheduled_at, fired_at=first.fired_at, job_id=first.job_id)
    if all(row.schedule != schedule for row in rows):
        return Standing(None, last)
    known = max(row.known_since for row in rows)
    return Standing(max(known, last.scheduled_at if last else known), last)
