"""A queue in a table of the embedded database: visibility, receipts, priorities and delays, with no server at all.

PostgreSQL has the same table, and statements of its own (postgres_queue.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from src.application.ports.clock import Clock
from src.application.ports.queue import Delivery, Envelope, QueueDepth, fitting
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.infrastructure.db.engine import Database, database_now
from src.infrastructure.db.tables import queue_messages as messages

POLL_SECONDS = 0.05
"""Between two looks while a receive waits. One look reads one index entry (about 0.1 ms)."""

BATCH = 200
"""Keys or receipts per statement; far below every database's limit of parameters."""

Answer = TypeVar("Answer")


@dataclass
class SqlQueue:
    """QueueConsumer, QueuePublisher and QueueInspector of the queue called `name`. `clock` only paces the waiting; what
    is visible is decided by the database's time. One consumer thread, any number of processes."""

    database: Database
    name: str
    clock: Clock
    poll_seconds: float = POLL_SECONDS

    # ------------------------------------------------------------------ QueueConsumer
    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Hide and return up to `limit` messages, best priority first."""
        deadline = self.clock.monotonic() + wait_seconds
        while True:
            # Look before taking the write lock: an idle worker must not stand in the way of busy ones.
            if translated(lambda: self.database.read(self._anything)):
                taken = translated(
                    lambda: self.database.write(lambda connection: self._take(connection, limit, visibility_seconds))
                )
                if taken:
                    return taken
            left = deadline - self.clock.monotonic()
            if left <= 0:
                return []
            self.clock.sleep(min(left, self.poll_seconds))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove those whose receipt still holds."""
        self._settle(deliveries, lambda connection, held: connection.execute(delete(messages).where(held)))

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back, if the receipt still holds."""
        self.release_all([delivery], delay_seconds=delay_seconds)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """Give back those whose receipt still holds, in one transaction."""

        def give_back(connection: Connection, held: ColumnElement[bool]) -> None:
            at = database_now(connection) + delay_seconds
            connection.execute(update(messages).where(held).values(receipt=None, visible_at=at))

        self._settle(deliveries, give_back)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide those whose receipt still holds for longer."""

        def hide(connection: Connection, held: ColumnElement[bool]) -> None:
            until = database_now(connection) + visibility_seconds
            connection.execute(update(messages).where(held).values(visible_at=until))

        self._settle(deliveries, hide)

    def close(self) -> None:
        """Let connections go."""
        self.database.close()

    # ------------------------------------------------------------------ QueuePublisher
    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Add all in one transaction; a waiting message with the same key is brought forward instead."""
        if envelopes:
            latest = {envelope.key: envelope for envelope in envelopes}
            given = list(latest.values())
            translated(lambda: self.database.write(lambda connection: self._publish(connection, given)))

    # ------------------------------------------------------------------ QueueInspector
    def depth(self) -> QueueDepth:
        """Counts now."""
        return translated(lambda: self.database.read(self._depth))

    # ------------------------------------------------------------------ inside one transaction
    def _anything(self, connection: Connection) -> bool:
        # By priority, because that is the index's order: one entry is read per priority in use.
        query = select(messages.c.id).where(self._visible(database_now(connection))).limit(1)
        return connection.execute(query).first() is not None

    def _take(self, connection: Connection, limit: int, visibility_seconds: float) -> list[Delivery]:
        now = database_now(connection)
        best = (
            select(messages.c.id, func.length(messages.c.body).label("size"))
            .where(self._visible(now))
            .order_by(messages.c.priority, messages.c.visible_at, messages.c.id)
            .limit(limit)
        )
        found = connection.execute(best).all()
        order = [row.id for row in found[: fitting(row.size for row in found)]]
        if not order:
            return []
        count = messages.c.receive_count + 1
        hide = (
            update(messages)
            .where(messages.c.id.in_(order))
            .values(
                visible_at=now + visibility_seconds,
                receive_count=count,
                receipt=cast(messages.c.id, String) + ":" + cast(count, String),
            )
            .returning(messages)
        )
        taken = {row.id: row for row in connection.execute(hide)}
        return [_delivery(taken[number]) for number in order]

    def _publish(self, connection: Connection, envelopes: Sequence[Envelope]) -> None:
        now = database_now(connection)
        waiting: dict[str, int] = {}
        for start in range(0, len(envelopes), BATCH):
            keys = [envelope.key for envelope in envelopes[start : start + BATCH]]
            idle = or_(messages.c.receipt.is_(None), messages.c.visible_at <= now)
            query = select(messages.c.key, messages.c.id).where(self._mine(messages.c.key.in_(keys)), idle)
            waiting.update({row.key: row.id for row in connection.execute(query)})
        new = [_row(self.name, envelope, now) for envelope in envelopes if envelope.key not in waiting]
        if new:
            connection.execute(insert(messages), new)
        for envelope in envelopes:
            if envelope.key in waiting:
                _bring_forward(connection, waiting[envelope.key], envelope, now + envelope.delay_seconds)

    def _depth(self, connection: Connection) -> QueueDepth:
        now = database_now(connection)
        ready = messages.c.visible_at <= now
        flying = and_(messages.c.visible_at > now, messages.c.receipt.is_not(None))
        query = select(
            func.count(),
            func.coalesce(func.sum(case((ready, 1), else_=0)), 0),
            func.coalesce(func.sum(case((flying, 1), else_=0)), 0),
            func.min(messages.c.visible_at),
        ).where(messages.c.queue == self.name)
        total, ready_count, in_flight, oldest = connection.execute(query).one()
        return QueueDepth(
            ready=ready_count,
            delayed=total - ready_count - in_flight,
            in_flight=in_flight,
            oldest_ready_seconds=now - oldest if ready_count else None,
        )

    # ------------------------------------------------------------------ shared
    def _settle(self, deliveries: Sequence[Delivery], act: Callable[[Connection, ColumnElement[bool]], object]) -> None:
        def settle(connection: Connection) -> None:
            for start in range(0, len(deliveries), BATCH):
                batch = deliveries[start : start + BATCH]
                # A receipt begins with its message's number, so two lists are as good as a list of pairs.
                numbers = messages.c.id.in_([int(delivery.message_id) for delivery in batch])
                act(connection, self._mine(numbers & messages.c.receipt.in_([held.receipt for held in batch])))

        if deliveries:
            translated(lambda: self.database.write(settle))

    def _mine(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return and_(messages.c.queue == self.name, condition)

    def _visible(self, now: float) -> ColumnElement[bool]:
        return self._mine(messages.c.visible_at <= now)


def _row(queue: str, envelope: Envelope, now: float) -> dict[str, Any]:
    return {
        "queue": queue,
        "key": envelope.key,
        "body": envelope.body,
        "attributes": dict(envelope.attributes),
        "priority": envelope.priority,
        "visible_at": now + envelope.delay_seconds,
        "enqueued_at": now,
        "receive_count": 0,
    }


def translated(call: Callable[[], Answer]) -> Answer:
    """Call, and say what fails in the queue's words."""
    try:
        return call()
    except DatabaseUnavailable as error:
        raise QueueUnavailable(error.message, fix=error.fix) from error


def _bring_forward(connection: Connection, number: int, envelope: Envelope, at: float) -> None:
    sooner = case((messages.c.visible_at > at, at), else_=messages.c.visible_at)
    more_urgent = case((messages.c.priority > envelope.priority, envelope.priority), else_=messages.c.priority)
    # No receipt: a late acknowledgement is of the body that was received, not of this one.
    new = {"body": envelope.body, "attributes": dict(envelope.attributes), "receipt": None}
    connection.execute(
        update(messages).where(messages.c.id == number).values(**new, visible_at=sooner, priority=more_urgent)
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        message_id=str(row.id),
        body=bytes(row.body),
        receipt=row.receipt,
        receive_count=row.receive_count,
        enqueued_at=float(row.enqueued_at),
        attributes=row.attributes,
    )
