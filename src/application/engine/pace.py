"""How many short jobs a worker may hold at a time: what it gets done in a moment.

One at a time, a worker spends most of its time asking; thousands at a time, others are idle while it works them off, and a
crash delays all of them. So it holds what it finishes within HORIZON_SECONDS, by what it has been seen to do.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from src.application.ports.clock import Clock

HORIZON_SECONDS = 0.25
"""Work in hand. Far below every lease, and below what people notice."""

MOST = 1000
"""Messages of a queue's receive, rows of a statement, and what comes back after a crash."""

MEMORY_SECONDS = 1.0
"""Busy seconds after which an observation counts half."""


@dataclass(slots=True)
class Pace:
    """Thread-safe."""

    clock: Clock
    _done: float = 0.0
    _busy: float = 0.0
    _since: float | None = None
    """monotonic; when what counts as busy was last added up; None while nothing is held"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self) -> None:
        """Something more is held."""
        with self._lock:
            if self._since is None:
                self._since = self.clock.monotonic()

    def ended(self, count: int, *, left: int) -> None:
        """So many have ended, in whatever way; so many are still held."""
        with self._lock:
            now = self.clock.monotonic()
            passed = max(0.0, now - (self._since if self._since is not None else now))
            fading = 0.5 ** (passed / MEMORY_SECONDS)
            self._done = self._done * fading + count
            self._busy = self._busy * fading + passed
            self._since = now if left > 0 else None

    def allowance(self, least: int) -> int:
        """How many may be held now; never below `least`."""
        with self._lock:
            busy = self._busy
            if self._since is not None:
                # What takes long counts before it has ended.
                busy += self.clock.monotonic() - self._since
            rate = self._done / busy if busy > 0 else 0.0
        return max(least, min(MOST, int(rate * HORIZON_SECONDS)))
