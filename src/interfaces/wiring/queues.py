"""The roles of the chosen queue, whether it is one object or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from src.application.claim_check import ClaimCheckConsumer, ClaimCheckPublisher
from src.application.ports.exchange import MessageExchange
from src.application.ports.queue import QueueConsumer, QueueInspector, QueuePublisher, QueueSides
from src.application.ports.storage import Storage
from src.interfaces.wiring.settings import Settings

HOLD_LIMIT_SECONDS = {"sqs": 11.5 * 3600}
"""{backend: how long it lets one message be hidden, with a margin}. SQS: 12 h, then the message comes back. Before that the
engine lets go of it, and the row's own wake-up time stands for it (reliability.md F30)."""

SLICED = {"sqlite", "memory", "postgres", "redis", "sqs"}
"""Backends whose receive waits in slices of a second, so that SIGTERM is heeded at once: the embedded queue polls inside, so a
longer wait saves nothing; a long poll of SQS can't be called off, and a message that it brings when the worker is gone stays
hidden until its visibility ends."""


def shown_queue(settings: Settings) -> str:
    """The queue's name, for people: SQS goes by the URL where one is set, whatever the name says."""
    if settings.queue.backend == "sqs" and settings.queue.url:
        return urlsplit(settings.queue.url).path.rsplit("/", 1)[-1] or settings.queue.name
    if settings.queue.lanes:
        return ",".join(settings.queue.lanes)
    return settings.queue.name


class WholeQueue(QueueConsumer, QueuePublisher, QueueInspector, Protocol):
    """One object with all three roles."""


def consumer_of(queue: QueueSides | WholeQueue, storage: Callable[[], Storage]) -> QueueConsumer:
    """Fetches the bodies that the publisher left in storage."""
    if not isinstance(queue, QueueSides):
        return queue
    return ClaimCheckConsumer(queue.consumer, storage())


def publisher_of(queue: QueueSides | WholeQueue, storage: Callable[[], Storage]) -> QueuePublisher:
    """Leaves bodies in storage that the queue does not take."""
    if not isinstance(queue, QueueSides):
        return queue
    return ClaimCheckPublisher(queue.publisher, storage())


def exchange_of(settings: Settings, queue: object) -> MessageExchange | None:
    """Where the queue's table and the ledger's are in one PostgreSQL database."""
    beside = settings.queue_database_url == settings.database_url and settings.ledger.backend == "database"
    if settings.queue.backend != "postgres" or not beside:
        return None
    from src.infrastructure.db.exchange import PostgresExchange
    from src.infrastructure.db.postgres_queue import PostgresQueue

    if not isinstance(queue, PostgresQueue):
        raise TypeError(f"the queue on PostgreSQL is a {type(queue).__name__}")
    return PostgresExchange(queue)


def inspector_of(queue: QueueSides | WholeQueue) -> QueueInspector:
    """What operators ask."""
    return queue.inspector if isinstance(queue, QueueSides) else queue
