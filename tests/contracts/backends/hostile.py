"""The hostile wrappers with empty scripts."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.catalog import no_effects
from src.application.ports.ledger import Effects
from src.application.ports.lock import Idempotency
from src.application.ports.progress import Progress
from src.infrastructure.memory.lock import MemoryIdempotency
from tests.contracts.backends.memory import MemoryState
from tests.fakes.flaky import (
    EffectsLedger,
    FlakyEffectsLedger,
    FlakyLock,
    FlakyProgress,
    FlakyQueue,
    WholeQueue,
)


@dataclass
class FlakyState(MemoryState):
    """The hostile wrappers with nothing in their scripts: then they must keep every promise."""

    def queue(self, name: str = "video") -> WholeQueue:
        """Wrapped."""
        return FlakyQueue(super().queue(name))

    def ledger(self, effects: Effects = no_effects) -> EffectsLedger:
        """Wrapped."""
        return FlakyEffectsLedger(super().ledger(effects))

    def lock(self) -> Idempotency:
        """Wrapped."""
        return FlakyLock(self._once("lock", MemoryIdempotency(self.clock)))

    def progress(self) -> Progress:
        """Wrapped."""
        return FlakyProgress(super().progress())
