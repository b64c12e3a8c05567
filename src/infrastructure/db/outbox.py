"""The outbox in a table, written in the ledger's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Double, RowMapping, Select, delete, func, select, update

from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, Hold, JobEvent, Unsent, Waiting
from src.infrastructure.db.engine import Database, database_now, insert_new, upsert
from src.infrastructure.db.rows import storable
from src.infrastructure.db.tables import outbox, outbox_leads

FIELDS = tuple(field.name for field in fields(JobEvent))

_COLUMNS = select(*(outbox.c[name] for name in FIELDS), outbox.c.tries, outbox.c.error, outbox.c.retry_at)


@dataclass
class SqlOutbox:
    """OutboxDesk."""

    database: Database

    def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
        """Take the sink, or keep it."""

        def take(connection: Connection) -> bool:
            now = database_now(connection)
            values = {"sink": sink, "owner": owner, "until": now + seconds}
            free = (outbox_leads.c.until <= now) | (outbox_leads.c.owner == owner)
            written = upsert(
                connection, outbox_leads, values, keys=["sink"], update=["owner", "until"], where=lambda _new: free
            )
            return bool(written)

        return self.database.write(take)

    def unsent(self, sink: str, limit: int) -> Sequence[Unsent]:
        """By the number that the row got. What is held keeps back only rows of its own job; those are found by an index that has
        nothing else in it, one look for each row that is given: as a join, all that is held would be read first."""
        held, now = outbox.alias("held"), select(func.worker_now(type_=Double)).scalar_subquery()
        before = (
            select(held.c.number)
            .where(held.c.sink == outbox.c.sink, held.c.job_id == outbox.c.job_id, held.c.number < outbox.c.number)
            .where(held.c.error.is_not(None), held.c.parked_at.is_not(None) | (held.c.retry_at > now))
        )
        may_go = outbox.c.parked_at.is_(None) & (outbox.c.retry_at.is_(None) | (outbox.c.retry_at <= now))
        return self._found(
            _COLUMNS.where(outbox.c.sink == sink, may_go, before.limit(1).scalar_subquery().is_(None)), limit
        )

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """They go."""
        gone = delete(outbox).where(outbox.c.sink == sink, outbox.c.id.in_(sorted(ids)))
        self.database.write(lambda connection: connection.execute(gone))

    def hold(self, sink: str, event_id: str, *, tries: int, error: str, seconds: float | None) -> None:
        """A note on the row."""

        def note(connection: Connection) -> None:
            now = database_now(connection)
            values = {
                "tries": tries,
                "error": storable(error),
                "retry_at": None if seconds is None else now + seconds,
                "parked_at": now if seconds is None else None,
            }
            connection.execute(update(outbox).where(outbox.c.sink == sink, outbox.c.id == event_id).values(**values))

        self.database.write(note)

    def waiting(self) -> Mapping[str, Waiting]:
        """Counted."""
        query = select(outbox.c.sink, func.count(), func.min(outbox.c.at), func.count(outbox.c.parked_at)).group_by(
            outbox.c.sink
        )
        return self.database.read(
            lambda connection: {
                sink: Waiting(count=count, oldest_at=oldest, parked=parked)
                for sink, count, oldest, parked in connection.execute(query)
            }
        )

    def kept(self, sink: str, limit: int, *, parked: bool = False) -> Sequence[Unsent]:
        """By the number that the row got."""
        query = _COLUMNS.where(outbox.c.sink == sink)
        if parked:
            query = query.where(outbox.c.error.is_not(None), outbox.c.parked_at.is_not(None))
        return self._found(query, limit)

    def release(self, sink: str, ids: Collection[str]) -> Collection[str]:
        """The note goes."""
        free = {"tries": 0, "error": None, "retry_at": None, "parked_at": None}
        those = outbox.c.sink == sink, outbox.c.id.in_(sorted(ids)), outbox.c.error.is_not(None)
        statement = update(outbox).where(*those).values(**free).returning(outbox.c.id)
        return self.database.write(lambda connection: list(connection.execute(statement).scalars()))

    def _found(self, query: Select[Any], limit: int) -> Sequence[Unsent]:
        turned = query.order_by(outbox.c.number).limit(limit)
        return self.database.read(
            lambda connection: [_unsent(row._mapping) for row in connection.execute(turned)]  # noqa: SLF001 - public
        )


def _unsent(row: RowMapping) -> Unsent:
    event = JobEvent(**{name: row[name] for name in FIELDS})
    if row["error"] is None:
        return Unsent(event)
    return Unsent(event, Hold(tries=row["tries"], error=row["error"], retry_at=row["retry_at"]))


def announce(connection: Connection, effect: Effect, _now: float) -> None:
    """For SqlLedger: how an event is written. A move that is made again finds its event there."""
    if not isinstance(effect, Announced):
        raise TypeError(f"{type(effect).__name__} is no event")
    event = {name: getattr(effect.event, name) for name in FIELDS}
    for sink in effect.sinks:
        insert_new(connection, outbox, {**event, "data": dict(effect.event.data), "sink": sink}, returning="id")
