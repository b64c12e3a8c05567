"""The queue's table on PostgreSQL: one statement per call, for any number of messages, and a wake-up by NOTIFY."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Connection

from src.application.ports.queue import Delivery, Envelope
from src.infrastructure.db.check import DatabaseCheck
from src.infrastructure.db.columns import column, columns_of
from src.infrastructure.db.notifications import Listener
from src.infrastructure.db.queue import SqlQueue, translated

PUBLISH_MESSAGES = 2000
PUBLISH_BYTES = 4 * 2**20
"""One statement's share of a bulk publish: large enough that round trips do not count, small enough for the memory of
both sides."""

FLOOR_SECONDS = 1.0
"""Between two looks while notifications arrive: they are a hint, and what becomes visible by itself sends none (F46)."""

TAKE = """SELECT place, id, body, receipt, receive_count, enqueued_at, attributes::text
FROM worker_take(%(queue)s, %(limit)s::int, %(visibility)s)"""
"""A function of the database (migration 0002), because only a function brings its own planner settings with it. Its rows have
no order: hence the first column, their position."""

HELD = f"(queue || '') = %(queue)s AND id = ANY({columns_of('ids', cast='bigint')}) AND receipt = ANY({columns_of('receipts')})"
"""A receipt begins with its message's number, so two lists are as good as a list of pairs. The queue's name is no column here,
so that no index on it is thought of: with one, a backlog is walked over for each id."""

ACK = f"SELECT worker_ack(%(queue)s, {columns_of('ids', cast='bigint')}, {columns_of('receipts')})"
EXTEND = f"UPDATE queue_messages SET visible_at = (SELECT worker_now()) + %(seconds)s WHERE {HELD}"  # noqa: S608

RELEASE = f"""
WITH freed AS (
    UPDATE queue_messages SET receipt = NULL, visible_at = (SELECT worker_now()) + %(seconds)s WHERE {HELD} RETURNING 1)
SELECT CASE WHEN %(seconds)s <= 0 AND EXISTS (SELECT 1 FROM freed) THEN pg_notify(%(channel)s, '')::text END
"""  # noqa: S608

PUBLISH = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(keys)s::text[], %(bodies)s::bytea[], %(attributes)s::text[], %(priorities)s::int[],
                         %(delays)s::float8[]) WITH ORDINALITY AS g (key, body, attributes, priority, delay, number)),
clock AS MATERIALIZED (SELECT worker_now() AS now),
waiting AS MATERIALIZED (
    SELECT m.id FROM queue_messages AS m CROSS JOIN clock
    WHERE m.queue = %(queue)s AND m.key = ANY(%(keys)s::text[]) AND (m.receipt IS NULL OR m.visible_at <= clock.now)
    ORDER BY m.id FOR UPDATE OF m),
moved AS (
    UPDATE queue_messages AS m
    SET body = given.body, attributes = given.attributes::json,
        visible_at = least(m.visible_at, clock.now + given.delay), priority = least(m.priority, given.priority),
        receipt = NULL
    FROM given, clock
    WHERE m.id = ANY(ARRAY(SELECT id FROM waiting)) AND m.key = given.key
    RETURNING m.key),
added AS (
    INSERT INTO queue_messages (queue, key, body, attributes, priority, visible_at, enqueued_at, receive_count)
    SELECT %(queue)s, given.key, given.body, given.attributes::json, given.priority, clock.now + given.delay, clock.now, 0
    FROM given, clock WHERE NOT EXISTS (SELECT 1 FROM moved WHERE moved.key = given.key) ORDER BY given.number
    RETURNING 1)
SELECT CASE WHEN %(wake)s AND ((SELECT count(*) FROM moved) + (SELECT count(*) FROM added)) > 0
    THEN pg_notify(%(channel)s, '')::text END
"""
"""A waiting message is moved, any other added. The row lock decides: a message that a consumer takes at this moment is no
longer waiting when we get its lock, and so a new one is added. Locks are taken in one order, so that publishers of the same
keys do not deadlock."""


Found = TypeVar("Found", bound=Sequence[Any])


