"""Sinks that remember, and fail on order."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.ports.outbox import JobEvent
from src.domain.errors import NetworkError


@dataclass
class ListSink:
    """EventSink. Raises what stands first in `failures`, as long as something stands there; takes nothing while it is `down`, and
    never what is `bad`."""

    failures: list[Exception] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)
    bad: dict[str, Exception] = field(default_factory=dict)
    """{event: what is raised}"""
    down: bool = False
    tried: list[str] = field(default_factory=list)
    """the ids of all that came, taken or not"""

    def send(self, event: JobEvent) -> None:
        """Remember."""
        self.tried.append(event.id)
        if self.down:
            raise NetworkError("away")
        if event.id in self.bad:
            raise self.bad[event.id]
        if self.failures:
            raise self.failures.pop(0)
        self.events.append(event)

    @property
    def ids(self) -> list[str]:
        """In the order of their coming."""
        return [event.id for event in self.events]
