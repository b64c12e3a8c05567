"""The SSD tier's index in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import and_, delete, func, or_, select, update

from src.application.ports.cache import CachedContent
from src.infrastructure.db.content_tables import cached_content as rows
from src.infrastructure.db.engine import Database, upsert

FIELDS = tuple(field.name for field in fields(CachedContent))
COLUMNS = tuple(rows.c[name] for name in FIELDS)


@dataclass(frozen=True, slots=True)
class SqlCacheIndex:
    """CacheIndex."""

    database: Database

    def find(self, content_id: str) -> CachedContent | None:
        """One row."""
        query = select(*COLUMNS).where(rows.c.content_id == content_id)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else CachedContent(**row._asdict())

    def put(self, row: CachedContent) -> None:
        """Insert or replace."""
        self.database.write(
            lambda connection: upsert(connection, rows, asdict(row), keys=["content_id"], update=FIELDS[1:])
        )

    def touch(self, content_id: str, at: float) -> None:
        """One more access."""
        values = {"last_accessed": at, "access_count": rows.c.access_count + 1}
        statement = update(rows).where(rows.c.content_id == content_id).values(**values)
        self.database.single(lambda connection: connection.execute(statement))

    def remove(self, content_id: str) -> None:
        """Delete."""
        statement = delete(rows).where(rows.c.content_id == content_id)
        self.database.single(lambda connection: connection.execute(statement))

    def used_bytes(self) -> int:
        """The sum."""
        query = select(func.coalesce(func.sum(rows.c.file_size), 0))
        return int(self.database.read(lambda connection: connection.execute(query).scalar_one()))

    def coldest(self, limit: int, *, after: tuple[float, str] | None = None) -> Sequence[CachedContent]:
        """Least recently accessed first."""
        query = select(*COLUMNS).order_by(rows.c.last_accessed, rows.c.content_id).limit(limit)
        if after is not None:
            at, name = after
            query = query.where(
                or_(rows.c.last_accessed > at, and_(rows.c.last_accessed == at, rows.c.content_id > name))
            )
        found = self.database.read(lambda connection: connection.execute(query).all())
        return [CachedContent(**row._asdict()) for row in found]
