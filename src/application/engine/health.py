"""What the worker knows about its own state, told truthfully (reliability.md I12)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from src.application.ports.clock import Clock


@dataclass(slots=True)
class Health:
    """Backends report here as they are used; `live` needs a loop that still turns, `ready` backends that answer."""

    clock: Clock
    wedged_after_seconds: float = 30.0
    _turned_at: dict[str, float] = field(default_factory=dict)
    _backends: dict[str, bool] = field(default_factory=dict)
    _draining: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turned(self, loop: str) -> None:
        """A loop came round."""
        with self._lock:
            self._turned_at[loop] = self.clock.monotonic()

    def backend(self, name: str, reachable: bool) -> None:
        """A backend was used."""
        with self._lock:
            self._backends[name] = reachable

    def draining(self) -> None:
        """No more work is taken."""
        with self._lock:
            self._draining = True

    def live(self) -> bool:
        """False when a loop has not come round for too long."""
        with self._lock:
            now = self.clock.monotonic()
            return all(now - at < self.wedged_after_seconds for at in self._turned_at.values())

    def ready(self) -> bool:
        """True while new work can be taken."""
        with self._lock:
            return not self._draining and bool(self._backends) and all(self._backends.values())

    def backends(self) -> Mapping[str, bool]:
        """{backend: reachable}, as last used."""
        with self._lock:
            return dict(self._backends)
