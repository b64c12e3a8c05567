"""Tells an administrator about every dead letter and every grave event, once told or told again."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from src.application.ports.ledger import DeadLetters
from src.application.ports.notify import AdminNotifier
from src.application.ports.ops_events import OpsEvents
from src.domain.errors import NetworkError, WorkerError

log = logging.getLogger(__name__)


MOST = 1000
"""Letters, and events, of one look. So many wait at most for a way that is away before those after them are told nobody."""


@dataclass(slots=True)
class Alarm:
    """`notify_admin` from what is durable (letters; events that `is_told`): at least once, whatever dies in between."""

    dead_letters: DeadLetters
    notifier: AdminNotifier
    events: OpsEvents | None = None
    batch: int = 50
    _letters_left: int = field(default=0, init=False)
    """of the look before: some way has yet to be told of them, and the others are not to miss what came after them"""
    _events_left: int = field(default=0, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    """the last tick may come while another thread is at one: both would tell the same"""

    def tick(self) -> int:
        """Tell what nobody was told yet; how many. Raises DatabaseUnavailable."""
        with self._turn:
            return self._letters() + self._events()

    def last(self) -> int:
        """A tick of somebody who will not come again: a database that is away is logged, and what is untold stays for others."""
        try:
            return self.tick()
        except WorkerError as error:
            log.warning("alarm.failed", extra={"error_class": error.code, "error": str(error)})
            return 0

    def _letters(self) -> int:
        told: list[str] = []
        letters = self.dead_letters.unnotified(min(MOST, self.batch + self._letters_left))
        for letter in letters:
            try:
                self.notifier.notify(letter)
            except NetworkError as error:
                # Whoever is away is not asked again for each of them: the notifier sees to that, and others may be there.
                log.info("notify.failed", extra={"letter": letter.id, "error": str(error)})
                continue
            except Exception:
                # A bug met this one. The others are told, once, and this one is tried again.
                log.exception("notify.broken", extra={"letter": letter.id})
                continue
            told.append(letter.id)
        self._letters_left = len(letters) - len(told)
        if told:
            self.dead_letters.notified(told)
        return len(told)

    def _events(self) -> int:
        if self.events is None:
            return 0
        told: list[str] = []
        events = self.events.untold(min(MOST, self.batch + self._events_left))
        for event in events:
            try:
                self.notifier.notify_event(event)
            except NetworkError as error:
                log.info("notify.failed", extra={"event": event.id, "error": str(error)})
                continue
            except Exception:
                log.exception("notify.broken", extra={"event": event.id})
                continue
            told.append(event.id)
        self._events_left = len(events) - len(told)
        if told:
            self.events.told(told)
        return len(told)