@dataclass
class PostgresQueue(SqlQueue):
    """QueueConsumer, QueuePublisher and QueueInspector. With `listen`, a receive that waits ends within milliseconds of a
    publish; where notifications do not get through (PgBouncer), it looks every `poll_seconds`."""

    listen: bool = False
    _listener: Listener | None = field(default=None, init=False, repr=False)

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Hide and return up to `limit` messages, best priority first."""
        return self.waited(
            wait_seconds,
            lambda: translated(
                lambda: self.database.single(lambda connection: self._taken(connection, limit, visibility_seconds))
            ),
        )

    def waited(self, seconds: float, look: Callable[[], Found]) -> Found:
        """What `look` finds: at once, or when something is published or becomes visible; else the last, empty answer."""
        deadline = self.clock.monotonic() + seconds
        if seconds > 0 and self.listen:
            # Before the look: what is published after it will be heard.
            self._ears().open()
        while True:
            found = look()
            left = deadline - self.clock.monotonic()
            if found or left <= 0:
                return found
            if not (self.listen and self._ears().wait(min(left, FLOOR_SECONDS))):
                self.clock.sleep(min(left, self.poll_seconds))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove those whose receipt still holds."""
        self._act(ACK, deliveries)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """Give back those whose receipt still holds, in one statement."""
        self._act(RELEASE, deliveries, seconds=delay_seconds, channel=self.channel)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide those whose receipt still holds for longer."""
        self._act(EXTEND, deliveries, seconds=visibility_seconds)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Add all, a few thousand per transaction; a waiting message with the same key is brought forward instead."""
        latest = {envelope.key: envelope for envelope in envelopes}
        for batch in _batches(list(latest.values())):
            self._run(PUBLISH, _columns(batch) | {"queue": self.name, "channel": self.channel})

    def check(self) -> Sequence[str]:
        """Checkable: its database, which may be another one than the ledger's, and whether publishes are heard."""
        facts = translated(DatabaseCheck(self.database).check)
        if not self.listen:
            return [*facts, "polls"]
        return [*facts, "is woken by NOTIFY" if self._ears().open() else "polls: notifications do not get through"]

    def close(self) -> None:
        """Let connections go."""
        if self._listener is not None:
            self._listener.close()
        super().close()

    @property
    def channel(self) -> str:
        """What publishers notify: a name that fits whatever the queue is called."""
        return f"mediaworker_{hashlib.sha256(self.name.encode()).hexdigest()[:24]}"

    def _ears(self) -> Listener:
        if self._listener is None:
            self._listener = Listener(self.database, self.channel)
        return self._listener

    def _taken(self, connection: Connection, limit: int, visibility_seconds: float) -> list[Delivery]:
        wanted = {"queue": self.name, "limit": limit, "visibility": float(visibility_seconds)}
        rows = sorted(connection.exec_driver_sql(TAKE, wanted).fetchall(), key=itemgetter(0))
        return [
            Delivery(
                message_id=str(number),
                body=bytes(body),
                receipt=receipt,
                receive_count=count,
                enqueued_at=enqueued_at,
                # Most have none, and parsing costs as much as all the rest of a row.
                attributes=json.loads(attributes) if attributes != "{}" else {},
            )
            for _position, number, body, receipt, count, enqueued_at, attributes in rows
        ]

    def _act(self, statement: str, deliveries: Sequence[Delivery], **more: object) -> None:
        if not deliveries:
            return
        given = {
            "queue": self.name,
            "count": len(deliveries),
            "ids": column([delivery.message_id for delivery in deliveries]),
            "receipts": column([delivery.receipt for delivery in deliveries]),
            **more,
        }
        self._run(statement, given)

    def _run(self, statement: str, given: dict[str, Any]) -> None:
        translated(lambda: self.database.single(lambda connection: connection.exec_driver_sql(statement, given)))


def _columns(batch: Sequence[Envelope]) -> dict[str, Any]:
    return {
        "keys": [envelope.key for envelope in batch],
        "bodies": [envelope.body for envelope in batch],
        "attributes": [json.dumps(dict(envelope.attributes)) for envelope in batch],
        "priorities": [envelope.priority for envelope in batch],
        "delays": [float(envelope.delay_seconds) for envelope in batch],
        "wake": any(envelope.delay_seconds <= 0 for envelope in batch),
    }


def _batches(envelopes: Sequence[Envelope]) -> Iterator[list[Envelope]]:
    batch: list[Envelope] = []
    size = 0
    for envelope in envelopes:
        if batch and (len(batch) == PUBLISH_MESSAGES or size + len(envelope.body) > PUBLISH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(envelope)
        size += len(envelope.body)
    if batch:
        yield batch
