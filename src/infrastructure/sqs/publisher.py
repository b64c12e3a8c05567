"""The producer's side of one SQS queue, and what an operator asks of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from src.application.ports.queue import Envelope, QueueDepth
from src.domain.errors import QueueUnavailable
from src.infrastructure.sqs import codec
from src.infrastructure.sqs.connection import BATCH, SqsConnection
from src.infrastructure.sqs.errors import at_start

LARGEST_BYTES = 900 * 1024
"""A message above this is better kept elsewhere: SQS takes 1 MiB, for one message and for the sum of a batch."""


@dataclass
class SqsPublisher:
    """QueuePublisher. Thread-safe. A key that waits already is doubled, priorities are ignored."""

    connection: SqsConnection
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Send all, in as few calls as ten messages and 1 MiB a call allow; of one key the last."""
        latest = {envelope.key: envelope for envelope in envelopes}
        once = self.new_id()
        packed = _packed([self._entry(envelope, once) for envelope in latest.values()])
        self.connection.batches("send_message_batch", list(packed))

    def fits(self, envelope: Envelope) -> bool:
        """Whether SQS takes a message of this size."""
        return codec.size(self._entry(envelope, "")) <= LARGEST_BYTES

    def check(self) -> Sequence[str]:
        """The queue exists, and this role may send to it: asked with an empty batch, so that nothing is sent."""
        try:
            self.connection.probe("send_message_batch", Entries=[])
            limit = int(self.connection.attributes().get("MaximumMessageSize", LARGEST_BYTES))
        except QueueUnavailable as error:
            raise at_start(error) from error
        if limit >= LARGEST_BYTES:
            return []
        return [f"warning: the queue takes messages of {limit} bytes at most (set MaximumMessageSize to 1048576)"]

    def close(self) -> None:
        """Let connections go."""
        self.connection.close()

    def _entry(self, envelope: Envelope, once: str) -> dict[str, Any]:
        now = self.connection.clock.now()
        return codec.entry(envelope, now=now, fifo=self.connection.fifo, once=once)


@dataclass(frozen=True, slots=True)
class SqsInspector:
    """QueueInspector. SQS's counts are approximate and may lag by a minute; the age of the oldest message is told by
    CloudWatch alone."""

    connection: SqsConnection

    def depth(self) -> QueueDepth:
        """Counts now."""
        found = self.connection.attributes()
        return QueueDepth(
            ready=int(found["ApproximateNumberOfMessages"]),
            delayed=int(found["ApproximateNumberOfMessagesDelayed"]),
            in_flight=int(found["ApproximateNumberOfMessagesNotVisible"]),
        )


def _packed(entries: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    room = LARGEST_BYTES
    for entry in entries:
        needed = codec.size(entry)
        if batch and (len(batch) == BATCH or needed > room):
            yield batch
            batch, room = [], LARGEST_BYTES
        batch.append(entry)
        room -= needed
    if batch:
        yield batch
