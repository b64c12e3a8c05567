"""Readings of progress in a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, or_, select

from src.domain.progress import ProgressReport
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.tables import progress as readings


@dataclass
class SqlProgress:
    """Progress: one row per job, overwritten. A reading older than `ttl_seconds` says nothing any more: it is not shown,
    and goes when the next job's readings do."""

    database: Database
    ttl_seconds: float = 86_400.0

    def record(self, job_id: str, fence: int, report: ProgressReport) -> None:
        """Keep, unless a later attempt has already reported."""

        def write(connection: Connection) -> None:
            known = connection.execute(
                select(readings.c.fence, readings.c.report).where(readings.c.job_id == job_id).with_for_update()
            ).one_or_none()
            same = known is not None and known.fence == fence
            reading = report.after(ProgressReport.from_json(known.report) if known is not None and same else None)
            upsert(
                connection,
                readings,
                {"job_id": job_id, "fence": fence, "report": reading.to_json(), "updated_at": database_now(connection)},
                keys=["job_id"],
                update=("fence", "report", "updated_at"),
                where=lambda new: readings.c.fence <= new.fence,
            )

        self.database.write(write)

    def latest(self, job_id: str) -> ProgressReport | None:
        """The last reading."""
        query = select(readings.c.report).where(readings.c.job_id == job_id)

        def read(connection: Connection) -> Any:
            young = readings.c.updated_at > database_now(connection) - self.ttl_seconds
            return connection.execute(query.where(young)).scalar_one_or_none()

        document = self.database.read(read)
        return None if document is None else ProgressReport.from_json(document)

    def clear(self, job_id: str) -> None:
        """Forget."""

        def forget(connection: Connection) -> None:
            old = readings.c.updated_at <= database_now(connection) - self.ttl_seconds
            connection.execute(delete(readings).where(or_(readings.c.job_id == job_id, old)))

        self.database.write(forget)
