"""Tells an administrator about every dead letter and every grave event, once told or told again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from src.application.ports.ledger import DeadLetters
from src.application.ports.notify import AdminNotifier
from src.application.ports.ops_events import OpsEvents
from src.domain.errors import NetworkError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """`notify_admin` from what is durable (letters; events that `is_told`): at least once, whatever dies in between."""

    dead_letters: DeadLetters
    notifier: AdminNotifier
    events: OpsEvents | None = None
    batch: int = 50

    def tick(self) -> int:
        """Tell what nobody was told yet; how many. Raises DatabaseUnavailable."""
        return self._letters() + self._events()

    def _letters(self) -> int:
        told = []
        for letter in self.dead_letters.unnotified(self.batch):
            try:
                self.notifier.notify(letter)
            except NetworkError as error:
                log.warning("notify.failed", extra={"letter": letter.id, "error": str(error)})
                break
            except Exception:
                # A bug met this one. The others are told, once, and this one is tried again.
                log.exception("notify.broken", extra={"letter": letter.id})
                continue
            told.append(letter.id)
        if told:
            self.dead_letters.notified(told)
        return len(told)

    def _events(self) -> int:
        if self.events is None:
            return 0
        told = []
        for event in self.events.untold(self.batch):
            try:
                self.notifier.notify_event(event)
            except NetworkError as error:
                log.warning("notify.failed", extra={"event": event.id, "error": str(error)})
                break
            except Exception:
                log.exception("notify.broken", extra={"event": event.id})
                continue
            told.append(event.id)
        if told:
            self.events.told(told)
        return len(told)
