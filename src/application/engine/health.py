"""What the worker knows about its own state, told truthfully (reliability.md I12)."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from src.application.ports.clock import Clock

WEDGED_SECONDS = 60.0
"""The longest that a loop of short turns goes without a sign of life, in every process: a database that hangs lets go of a turn after
its pool (10 s), a connection (5 s) and one statement (30 s, and 10 s for the answer). Where settings make that longer, so is this
(wiring/healths.py): an outage restarts nothing."""


@dataclass(slots=True)
class Health:
    """Backends report here as they are used; `live` needs a loop that still turns, `ready` backends that answer."""

    clock: Clock
    wedged_after_seconds: float = WEDGED_SECONDS
    answer_seconds: float = 4.0
    """a backend that has been asked this long ago and has not answered counts as away"""
    _turned_at: dict[str, float] = field(default_factory=dict)
    _patience: dict[str, float] = field(default_factory=dict)
    """{loop: seconds}, where it is not `wedged_after_seconds`"""
    _backends: dict[str, bool] = field(default_factory=dict)
    _asked_at: dict[str, float] = field(default_factory=dict)
    _away_at: dict[str, float] = field(default_factory=dict)
    _draining: bool = False
    _loops: dict[int, str] = field(default_factory=dict)
    """{thread: the loop that turns in it}"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turned(self, loop: str) -> None:
        """A loop came round, in this thread, or is about to begin there."""
        with self._lock:
            self._loops[threading.get_ident()] = loop
            self._turned_at[loop] = self.clock.monotonic()

    def goes_on(self) -> None:
        """In the middle of a turn of this thread's loop, if it has one: a backend has let go of it, and it turns to the next. One that
        hangs may keep a turn for almost as long as a loop may be silent, and a turn may need several."""
        with self._lock:
            loop = self._loops.get(threading.get_ident())
            if loop in self._turned_at:
                self._turned_at[loop] = self.clock.monotonic()

    def watch(self, loop: str, seconds: float | None = None, *, pause: float = 0.0) -> None:
        """From now on the loop is to come round, or to say that it goes on, every `seconds` (None: as all others) beside the pause
        that it makes between two turns."""
        with self._lock:
            self._patience[loop] = (self.wedged_after_seconds if seconds is None else seconds) + pause
            self._turned_at[loop] = self.clock.monotonic()

    def left(self, loop: str) -> None:
        """It has ended, as it should: nothing is heard of it any more."""
        with self._lock:
            self._turned_at.pop(loop, None)
            self._loops.pop(threading.get_ident(), None)

    def asking(self, name: str) -> None:
        """A backend is asked; `backend` tells the answer. A question that hangs must not keep the worker ready."""
        with self._lock:
            self._asked_at.setdefault(name, self.clock.monotonic())

    def backend(self, name: str, reachable: bool) -> None:
        """A backend was used."""
        with self._lock:
            self._backends[name] = reachable
            self._asked_at.pop(name, None)
            if not reachable:
                self._away_at[name] = self.clock.monotonic()

    def away_since(self, name: str, since: float) -> bool:
        """Whether a backend is away now, or was seen away at that time (monotonic) or later."""
        with self._lock:
            return not self._answers(name) or self._away_at.get(name, -math.inf) >= since

    def away(self, names: Collection[str]) -> list[str]:
        """Those of these backends that are away now. One that was never used is not."""
        with self._lock:
            return [name for name in names if not self._answers(name)]

    def draining(self) -> None:
        """No more work is taken."""
        with self._lock:
            self._draining = True

    def live(self) -> bool:
        """False when a loop has not come round for too long."""
        with self._lock:
            now = self.clock.monotonic()
            return all(
                now - at < self._patience.get(loop, self.wedged_after_seconds) for loop, at in self._turned_at.items()
            )

    def ready(self) -> bool:
        """True while new work can be taken."""
        with self._lock:
            # One that hangs at the first question has never answered.
            used = self._backends.keys() | self._asked_at.keys()
            return not self._draining and bool(self._backends) and all(map(self._answers, used))

    def backends(self) -> Mapping[str, bool]:
        """{backend: reachable}, as last used."""
        with self._lock:
            return {name: self._answers(name) for name in self._backends} | {
                name: False for name in self._asked_at if not self._answers(name)
            }

    def _answers(self, name: str) -> bool:
        asked = self._asked_at.get(name)
        late = asked is not None and self.clock.monotonic() - asked > self.answer_seconds
        return self._backends.get(name, True) and not late
