"""Time, passed in."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks: `now` for people and rows (epoch seconds), `monotonic` for timeouts (never jumps)."""

    def now(self) -> float:
        """Epoch seconds, UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; only differences mean something."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
