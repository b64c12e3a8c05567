"""Several ways of telling an administrator, none of which waits for another."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.ledger import DeadLetter
from src.application.ports.notify import AdminNotifier
from src.application.ports.ops_events import OpsEvent
from src.domain.errors import NetworkError

log = logging.getLogger(__name__)

REMEMBERED = 2000
"""Of what was told and may be asked about again: all that the Alarm looks at together, letters and events."""

LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries of one that is away: 1 s, doubled each time."""

TRIES_IN_TURN = 3
"""Of what a way fails at, before it lets what comes later go first."""


@dataclass
class _Way:
    """One of them."""

    name: str
    notifier: AdminNotifier
    told: OrderedDict[str, None] = field(default_factory=OrderedDict)
    failures: int = 0
    not_before: float = 0.0
    """monotonic"""
    failed_at: Counter[str] = field(default_factory=Counter)
    """how often at what"""
    passed_over: set[str] = field(default_factory=set)
    """what is tried again when it is asked for next"""


class SeveralNotifiers:
    """All of `notifiers`, by their names. What fails for one is told again later, to that one alone, as long as this process
    remembers it. One that is away is tried less and less often, and the others are told meanwhile."""

    def __init__(self, notifiers: Sequence[tuple[str, AdminNotifier]], clock: Clock) -> None:
        self._ways = [_Way(name, notifier) for name, notifier in notifiers]
        self._clock = clock

    def notify(self, letter: DeadLetter) -> None:
        """Raises NetworkError when one of them has yet to be told."""
        self._tell(f"letter {letter.id}", lambda notifier: notifier.notify(letter))

    def notify_event(self, event: OpsEvent) -> None:
        """As `notify`."""
        self._tell(f"event {event.id}", lambda notifier: notifier.notify_event(event))

    def _tell(self, what: str, tell: Callable[[AdminNotifier], None]) -> None:
        missed = [way.name for way in self._ways if not self._told(way, what, tell)]
        if missed:
            raise NetworkError(f"{', '.join(missed)}: not told of {what} yet; tried again")
        # Nobody asks about it again.
        for way in self._ways:
            way.told.pop(what, None)

    def _told(self, way: _Way, what: str, tell: Callable[[AdminNotifier], None]) -> bool:
        if what in way.told:
            return True
        if self._clock.monotonic() < way.not_before:
            return False
        if way.failed_at[what] >= TRIES_IN_TURN and what not in way.passed_over:
            # It may be the one thing that this way never takes: what comes after it has a turn in between.
            way.passed_over.add(what)
            return False
        way.passed_over.discard(what)
        try:
            tell(way.notifier)
        except NetworkError as error:
            # A power of two is soon more than any number: one that is away for days still has a pause.
            pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(way.failures, 60))
            way.failures += 1
            way.not_before = self._clock.monotonic() + pause
            way.failed_at[what] += 1
            while len(way.failed_at) > REMEMBERED:
                oldest = next(iter(way.failed_at))
                del way.failed_at[oldest]
                way.passed_over.discard(oldest)
            log.warning("notify.away", extra={"way": way.name, "error": str(error), "again_in_seconds": pause})
            return False
        way.failures, way.not_before = 0, 0.0
        del way.failed_at[what]
        way.told[what] = None
        while len(way.told) > REMEMBERED:
            way.told.popitem(last=False)
        return True
