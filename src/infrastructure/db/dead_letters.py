"""The quarantine in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from src.application.ports.ledger import DeadLetter, DeadLetterFilter
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.queries import by_prefix, matching
from src.infrastructure.db.rows import letter_row, to_letter
from src.infrastructure.db.tables import dead_letters as letters


@dataclass
class SqlDeadLetters:
    """DeadLetters."""

    database: Database

    def add(self, letter: DeadLetter) -> None:
        """Keep; a repeated id changes nothing."""
        self.database.write(lambda connection: upsert(connection, letters, letter_row(letter), keys=["id"]))

    def list(self, criteria: DeadLetterFilter) -> Sequence[DeadLetter]:
        """Newest first."""
        wanted: dict[ColumnElement[Any], Any] = {
            letters.c.error_class: criteria.group,
            letters.c.job_id: criteria.job_id,
            letters.c.type: criteria.type,
            letters.c.tenant: criteria.tenant,
        }
        query = select(letters).where(*matching(wanted))
        if criteria.ids is not None:
            query = query.where(letters.c.id.in_(list(criteria.ids)))
        query = query.order_by(letters.c.created_at.desc(), letters.c.id.desc())
        query = query.limit(criteria.limit).offset(criteria.offset)
        return self.database.read(lambda connection: [to_letter(row) for row in connection.execute(query)])

    def get(self, letter_id: str) -> DeadLetter | None:
        """By id or by a unique beginning of it."""
        row = self.database.read(lambda connection: by_prefix(connection, letters, letter_id))
        return None if row is None else to_letter(row)

    def groups(self) -> Mapping[tuple[str | None, str], int]:
        """Letters by job type and error class."""
        query = select(letters.c.type, letters.c.error_class, func.count()).group_by(
            letters.c.type, letters.c.error_class
        )
        rows = self.database.read(lambda connection: connection.execute(query).all())
        return {(job_type, error_class): count for job_type, error_class, count in rows}

    def remove(self, ids: Sequence[str]) -> int:
        """Forget."""
        gone = delete(letters).where(letters.c.id.in_(list(ids)))
        return self.database.write(lambda connection: connection.execute(gone).rowcount)

    def unnotified(self, limit: int) -> Sequence[DeadLetter]:
        """Oldest first."""
        query = select(letters).where(letters.c.notified_at.is_(None)).order_by(letters.c.created_at, letters.c.id)
        return self.database.read(lambda connection: [to_letter(row) for row in connection.execute(query.limit(limit))])

    def notified(self, ids: Sequence[str]) -> None:
        """Mark as told, once."""

        def mark(connection: Connection) -> None:
            untold = letters.c.id.in_(list(ids)) & letters.c.notified_at.is_(None)
            connection.execute(update(letters).where(untold).values(notified_at=database_now(connection)))

        self.database.write(mark)
