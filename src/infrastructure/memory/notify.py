"""An administrator who remembers what he was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent


@dataclass
class MemoryNotifier:
    """AdminNotifier; `told` and `events` are in order."""

    told: list[DeadLetter] = field(default_factory=list)
    events: list[OpsEvent] = field(default_factory=list)

    def notify(self, letter: DeadLetter) -> None:
        """Remember."""
        self.told.append(letter)

    def notify_event(self, event: OpsEvent) -> None:
        """Remember."""
        self.events.append(event)
