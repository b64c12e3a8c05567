"""Messages in and out. A queue only moves messages: it decides nothing and writes no job state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})

RECEIVE_BYTES = 8 * 2**20
"""Bodies of one receive, on queues that anybody may fill: the last of them may go beyond. A worker's memory is not the queue's to
fill: five hundred bodies of two megabytes killed it each time it looked."""


def fitting(sizes: Iterable[int]) -> int:
    """How many of the messages whose bodies have these `sizes`, best first, one receive may bring: the first at least."""
    room, count = RECEIVE_BYTES, 0
    for size in sizes:
        if room <= 0:
            break
        room -= size
        count += 1
    return count


class Delivery(NamedTuple):
    """One message as received. `receipt` is opaque and belongs to this receive; a later receive makes it stale. (A tuple,
    because thousands are made in a second.)"""

    message_id: str
    body: bytes
    receipt: str
    receive_count: int | None = None
    """How often this message was received, this time included; None where the queue can't say."""
    enqueued_at: float | None = None
    attributes: Mapping[str, str] = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message to publish. `key` makes publishing repeatable: a waiting message with the same key is moved to the
    front (visible at once, or after `delay_seconds`), not doubled, on queues that can; elsewhere it is doubled, which is
    harmless. Lower `priority` numbers are received first, then the oldest, on queues that can."""

    body: bytes
    key: str
    delay_seconds: float = 0.0
    priority: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)


class QueueConsumer(Protocol):
    """The worker's side of one queue. Every method raises QueueUnavailable when the queue can't be reached."""

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Up to `limit` messages and some RECEIVE_BYTES, hidden from others for `visibility_seconds`. Waits at most `wait_seconds` for the
        first one; an empty answer is normal. Messages come back by themselves when their visibility ends. Queues that count
        in whole seconds hide for at least that long; one that limits how long says so where it is wired."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove for good. A stale receipt is ignored: the message comes back and is recognised as done."""

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back: visible to anybody after `delay_seconds`. A stale receipt is ignored."""

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide for `visibility_seconds` from now on. A stale receipt is ignored."""

    def close(self) -> None:
        """Let connections go. Messages not acknowledged come back."""


@runtime_checkable
class ReleasesMany(Protocol):
    """What some queues can besides: give many back in fewer calls than one each (application/give_back.py asks)."""

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """As `release`, of each. Raises QueueUnavailable; then some may be given back."""


class QueuePublisher(Protocol):
    """The producer's side of one queue."""

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """All of them are in the queue when this returns. Raises QueueUnavailable; then some may be in it."""


class LimitedPublisher(QueuePublisher, Protocol):
    """A publisher whose queue takes messages up to some size; what is larger goes by way of storage (claim_check.py)."""

    def fits(self, envelope: Envelope) -> bool:
        """Whether this message can be sent as it is."""


class QueueInspector(Protocol):
    """What an operator wants to know of a queue; works with no worker running."""

    def depth(self) -> QueueDepth:
        """Counts now."""


@runtime_checkable
class InspectsLanes(Protocol):
    """What queues can besides that are made of several."""

    def depths(self) -> Mapping[str, QueueDepth]:
        """{lane: counts now}, best lane first. Raises QueueUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """`ready` can be received now, `delayed` later, `in_flight` is hidden by a receive; ages in seconds, None when nothing
    is ready or the queue can't say."""

    ready: int
    delayed: int
    in_flight: int
    oldest_ready_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSides:
    """A queue whose roles are objects of their own: SQS's consumer must not be able to publish (mission.md V1)."""

    consumer: QueueConsumer
    publisher: LimitedPublisher
    inspector: QueueInspector
