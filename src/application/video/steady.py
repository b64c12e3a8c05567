"""Repeats one call to storage or database that may pass the next time, so that a blip does not cost an attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from src.application.ports.clock import Clock
from src.domain.errors import NetworkError, StorageUnavailable

Answer = TypeVar("Answer")

FIRST_SECONDS = 0.5
MOST_SECONDS = 10.0
SLICE_SECONDS = 0.5
"""A wait looks this often whether the attempt is over."""


class SourceChanged(StorageUnavailable):
    """Somebody replaced the source while it was read: what was read of it is worth nothing."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Waits 0.5, 1, 2, ... at most 10 s between tries; gives up at once when `over` is set."""

    clock: Clock
    tries: int = 6
    over: threading.Event = field(default_factory=threading.Event)

    def call(self, action: Callable[[], Answer]) -> Answer:
        """What `action` returns. Raises its last NetworkError; anything else, and SourceChanged, at once."""
        for number in range(self.tries - 1):
            try:
                return action()
            except SourceChanged:
                raise
            except NetworkError:
                if self.over.is_set():
                    raise
                self._wait(min(MOST_SECONDS, FIRST_SECONDS * 2**number))
        return action()

    def _wait(self, seconds: float) -> None:
        while seconds > 0 and not self.over.is_set():
            self.clock.sleep(min(SLICE_SECONDS, seconds))
            seconds -= SLICE_SECONDS
