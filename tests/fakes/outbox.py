"""Sinks that remember, and fail on order."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.ports.outbox import JobEvent


@dataclass
class ListSink:
    """EventSink. Raises what stands first in `failures`, as long as something stands there."""

    failures: list[Exception] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)

    def send(self, event: JobEvent) -> None:
        """Remember."""
        if self.failures:
            raise self.failures.pop(0)
        self.events.append(event)

    @property
    def ids(self) -> list[str]:
        """In the order of their coming."""
        return [event.id for event in self.events]
