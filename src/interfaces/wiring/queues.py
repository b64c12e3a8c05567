"""The roles of the chosen queue, whether it is one object or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from src.application.claim_check import ClaimCheckConsumer, ClaimCheckPublisher
from src.application.ports.exchange import MessageExchange
from src.application.ports.queue import Envelope, QueueConsumer, QueueInspector, QueuePublisher, QueueSides
from src.application.ports.storage import Storage
from src.domain.errors import ConfigError
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.settings import Settings, is_server

HOLD_LIMIT_SECONDS = {"sqs": 11.5 * 3600}
"""{backend: how long it lets one message be hidden, with a margin}. SQS: 12 h, then the message comes back. Before that the
engine lets go of it, and the row's own wake-up time stands for it (reliability.md F30)."""

SLICED = {"sqlite", "memory", "postgres", "redis", "sqs"}
"""Backends whose receive waits in slices of a second, so that SIGTERM is heeded at once: the embedded queue polls inside, so a
longer wait saves nothing; a long poll of SQS can't be called off, and a message that it brings when the worker is gone stays
hidden until its visibility ends."""


UNUSED = (
    f"not used: videos go to AWS Batch, and for jobs of other types no queue is set ({variable('queue.backend')}, and"
    f" {variable('queue.url')} or {variable('queue.name')})"
)
"""Of a queue that `queue_is_used` says no of."""


def queue_is_used(settings: Settings) -> bool:
    """Whether the jobs' queue is looked after. Where videos go by AWS Batch it is for jobs of other types, if there are any: then
    somebody has chosen it. `sqs` alone chooses none: its backend is also that of the deletion queue."""
    chosen = settings.queue.model_fields_set
    named = bool(chosen & {"name", "url", "lanes"}) or ("backend" in chosen and settings.queue.backend != "sqs")
    return settings.dispatch.backend != "batch" or named


def queue_misfit(settings: Settings) -> ConfigError | None:
    """Why the queue of the settings can't be, next to their database."""
    if settings.queue.backend == "sqlite" and is_server(settings.queue_database_url):
        # Not a file by itself: each machine would have a queue of its own without anybody having said so.
        return ConfigError(
            f"{variable('queue.backend')}=sqlite needs an embedded database, and {variable('database.url')} is a server",
            fix=f"set {variable('queue.backend')}=postgres, or another queue; if all workers and producers are on this"
            f" machine, {variable('queue.url')}=sqlite:////path/to/queue.db keeps the queue in a file",
        )
    if settings.queue.backend == "postgres" and not is_server(settings.queue_database_url):
        return ConfigError(
            f"{variable('queue.backend')}=postgres has no server to go to",
            fix=f"set {variable('database.url')} or {variable('queue.url')} to postgresql://user@host/database",
        )
    return None


@dataclass(frozen=True, slots=True)
class LaterPublisher:
    """QueuePublisher that is made for its first message: where none may come, the queue need not be."""

    made: Callable[[], QueuePublisher]

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Raises ConfigError for a queue that can't be, and what its own raises."""
        self.made().publish(envelopes)


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
