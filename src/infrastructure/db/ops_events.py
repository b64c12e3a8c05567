"""Operators' events in a table."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from src.application.ports.ops_events import EventFilter, EventType, OpsEvent, Severity
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.queries import matching
from src.infrastructure.db.tables import ops_events as rows

FIELDS = tuple(field.name for field in fields(OpsEvent))


@dataclass
class SqlOpsEvents:
    """OpsEvents."""

    database: Database

    def add(self, event: OpsEvent) -> bool:
        """Keep, unless its id is there."""
        return self.database.write(lambda connection: write_event(connection, event, database_now(connection)))

    def list(self, criteria: EventFilter) -> Sequence[OpsEvent]:
        """Newest first."""
        wanted: dict[ColumnElement[Any], Any] = {
            rows.c.type: criteria.type and criteria.type.value,
            rows.c.tenant: criteria.tenant,
            rows.c.video_id: criteria.video_id,
            rows.c.job_id: criteria.job_id,
        }
        query = select(rows).where(*matching(wanted))
        if criteria.severity is not None:
            query = query.where(rows.c.severity.in_([severity.value for severity in criteria.severity.and_above]))
        if criteria.since is not None:
            query = query.where(rows.c.created_at >= criteria.since)
        query = query.order_by(rows.c.created_at.desc(), rows.c.id.desc())
        query = query.limit(criteria.limit).offset(criteria.offset)
        return self.database.read(lambda connection: [_of(row) for row in connection.execute(query)])

    def untold(self, limit: int) -> Sequence[OpsEvent]:
        """Oldest first."""
        query = select(rows).where(rows.c.tell_at.is_not(None)).order_by(rows.c.tell_at, rows.c.id).limit(limit)
        return self.database.read(lambda connection: [_of(row) for row in connection.execute(query)])

    def told(self, ids: Collection[str]) -> None:
        """These were."""
        done = update(rows).where(rows.c.id.in_(sorted(ids))).values(tell_at=None)
        self.database.write(lambda connection: connection.execute(done))

    def outdated(self, before: float, limit: int) -> Sequence[OpsEvent]:
        """Oldest first."""
        query = select(rows).where(rows.c.created_at < before, rows.c.tell_at.is_(None))
        query = query.order_by(rows.c.created_at, rows.c.id).limit(limit)
        return self.database.read(lambda connection: [_of(row) for row in connection.execute(query)])

    def remove(self, ids: Collection[str]) -> None:
        """Those that don't wait to be told."""
        gone = delete(rows).where(rows.c.id.in_(sorted(ids)), rows.c.tell_at.is_(None))
        self.database.write(lambda connection: connection.execute(gone))


def write_event(connection: Connection, event: OpsEvent, now: float) -> bool:
    """In the caller's transaction: what happened and its event become true together."""
    values = {name: getattr(event, name) for name in FIELDS}
    values |= {"type": event.type.value, "severity": event.severity.value, "payload": dict(event.payload)}
    values |= {"id": event.id or str(uuid.uuid4()), "created_at": now, "tell_at": now if event.type.is_told else None}
    return bool(upsert(connection, rows, values, keys=["id"]))


def _of(row: Row[Any]) -> OpsEvent:
    found = row._asdict()
    values = {name: found[name] for name in FIELDS}
    values["type"], values["severity"] = EventType(values["type"]), Severity(values["severity"])
    return OpsEvent(**values)
