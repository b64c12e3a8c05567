"""One line every few seconds for a cause that several loops run into again and again (reliability.md F06, F10)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

EVENTS = frozenset({"loop.failed", "receive.failed", "beat.failed", "database.away"})
"""What the engine's loops, heartbeats and containers say at each turn while a backend is away. Every other event is said each time it happens."""

SECONDS = 5.0
"""Between two lines about one cause."""

KEPT = 100
"""Causes remembered; texts come from outside, and each may be new."""

Cause = tuple[str, str]


@dataclass(slots=True)
class Repeats:
    """The first line about a cause passes at once; of those that follow within SECONDS the last is kept and passes when they are
    over, with `repeated`: how many lines it stands for. So neither the first nor the last is hidden. Not thread-safe."""

    now: Callable[[], float] = time.monotonic
    _shown: dict[Cause, float] = field(default_factory=dict, init=False)
    _held: dict[Cause, tuple[logging.LogRecord, int]] = field(default_factory=dict, init=False)

    @property
    def holding(self) -> bool:
        """Whether something waits for its time."""
        return bool(self._held)

    def passes(self, record: logging.LogRecord) -> bool:
        """False: it is kept, and comes out of `due` or `rest`."""
        if record.msg not in EVENTS:
            return True
        cause, now = (str(record.msg), str(record.__dict__.get("error", ""))), self.now()
        if cause in self._held or now - self._shown.get(cause, -SECONDS) < SECONDS:
            self._held[cause] = (record, self._held.get(cause, (record, 0))[1] + 1)
            return False
        if len(self._shown) >= KEPT:
            self._shown = {each: at for each, at in self._shown.items() if now - at < SECONDS}
        self._shown[cause] = now
        return True

    def due(self) -> Sequence[logging.LogRecord]:
        """Those whose time has come."""
        now = self.now()
        return self._out([cause for cause in self._held if now - self._shown.get(cause, -SECONDS) >= SECONDS])

    def rest(self) -> Sequence[logging.LogRecord]:
        """All of them: the process ends."""
        return self._out(list(self._held))

    def _out(self, causes: Sequence[Cause]) -> list[logging.LogRecord]:
        found = []
        for cause in causes:
            record, count = self._held.pop(cause)
            record.__dict__["repeated"] = count
            self._shown[cause] = self.now()
            found.append(record)
        return found
