"""Messages into begun jobs, in one commit, where both tables are in one PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from src.application.ports.exchange import Sort, Wanted
from src.application.ports.queue import Delivery, fitting
from src.domain.job import Job
from src.infrastructure.db.batches import BEGUN, DRAFTS, begin_on_server, beginnings, begun_of
from src.infrastructure.db.columns import column, columns_of
from src.infrastructure.db.postgres_queue import PostgresQueue

FEW = 16
"""Messages that are read without a lock first. More of them are locked at once: what another worker takes meanwhile was read in
vain."""

GLANCE = "SELECT * FROM worker_glance(%(queue)s, %(limit)s::int)"
BEGIN_FEW = f"{BEGUN} worker_begin_few({DRAFTS}, {columns_of('numbers', cast='bigint')}, {columns_of('versions')})"

LOOK = "SELECT * FROM worker_look(%(queue)s, %(limit)s::int, %(small)s::int)"
LARGE = "SELECT ctid::text, body FROM queue_messages WHERE ctid = ANY(%(places)s::text[]::tid[])"
SMALL_BYTES = 16 * 1024
"""Of a body that comes with its message; larger ones are fetched if they fit into what a receive may bring."""

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

        def begun_jobs(wanted: Sequence[Wanted], begun: Mapping[str, float]) -> list[Job]:
            return [
                Job.begun(draft, begun[draft.id], owner=owner, lease_seconds=lease_seconds)
                for _, draft in wanted
                if draft.id in begun
            ]

        def take(connection: Connection) -> list[Received]:
            places, deliveries = _locked(connection, self.queue.name, limit)
            if not deliveries:
                return []
            wanted, others = sort(deliveries)
            begun = _begun(connection, wanted, places, owner, lease_seconds)
            left = [*others, *(delivery for delivery, draft in wanted if draft.id not in begun)]
            return [Received(begun_jobs(wanted, begun), _hidden(connection, left, places, visibility_seconds))]

        def take_few() -> list[Received] | None:
            most = min(limit, FEW)
            versions, deliveries = self.queue.database.single(
                lambda connection: _seen(connection, self.queue.name, most)
            )
            if not deliveries:
                return []
            wanted, others = sort(deliveries) if len(deliveries) < FEW else ((), deliveries)
            if others:
                return None
            begun = self.queue.database.single(
                lambda connection: _begun_few(connection, wanted, versions, owner, lease_seconds)
            )
            # What was not begun is left alone. The next look finds it, if nobody else does.
            return [Received(begun_jobs(wanted, begun), ())]

        waited = False

        def look() -> list[Received]:
            nonlocal waited
            # What comes after a wait is mostly a single message, and the round trips of a transaction are what it waits for.
            found = take_few() if waited else None
            waited = True
            return found if found is not None else self.queue.database.write(take)

        found = self.queue.waited(wait_seconds, look)
        return found[0] if found else Received((), ())


def _locked(connection: Connection, queue: str, limit: int) -> tuple[dict[str, str], list[Delivery]]:
    """{message id: where its row is}, and the messages, best priority first, locked: as many as a receive may bring. Others may
    take the rest when this transaction is over."""
    rows = _rows(connection, LOOK, queue=queue, limit=limit, small=SMALL_BYTES)
    rows = rows[: fitting(row[-1] for row in rows)]
    large = [row[0] for row in rows if row[2] is None]
    bodies: dict[str, bytes] = dict(_rows(connection, LARGE, places=large)) if large else {}
    places: dict[str, str] = {}
    deliveries: list[Delivery] = []
    for place, number, body, count, enqueued_at, attributes, _size in rows:
        places[str(number)] = place
        deliveries.append(_delivery(number, bodies[place] if body is None else body, count, enqueued_at, attributes))
    return places, deliveries


def _seen(connection: Connection, queue: str, limit: int) -> tuple[dict[str, str], list[Delivery]]:
    """{message id: its row's version}, and the messages, best priority first."""
    versions: dict[str, str] = {}
    deliveries: list[Delivery] = []
    for version, number, *message in _rows(connection, GLANCE, queue=queue, limit=limit):
        versions[str(number)] = version
        deliveries.append(_delivery(number, *message))
    return versions, deliveries


def _rows(connection: Connection, statement: str, **given: Any) -> list[Any]:
    found: Any = connection.exec_driver_sql(statement, given)
    # The driver's own rows: another one around each costs as much as reading it.
    rows: list[Any] = found.cursor.fetchall()
    found.close()
    return rows


def _delivery(number: int, body: bytes, count: int, enqueued_at: float, attributes: str) -> Delivery:
    # Most have none, and parsing costs as much as all the rest of a row.
    known = json.loads(attributes) if attributes != "{}" else {}
    return Delivery(str(number), body, "", count, enqueued_at, known)


def _begun_few(
    connection: Connection, wanted: Sequence[Wanted], versions: Mapping[str, str], owner: str, lease_seconds: float
) -> Mapping[str, float]:
    """As `_begun`, for messages that are not locked: nothing is begun when one of them is not as it was read."""
    ordered = sorted(wanted, key=lambda one: int(one[0].message_id))
    drafts, numbers = [draft for _, draft in ordered], [delivery.message_id for delivery, _ in ordered]
    known = {"numbers": column(numbers), "versions": column([versions[number] for number in numbers])}
    row = connection.exec_driver_sql(BEGIN_FEW, beginnings(drafts, owner, lease_seconds) | known).one()
    return begun_of(row, drafts)


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
