"""An administrator who remembers what he was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.ports.ledger import DeadLetter


@dataclass
class MemoryNotifier:
    """AdminNotifier; `told` is in order."""

    told: list[DeadLetter] = field(default_factory=list)

    def notify(self, letter: DeadLetter) -> None:
        """Remember."""
        self.told.append(letter)
