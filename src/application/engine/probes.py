"""Asks each backend now and then, so that readiness is true of an idle worker too, and of backends that only jobs use.

What it finds also keeps an outage from costing attempts: while a needed backend is away no job is taken, and an attempt that
failed because of it is given back untried.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from src.application.engine.health import Health
from src.domain.errors import DatabaseUnavailable, StorageUnavailable, WorkerError

log = logging.getLogger(__name__)

PERIOD_SECONDS = 5.0
"""Between two questions to a backend that answers; one that does not is asked at every turn."""

TURN_SECONDS = 1.0
"""How often to call `tick`."""

BLAMED = {StorageUnavailable.code: "storage", DatabaseUnavailable.code: "database"}
"""{class of an attempt's error: backend}"""


@dataclass(slots=True)
class Probe:
    """One backend. `ask` returns when it answers and raises a WorkerError when it does not."""

    name: str
    ask: Callable[[], object]
    health: Health
    again_seconds: float = 0.0
    """Between two questions to one that does not answer, where each question costs."""
    _asked_at: float | None = None
    _answered: bool = True

    def tick(self) -> None:
        """Ask, when it is time."""
        now = self.health.clock.monotonic()
        pause = self.again_seconds if self.health.away((self.name,)) else PERIOD_SECONDS
        if self._asked_at is not None and now - self._asked_at < pause:
            return
        self._asked_at = now
        self.now()

    def now(self) -> bool:
        """Ask; whether it answers."""
        self.health.asking(self.name)
        try:
            self.ask()
        except WorkerError as error:
            self.health.backend(self.name, reachable=False)
            if self._answered:
                log.warning("backend.away", extra={"backend": self.name, "error": str(error)})
            self._answered = False
            return False
        self.health.backend(self.name, reachable=True)
        if not self._answered:
            log.info("backend.back", extra={"backend": self.name})
        self._answered = True
        return True


@dataclass(frozen=True, slots=True)
class Outages:
    """Whether an attempt's error is an outage's and not the job's."""

    health: Health
    probes: Mapping[str, Probe] = field(default_factory=dict)

    def explains(self, error_code: str, since: float) -> bool:
        """True when the backend that the error blames was away at some time since then (monotonic), or is now."""
        name = BLAMED.get(error_code)
        if name is None or name not in self.probes:
            return False
        return self.health.away_since(name, since) or not self.probes[name].now()
