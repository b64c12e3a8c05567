"""Hears events from each road, and keeps those that can't become jobs yet."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.events.hear import Hearing
from src.application.ports.event_source import EventSource, Heard
from src.domain.errors import WorkerError

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Longest wait of one receive: how late SIGTERM may be heeded."""

KEPT = 10_000
"""Events of a road without memory that are kept while the ledger is away; older ones go, and are told of."""

PAUSE_SECONDS = 1.0
"""After an event that could not become jobs yet, and after a receive that failed."""


@dataclass
class Listener:
    """One road. `turn` is called again and again by one thread. With `may_act`, events without an id are heard only when it
    says so: of several listeners to a road that tells everybody, one."""

    source: EventSource
    hearing: Hearing
    may_act: Callable[[], bool] = lambda: True
    count: Callable[[], object] = lambda: None
    """called for each event that was heard to its end"""
    _waiting: deque[tuple[Heard, str]] = field(default_factory=deque, init=False)
    """with the id that stands for the one that it has not"""

    def turn(self) -> float:
        """Hear what there is; seconds until the next turn. Raises NetworkError."""
        if not self._waiting:
            for heard in self.source.receive(wait_seconds=WAIT_SECONDS):
                self._keep(heard)
        while self._waiting:
            heard, fresh = self._waiting[0]
            try:
                jobs = self.hearing.hear(heard, fresh)
            except WorkerError as error:
                log.warning("event.waits", extra={"error_class": error.code, "error": str(error)})
                self._take_what_would_be_lost()
                return PAUSE_SECONDS
            self._waiting.popleft()
            self.source.done([heard])
            self.count()
            if jobs:
                log.info("event.heard", extra={"source": heard.source, "type": heard.type, "jobs": list(jobs)})
        return 0.0

    def _keep(self, heard: Heard) -> None:
        if heard.id is None and not self.may_act():
            self.source.done([heard])
            return
        if len(self._waiting) >= KEPT:
            lost, _ = self._waiting.popleft()
            log.error("event.lost", extra={"source": lost.source, "type": lost.type, "because": f"{KEPT} wait"})
        self._waiting.append((heard, uuid.uuid4().hex))

    def _take_what_would_be_lost(self) -> None:
        """A road without memory goes on meanwhile."""
        for heard in self.source.receive(wait_seconds=0):
            self._keep(heard)
