"""The idempotency lock in a table, with the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, and_, delete, update

from src.domain.errors import DatabaseUnavailable, LockUnavailable
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.tables import locks

Answer = TypeVar("Answer")


@dataclass
class SqlIdempotency:
    """Idempotency. Expired rows are taken over by the next owner of the key, and removed on release."""

    database: Database

    def acquire(self, key: str, *, ttl_seconds: float) -> str | None:
        """A token, or None while somebody else's holds."""
        token = uuid.uuid4().hex

        def take(connection: Connection) -> bool:
            now = database_now(connection)
            row = {"key": key, "token": token, "expires_at": now + ttl_seconds}
            written = upsert(
                connection,
                locks,
                row,
                keys=["key"],
                update=("token", "expires_at"),
                where=lambda _new: locks.c.expires_at <= now,
            )
            return written == 1

        return token if self._write(take) else None

    def renew(self, key: str, token: str, *, ttl_seconds: float) -> bool:
        """Hold on, if the token still holds."""

        def hold(connection: Connection) -> bool:
            now = database_now(connection)
            mine = and_(locks.c.key == key, locks.c.token == token, locks.c.expires_at > now)
            return connection.execute(update(locks).where(mine).values(expires_at=now + ttl_seconds)).rowcount == 1

        return self._write(hold)

    def release(self, key: str, token: str) -> bool:
        """Free, if the token still holds."""

        def free(connection: Connection) -> bool:
            mine = and_(locks.c.key == key, locks.c.token == token, locks.c.expires_at > database_now(connection))
            return connection.execute(delete(locks).where(mine)).rowcount == 1

        return self._write(free)

    def _write(self, work: Callable[[Connection], Answer]) -> Answer:
        try:
            return self.database.write(work)
        except DatabaseUnavailable as error:
            raise LockUnavailable(error.message, fix=error.fix) from error
