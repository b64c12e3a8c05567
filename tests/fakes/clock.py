"""Time that moves only when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable


class FrozenClock:
    """Both clocks of the Clock port in one; `sleep` moves them at once. `skew` shifts what people's clock shows, so that a
    test can give each worker a clock of its own over the same passing time."""

    def __init__(self, now: float = 1_700_000_000.0, *, skew: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._start = now
        self._passed = 0.0
        self.skew = skew
        self.slept: list[float] = []
        self.followers: list[Callable[[float], object]] = []
        """told the new time of day whenever it changes: a real server's clock"""

    def now(self) -> float:
        """Epoch seconds."""
        with self._lock:
            return self._start + self._passed + self.skew

    def monotonic(self) -> float:
        """Seconds since the start of the test."""
        with self._lock:
            return self._passed

    def sleep(self, seconds: float) -> None:
        """Move on without waiting, and remember that it was asked for."""
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time passes forwards; use `step` for a clock that is set back")
        with self._lock:
            self._passed += seconds
        self._tell()

    def step(self, seconds: float) -> None:
        """Set the wall clock (forwards or back), as an administrator or NTP does; monotonic time does not notice."""
        with self._lock:
            self._start += seconds
        self._tell()

    def _tell(self) -> None:
        for follower in self.followers:
            follower(self.now())
