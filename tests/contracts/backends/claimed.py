"""A queue that is too small for every body: all of them go by way of storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.application.claim_check import ClaimCheckConsumer, ClaimCheckPublisher
from src.application.ports.queue import Envelope, QueueDepth
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.storage import MemoryStorage
from tests.contracts.backends.state import QueueAbilities
from tests.fakes.clock import FrozenClock


@dataclass
class TinyQueue:
    """LimitedPublisher that takes up to so many bytes."""

    inner: MemoryQueue
    limit: int = 0

    def fits(self, envelope: Envelope) -> bool:
        return len(envelope.body) <= self.limit

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.inner.publish(envelopes)


@dataclass
class ClaimedQueue(ClaimCheckConsumer):
    """All roles, as the suites want them."""

    publisher: ClaimCheckPublisher
    memory: MemoryQueue

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.publisher.publish(envelopes)

    def depth(self) -> QueueDepth:
        return self.memory.depth()


@dataclass
class ClaimedPlace:
    """Queues in memory, bodies in storage in memory."""

    clock: FrozenClock
    abilities: QueueAbilities = field(default_factory=lambda: QueueAbilities(bounded=False))
    queues: dict[str, MemoryQueue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.storage = MemoryStorage(self.clock)

    def queue(self, name: str = "video") -> ClaimedQueue:
        """A handle."""
        memory = self.queues.setdefault(name, MemoryQueue(self.clock))
        return ClaimedQueue(memory, self.storage, ClaimCheckPublisher(TinyQueue(memory), self.storage), memory)

    def close(self) -> None:
        """Nothing to close."""


def claimed_place(clock: FrozenClock, _folder: Path) -> ClaimedPlace:
    """Every body is too large."""
    return ClaimedPlace(clock)
