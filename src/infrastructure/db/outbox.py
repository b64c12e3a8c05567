"""The outbox in a table, written in the ledger's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, delete, func, select

from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, JobEvent, Waiting
from src.infrastructure.db.engine import Database, database_now, insert_new, upsert
from src.infrastructure.db.tables import outbox, outbox_leads

FIELDS = tuple(field.name for field in fields(JobEvent))


@dataclass
class SqlOutbox:
    """Outbox."""

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

    def unsent(self, sink: str, limit: int) -> Sequence[JobEvent]:
        """By the number that the row got."""
        columns = [outbox.c[name] for name in FIELDS]
        query = select(*columns).where(outbox.c.sink == sink).order_by(outbox.c.number).limit(limit)
        return self.database.read(
            lambda connection: [JobEvent(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - public
        )

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """They go."""
        gone = delete(outbox).where(outbox.c.sink == sink, outbox.c.id.in_(sorted(ids)))
        self.database.write(lambda connection: connection.execute(gone))

    def waiting(self) -> Mapping[str, Waiting]:
        """Counted."""
        query = select(outbox.c.sink, func.count(), func.min(outbox.c.at)).group_by(outbox.c.sink)
        return self.database.read(
            lambda connection: {
                sink: Waiting(count=count, oldest_at=oldest) for sink, count, oldest in connection.execute(query)
            }
        )


def announce(connection: Connection, effect: Effect, _now: float) -> None:
    """For SqlLedger: how an event is written. A move that is made again finds its event there."""
    if not isinstance(effect, Announced):
        raise TypeError(f"{type(effect).__name__} is no event")
    event = {name: getattr(effect.event, name) for name in FIELDS}
    for sink in effect.sinks:
        insert_new(connection, outbox, {**event, "data": dict(effect.event.data), "sink": sink}, returning="id")
