"""Messages into begun jobs, in one commit, where both tables are in one PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from src.application.ports.exchange import Sort, Wanted
from src.application.ports.queue import Delivery
from src.domain.job import Job
from src.infrastructure.db.batches import begin_on_server
from src.infrastructure.db.postgres_queue import PostgresQueue

PEEK = "SELECT * FROM worker_peek(%(queue)s, %(limit)s::int)"

HIDE = """
UPDATE queue_messages SET visible_at = (SELECT worker_now()) + %(seconds)s, receive_count = receive_count + 1,
    receipt = id::text || ':' || (receive_count + 1)::text
WHERE ctid = ANY(%(places)s::text[]::tid[]) RETURNING id::text, receipt, receive_count
"""


class Received(NamedTuple):
    """What one look brought."""

    jobs: Sequence[Job]
    others: Sequence[Delivery]


@dataclass
class PostgresExchange:
    """Implements MessageExchange. The ledger's tables are in the queue's database."""

    queue: PostgresQueue

    def receive(
        self,
        limit: int,
        *,
        wait_seconds: float,
        visibility_seconds: float,
        owner: str,
        lease_seconds: float,
        sort: Sort,
    ) -> tuple[Sequence[Job], Sequence[Delivery]]:
        """See MessageExchange."""

        def take(connection: Connection) -> list[Received]:
            places, deliveries = self._peek(connection, limit)
            if not deliveries:
                return []
            wanted, others = sort(deliveries)
            begun = _begun(connection, wanted, places, owner, lease_seconds)
            jobs = [
                Job.begun(draft, begun[draft.id], owner=owner, lease_seconds=lease_seconds)
                for _, draft in wanted
                if draft.id in begun
            ]
            left = [*others, *(delivery for delivery, draft in wanted if draft.id not in begun)]
            return [Received(jobs, _hidden(connection, left, places, visibility_seconds))]

        found = self.queue.waited(wait_seconds, lambda: self.queue.database.write(take))
        return found[0] if found else Received((), ())

    def _peek(self, connection: Connection, limit: int) -> tuple[dict[str, str], list[Delivery]]:
        """{message id: where its row lies}, and the messages, best priority first; locked, and skipped by all others."""
        places: dict[str, str] = {}
        deliveries: list[Delivery] = []
        looked: Any = connection.exec_driver_sql(PEEK, {"queue": self.queue.name, "limit": limit})
        # The driver's own rows: another one around each costs as much as reading it.
        for place, number, body, count, enqueued_at, attributes in looked.cursor.fetchall():
            name = str(number)
            places[name] = place
            known = json.loads(attributes) if attributes != "{}" else {}
            deliveries.append(Delivery(name, body, "", count, enqueued_at, known))
        looked.close()
        return places, deliveries


def _begun(
    connection: Connection, wanted: Sequence[Wanted], places: dict[str, str], owner: str, lease_seconds: float
) -> Mapping[str, float]:
    """{job id: when it began} of those that were new; their messages are gone."""
    if not wanted:
        return {}
    drafts = [draft for _, draft in wanted]
    at = [places[delivery.message_id] for delivery, _ in wanted]
    return begin_on_server(connection, drafts, at, owner, lease_seconds)


def _hidden(
    connection: Connection, deliveries: Sequence[Delivery], places: dict[str, str], seconds: float
) -> Sequence[Delivery]:
    """The same, received."""
    if not deliveries:
        return ()
    given = {"seconds": float(seconds), "places": [places[delivery.message_id] for delivery in deliveries]}
    rows: Any = connection.exec_driver_sql(HIDE, given)
    told = {name: (receipt, count) for name, receipt, count in rows}
    return [
        delivery._replace(receipt=told[delivery.message_id][0], receive_count=told[delivery.message_id][1])
        for delivery in deliveries
    ]
