"""Hears events from each road, and keeps those that can't become jobs yet."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from src.application.events.hear import Hearing
from src.application.events.relay import LEAD_SECONDS
from src.application.ports.event_source import EventSource, Heard
from src.domain.errors import UnexpectedError, WorkerError

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Longest wait of one receive: how late SIGTERM may be heeded."""

KEPT = 10_000
"""Events of a road without memory that are kept while the ledger is away; older ones go, and are told of."""

PAUSE_SECONDS = 1.0
"""After an event that could not become jobs yet, and after a receive that failed."""

STANDBY_SECONDS = LEAD_SECONDS - WAIT_SECONDS
"""How long an event is kept that another listener acts on: less than its lead lasts, or what it did would be done again."""

MOST_TRIES = 5
"""Of an event that trips over something nobody foresaw; then it is kept aside, and those behind it go on."""


@dataclass(slots=True)
class _Kept:
    heard: Heard
    at: float
    """monotonic"""
    fresh: str = field(default_factory=lambda: uuid.uuid4().hex)
    """stands for the id that it has not"""
    tries: int = 0


@dataclass
class Listener:
    """One road. `turn` is called again and again by one thread. With `may_act`, events without an id are heard only when it
    says so: of several listeners to a road that tells everybody, one. The others keep them for a while: should the one that
    acts be dead, the one that takes its place acts on them."""

    source: EventSource
    hearing: Hearing
    may_act: Callable[[], bool] = lambda: True
    count: Callable[[], object] = lambda: None
    """called for each event that was heard to its end"""
    _waiting: deque[_Kept] = field(default_factory=deque, init=False)
    _standby: deque[_Kept] = field(default_factory=lambda: deque(maxlen=KEPT), init=False)

    def turn(self) -> float:
        """Hear what there is; seconds until the next turn. Raises NetworkError."""
        if not self._waiting:
            self._keep(self.source.receive(wait_seconds=WAIT_SECONDS))
        if not self._tried(self._take_over):
            return self._pause()
        while self._waiting:
            kept = self._waiting[0]
            if not self._tried(lambda kept=kept: self._hear(kept)):  # type: ignore[misc]
                return self._pause()
            self._waiting.popleft()
            self.source.done([kept.heard])
            self.count()
        return 0.0

    def _tried(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except WorkerError as error:
            log.warning("event.waits", extra={"error_class": error.code, "error": str(error)})
            return False
        return True

    def _pause(self) -> float:
        if not self.source.remembers:
            # It goes on meanwhile.
            self._keep(self.source.receive(wait_seconds=0))
        return PAUSE_SECONDS

    def _hear(self, kept: _Kept) -> None:
        heard = kept.heard
        if heard.id is None and not self.may_act():
            self._standby.append(kept)
            return
        try:
            jobs = self.hearing.hear(heard, kept.fresh)
        except WorkerError:
            raise
        except Exception as error:
            kept.tries += 1
            log.exception("event.broken", extra={"source": heard.source, "type": heard.type, "tries": kept.tries})
            if kept.tries < MOST_TRIES:
                raise UnexpectedError(str(error)) from error
            self.hearing.give_up(heard, error, kept.fresh)
            return
        if jobs:
            log.info("event.heard", extra={"source": heard.source, "type": heard.type, "jobs": list(jobs)})

    def _take_over(self) -> None:
        """What was left to another listener that said nothing since, before what came later."""
        oldest = self.hearing.clock.monotonic() - STANDBY_SECONDS
        while self._standby and self._standby[0].at < oldest:
            self._standby.popleft()
        if self._standby and self.may_act():
            log.info("event.taken_over", extra={"events": len(self._standby)})
            self._waiting.extendleft(reversed(self._standby))
            self._standby.clear()

    def _keep(self, found: Sequence[Heard]) -> None:
        for heard in found:
            if len(self._waiting) >= KEPT:
                lost = self._waiting.popleft().heard
                log.error("event.lost", extra={"source": lost.source, "type": lost.type, "because": f"{KEPT} wait"})
            self._waiting.append(_Kept(heard, self.hearing.clock.monotonic()))
