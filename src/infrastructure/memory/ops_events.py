"""Operators' events in memory."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from src.application.ports.clock import Clock
from src.application.ports.ops_events import EventFilter, OpsEvent


@dataclass
class MemoryOpsEvents:
    """OpsEvents. Thread-safe."""

    clock: Clock
    _events: dict[str, OpsEvent] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def add(self, event: OpsEvent) -> bool:
        """Keep, unless its id is there."""
        now = self.clock.now()
        kept = replace(
            event, id=event.id or str(uuid.uuid4()), created_at=now, tell_at=now if event.type.is_told else None
        )
        with self._lock:
            return self._events.setdefault(kept.id, kept) is kept

    def list(self, criteria: EventFilter) -> Sequence[OpsEvent]:
        """Newest first."""
        with self._lock:
            found = [
                event
                for event in self._events.values()
                if criteria.type in (None, event.type)
                and (criteria.severity is None or event.severity in criteria.severity.and_above)
                and criteria.tenant in (None, event.tenant)
                and criteria.video_id in (None, event.video_id)
                and criteria.job_id in (None, event.job_id)
                and (criteria.since is None or event.created_at >= criteria.since)
            ]
        found.sort(key=lambda event: (event.created_at, event.id), reverse=True)
        return found[criteria.offset : criteria.offset + criteria.limit]

    def untold(self, limit: int) -> Sequence[OpsEvent]:
        """Oldest first."""
        with self._lock:
            found = [event for event in self._events.values() if event.tell_at is not None]
        return sorted(found, key=lambda event: (event.created_at, event.id))[:limit]

    def told(self, ids: Collection[str]) -> None:
        """These were."""
        with self._lock:
            for each in ids:
                if each in self._events:
                    self._events[each] = replace(self._events[each], tell_at=None)

    def outdated(self, before: float, limit: int) -> Sequence[OpsEvent]:
        """Oldest first."""
        with self._lock:
            found = [each for each in self._events.values() if each.created_at < before and each.tell_at is None]
        return sorted(found, key=lambda event: (event.created_at, event.id))[:limit]

    def remove(self, ids: Collection[str]) -> None:
        """Those that don't wait to be told."""
        with self._lock:
            for each in ids:
                if each in self._events and self._events[each].tell_at is None:
                    del self._events[each]

    def undo(self, event_id: str) -> None:
        """For a change that fails later on."""
        with self._lock:
            self._events.pop(event_id, None)
