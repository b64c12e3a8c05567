"""The outbox in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, Hold, JobEvent, Unsent, Waiting
from src.infrastructure.memory.ledger import Undo


@dataclass
class MemoryOutbox:
    """OutboxDesk. Thread-safe."""

    clock: Clock
    _events: dict[str, dict[str, JobEvent]] = field(default_factory=dict, init=False)
    _holds: dict[tuple[str, str], Hold] = field(default_factory=dict, init=False)
    """{(sink, event): why it is not sent}"""
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

    def unsent(self, sink: str, limit: int) -> Sequence[Unsent]:
        """In the order of writing."""
        with self._lock:
            found: list[Unsent] = []
            behind: set[str] = set()
            for each in self._all(sink):
                if each.hold is not None and (each.hold.retry_at is None or each.hold.retry_at > self.clock.now()):
                    behind.add(each.event.job_id)
                elif each.event.job_id not in behind:
                    found.append(each)
            return found[:limit]

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """They go."""
        with self._lock:
            for each in ids:
                self._events.get(sink, {}).pop(each, None)
                self._holds.pop((sink, each), None)

    def hold(self, sink: str, event_id: str, *, tries: int, error: str, seconds: float | None) -> None:
        """Noted."""
        with self._lock:
            if event_id in self._events.get(sink, {}):
                retry_at = None if seconds is None else self.clock.now() + seconds
                self._holds[sink, event_id] = Hold(tries=tries, error=error, retry_at=retry_at)

    def waiting(self) -> Mapping[str, Waiting]:
        """Counted."""
        with self._lock:
            parked = Counter(sink for (sink, _), hold in self._holds.items() if hold.retry_at is None)
            return {
                sink: Waiting(
                    count=len(events), oldest_at=min(event.at for event in events.values()), parked=parked[sink]
                )
                for sink, events in self._events.items()
                if events
            }

    def kept(self, sink: str, limit: int, *, parked: bool = False) -> Sequence[Unsent]:
        """In the order of writing."""
        with self._lock:
            found = self._all(sink)
            if parked:
                found = [each for each in found if each.hold is not None and each.hold.retry_at is None]
            return found[:limit]

    def release(self, sink: str, ids: Collection[str]) -> Collection[str]:
        """The note goes."""
        with self._lock:
            return [each for each in ids if self._holds.pop((sink, each), None) is not None]

    def _all(self, sink: str) -> list[Unsent]:
        return [Unsent(event, self._holds.get((sink, event.id))) for event in self._events.get(sink, {}).values()]

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
