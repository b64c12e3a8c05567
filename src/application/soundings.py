"""Figures that only a backend knows, asked when somebody reads the metrics: fresh within seconds, or not told at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.meter import Metric, Reading
from src.domain.errors import WorkerError

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
"""How old an answer may be that is told again: several scrapers ask the backend once."""

ANSWER_SECONDS = 2.0
"""What all of them together are waited for."""


@dataclass(slots=True)
class Sounding:
    """One backend. `up` is told as 1 with an answer, and as 0, alone, without."""

    up: Metric
    ask: Callable[[], Sequence[Reading]]
    """raises WorkerError"""
    clock: Clock
    _answer: tuple[float, Sequence[Reading]] | None = None
    """(monotonic, what it said)"""
    _asking: threading.Event | None = None
    """set when the question that is under way has ended"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> threading.Event | None:
        """Ask, unless the answer is fresh (None) or somebody is asking: a backend that hangs holds one thread, not one for each
        reader."""
        with self._lock:
            if self._fresh() is not None:
                return None
            if self._asking is None:
                self._asking = threading.Event()
                threading.Thread(target=self._ask, args=(self._asking,), name=self.up.name, daemon=True).start()
            return self._asking

    def readings(self) -> Sequence[Reading]:
        """What is known now."""
        with self._lock:
            known = self._fresh()
        return [Reading(self.up, (), 0.0)] if known is None else [Reading(self.up, (), 1.0), *known]

    def _fresh(self) -> Sequence[Reading] | None:
        if self._answer is None or self.clock.monotonic() - self._answer[0] > FRESH_SECONDS:
            return None
        return self._answer[1]

    def _ask(self, ended: threading.Event) -> None:
        try:
            said: Sequence[Reading] | None = self.ask()
        except WorkerError as error:
            log.warning(
                "metrics.unknown", extra={"metric": self.up.name, "error_class": error.code, "error": str(error)}
            )
            said = None
        except Exception:
            # The figures are for people; the worker goes on without them. It is logged with its traceback.
            log.exception("metrics.broken", extra={"metric": self.up.name})
            said = None
        with self._lock:
            self._answer = None if said is None else (self.clock.monotonic(), said)
            self._asking = None
        ended.set()


def sound(soundings: Sequence[Sounding], *, within_seconds: float = ANSWER_SECONDS) -> Sequence[Reading]:
    """Ask all of them at once, and tell what they said in time."""
    asked = [(each, each.begin()) for each in soundings]
    until = asked[0][0].clock.monotonic() + within_seconds if asked else 0.0
    for each, ended in asked:
        if ended is not None:
            ended.wait(max(0.0, until - each.clock.monotonic()))
    return [reading for each in soundings for reading in each.readings()]
