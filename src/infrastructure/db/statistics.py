"""Daily figures from a table of views, ours or the platform's, into one of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection, select, text

from src.application.ports.statistics import MOST_POPULAR, DailyStatistics, PopularContent
from src.infrastructure.db.content_tables import media_daily_statistics as rows
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.foreign import Foreign, check_times, quoted
from src.infrastructure.db.sessions import Times, column, moment

VIEWED = ("content_id", "user_id", "watched_seconds", "viewed_at")
VALUES = ("total_views", "unique_users", "total_watch_time", "popular_contents", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlStatistics:
    """Statistics. The views are at `platform`, in `table`, with the columns content_id, user_id, watched_seconds and viewed_at,
    or as `columns` calls them; the figures go to `database`."""

    database: Database
    platform: Database
    table: str = "media_views"
    columns: Mapping[str, str] = field(default_factory=dict)
    times: Times = "epoch"

    def check(self) -> Sequence[str]:
        """The table of views and its columns are there, and of the kind that `times` says. Raises ConfigError, DatabaseUnavailable."""
        there = self._foreign.check(self.platform, known=VIEWED, needed=VIEWED)
        at = self.columns.get("viewed_at") or "viewed_at"
        check_times(self.platform, self.table, at, there, self.times, self._foreign.columns_setting)
        self._foreign.tried(self.platform, self._total, {"begins": 0.0, "ends": 0.0})
        return [f"views in table {self.table}"]

    def of_day(self, day: date, *, begins: float, ends: float) -> DailyStatistics:
        """Two queries in one snapshot."""
        content = self._column("content_id")
        period = {"begins": begins, "ends": ends}

        def count(connection: Connection) -> DailyStatistics:
            where = self._where(connection)
            total = text(self._total(connection))
            popular = text(
                f"SELECT {content}, COUNT(*) {where} AND {content} IS NOT NULL GROUP BY {content}"
                f" ORDER BY COUNT(*) DESC, {content} LIMIT {MOST_POPULAR}"
            )
            views, users, seconds = connection.execute(total, period).one()
            best = [
                PopularContent(content_id=str(content_id), views=int(times))
                for content_id, times in connection.execute(popular, period)
            ]
            return DailyStatistics(
                date=day,
                total_views=int(views),
                unique_users=int(users),
                total_watch_time=float(seconds),
                popular_contents=tuple(best),
            )

        return self._foreign.asked(self.platform.read, count)

    def save(self, statistics: DailyStatistics) -> None:
        """One row for a day."""
        document = statistics.to_json()

        def write(connection: Connection) -> None:
            values = {**document, "updated_at": database_now(connection)}
            upsert(connection, rows, values, keys=["date"], update=VALUES)

        self.database.write(write)

    def find(self, day: date) -> DailyStatistics | None:
        """That row."""
        query = select(rows).where(rows.c.date == day.isoformat())
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        return DailyStatistics(
            date=day,
            total_views=row.total_views,
            unique_users=row.unique_users,
            total_watch_time=row.total_watch_time,
            popular_contents=tuple(PopularContent(**each) for each in row.popular_contents),
        )

    def _total(self, connection: Connection) -> str:
        user, watched = self._column("user_id"), self._column("watched_seconds")
        return f"SELECT COUNT(*), COUNT(DISTINCT {user}), COALESCE(SUM({watched}), 0) {self._where(connection)}"

    @property
    def _foreign(self) -> Foreign:
        return Foreign(
            table=self.table,
            table_setting="WORKER_CONTENT__VIEWS_TABLE",
            columns_setting="WORKER_CONTENT__VIEWS_COLUMNS, WORKER_CONTENT__TIMES",
            columns=self.columns,
        )

    def _where(self, connection: Connection) -> str:
        at = column(self.times, connection, self._column("viewed_at"))
        begins, ends = (moment(self.times, connection, name) for name in ("begins", "ends"))
        return f"FROM {quoted(self.table)} WHERE {at} >= {begins} AND {at} < {ends}"

    def _column(self, ours: str) -> str:
        return quoted(self.columns.get(ours) or ours)
