"""Sign-in sessions in a table, ours or the platform's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from src.infrastructure.db.engine import Database, database_now
from src.infrastructure.db.foreign import Foreign, check_times, quoted

Times = Literal["epoch", "timestamp"]

AT_A_TIME = 1000
"""Rows of one transaction: nobody who signs in waits for a clean-up."""

SECONDS = "'%Y-%m-%d %H:%M:%S'"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSessions:
    """Sessions. `times`: what kind of column `expires` is: epoch seconds, or the database's own time stamps (PostgreSQL reads
    those without a zone in the zone of the connection; SQLite has them as text, in UTC unless they name a zone)."""

    database: Database
    table: str = "media_sessions"
    key: str = "id"
    expires: str = "expires_at"
    times: Times = "epoch"

    def check(self) -> Sequence[str]:
        """The table and its columns are there, of the kind that `times` says, and this user may delete. Raises ConfigError,
        DatabaseUnavailable."""
        there = self._foreign.check(self.database, known=self._columns, needed=self._columns)
        check_times(self.database, self.table, self.expires, there, self.times, self._foreign.columns_setting)
        self._foreign.tried(self.database, self._statement, {"now": 0.0})
        return [f"sessions in table {self.table}"]

    def cleanup_expired_sessions(self) -> int:
        """By the database's clock, in small transactions."""
        gone = 0
        while count := self._foreign.asked(self.database.write, self._delete_some):
            gone += count
            if count < AT_A_TIME:
                break
        return gone

    def _delete_some(self, connection: Connection) -> int:
        statement = text(self._statement(connection))
        return connection.execute(statement, {"now": database_now(connection)}).rowcount

    def _statement(self, connection: Connection) -> str:
        table, key, expires = quoted(self.table), quoted(self.key), quoted(self.expires)
        skipping = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
        now, ends = moment(self.times, connection, "now"), column(self.times, connection, expires)
        return (
            f"DELETE FROM {table} WHERE {key} IN"  # noqa: S608 - quoted names
            f" (SELECT {key} FROM {table} WHERE {ends} < {now} LIMIT {AT_A_TIME}{skipping})"
        )

    @property
    def _columns(self) -> dict[str, str]:
        return {"key": self.key, "expires": self.expires}

    @property
    def _foreign(self) -> Foreign:
        return Foreign(
            table=self.table,
            table_setting="WORKER_CONTENT__SESSIONS_TABLE",
            columns_setting="WORKER_CONTENT__SESSIONS_KEY, WORKER_CONTENT__SESSIONS_EXPIRES, WORKER_CONTENT__TIMES",
            columns=self._columns,
        )


def moment(times: Times, connection: Connection, parameter: str) -> str:
    """The SQL of a moment that is given in epoch seconds, for a column of this kind."""
    if times == "epoch":
        return f":{parameter}"
    if connection.dialect.name == "postgresql":
        return f"to_timestamp(:{parameter})"
    return f"strftime({SECONDS}, :{parameter}, 'unixepoch')"


def column(times: Times, connection: Connection, name: str) -> str:
    """The SQL of what a column of this kind holds (its name is quoted), as `moment` can be compared with."""
    if times == "epoch" or connection.dialect.name == "postgresql":
        return name
    # SQLite keeps times as text, which everybody writes in a way of his own: with a T, parts of a second, a zone. As texts they
    # would be in no order. What is no time is NULL: before and after nothing.
    return f"strftime({SECONDS}, {name})"
