"""A queue in memory, with the same rules of visibility and receipts as the durable ones."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.queue import Delivery, Envelope, QueueDepth, fitting

POLL_SECONDS = 0.02
"""Between two looks while a receive waits: short beside any job, long beside the look."""


@dataclass(slots=True)
class _Message:
    number: int
    body: bytes
    key: str
    priority: int
    visible_at: float
    enqueued_at: float
    attributes: Mapping[str, str]
    receipt: str | None = None
    received: int = 0

    def in_flight(self, now: float) -> bool:
        return self.receipt is not None and self.visible_at > now


@dataclass
class MemoryQueue:
    """QueueConsumer, QueuePublisher and QueueInspector of one queue. Thread-safe."""

    clock: Clock
    _messages: dict[int, _Message] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _last: int = field(default=0, init=False)

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Hide and return up to `limit` messages, best priority first."""
        deadline = self.clock.monotonic() + wait_seconds
        while True:
            taken = self._take(limit, visibility_seconds)
            left = deadline - self.clock.monotonic()
            if taken or left <= 0:
                return taken
            self.clock.sleep(min(left, POLL_SECONDS))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove those whose receipt still holds."""
        with self._lock:
            for message in self._held(deliveries):
                del self._messages[message.number]

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back, if the receipt still holds."""
        self.release_all([delivery], delay_seconds=delay_seconds)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """Give back those whose receipt still holds."""
        with self._lock:
            for message in self._held(deliveries):
                message.receipt = None
                message.visible_at = self.clock.now() + delay_seconds

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide those whose receipt still holds for longer."""
        with self._lock:
            for message in self._held(deliveries):
                message.visible_at = self.clock.now() + visibility_seconds

    def close(self) -> None:
        """Nothing to let go."""

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Add, or bring a waiting message with the same key forward."""
        with self._lock:
            now = self.clock.now()
            for envelope in envelopes:
                at = now + envelope.delay_seconds
                waiting = self._waiting(envelope.key, now)
                if waiting is None:
                    self._last += 1
                    self._messages[self._last] = _Message(
                        number=self._last,
                        body=envelope.body,
                        key=envelope.key,
                        priority=envelope.priority,
                        visible_at=at,
                        enqueued_at=now,
                        attributes=dict(envelope.attributes),
                    )
                    continue
                waiting.body, waiting.attributes = (
                    envelope.body,
                    dict(envelope.attributes),
                )
                waiting.priority = min(waiting.priority, envelope.priority)
                waiting.visible_at = min(waiting.visible_at, at)
                # A late acknowledgement is of the body that was received, not of this one.
                waiting.receipt = None

    def depth(self) -> QueueDepth:
        """Counts now."""
        with self._lock:
            now = self.clock.now()
            ready = [message for message in self._messages.values() if message.visible_at <= now]
            in_flight = sum(message.in_flight(now) for message in self._messages.values())
            return QueueDepth(
                ready=len(ready),
                delayed=len(self._messages) - len(ready) - in_flight,
                in_flight=in_flight,
                oldest_ready_seconds=max((now - message.visible_at for message in ready), default=None),
            )

    def _take(self, limit: int, visibility_seconds: float) -> list[Delivery]:
        with self._lock:
            now = self.clock.now()
            ready = [message for message in self._messages.values() if message.visible_at <= now]
            ready.sort(
                key=lambda message: (
                    message.priority,
                    message.visible_at,
                    message.number,
                )
            )
            taken = ready[: min(limit, fitting(len(message.body) for message in ready))]
            return [self._deliver(message, now + visibility_seconds) for message in taken]

    def _deliver(self, message: _Message, until: float) -> Delivery:
        message.received += 1
        message.receipt = f"{message.number}:{message.received}"
        message.visible_at = until
        return Delivery(
            message_id=str(message.number),
            body=message.body,
            receipt=message.receipt,
            receive_count=message.received,
            enqueued_at=message.enqueued_at,
            attributes=message.attributes,
        )

    def _held(self, deliveries: Sequence[Delivery]) -> list[_Message]:
        receipts = {delivery.receipt for delivery in deliveries}
        return [message for message in self._messages.values() if message.receipt in receipts]

    def _waiting(self, key: str, now: float) -> _Message | None:
        found = (message for message in self._messages.values() if message.key == key)
        return next((message for message in found if not message.in_flight(now)), None)
