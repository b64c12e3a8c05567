"""The outbox in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, JobEvent, Waiting
from src.infrastructure.memory.ledger import Undo


@dataclass
class MemoryOutbox:
    """Outbox. Thread-safe."""

    clock: Clock
    _events: dict[str, dict[str, JobEvent]] = field(default_factory=dict, init=False)
    _leads: dict[str, tuple[str, float]] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
        """Take the sink, or keep it."""
        with self._lock:
            leader, until = self._leads.get(sink, (owner, 0.0))
            now = self.clock.now()
            if leader != owner and until > now:
                return False
            self._leads[sink] = (owner, now + seconds)
            return True

    def unsent(self, sink: str, limit: int) -> Sequence[JobEvent]:
        """In the order of writing."""
        with self._lock:
            return list(self._events.get(sink, {}).values())[:limit]

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """They go."""
        with self._lock:
            for each in ids:
                self._events.get(sink, {}).pop(each, None)

    def waiting(self) -> Mapping[str, Waiting]:
        """Counted."""
        with self._lock:
            return {
                sink: Waiting(count=len(events), oldest_at=min(event.at for event in events.values()))
                for sink, events in self._events.items()
                if events
            }

    def announce(self, effect: Effect, _now: float) -> Undo:
        """For MemoryLedger: how an event is written, and taken back."""
        if not isinstance(effect, Announced):
            raise TypeError(f"{type(effect).__name__} is no event")
        with self._lock:
            new = [sink for sink in effect.sinks if effect.event.id not in self._events.setdefault(sink, {})]
            for sink in new:
                self._events[sink][effect.event.id] = effect.event

        def undo() -> None:
            for sink in new:
                self.sent(sink, [effect.event.id])

        return undo
