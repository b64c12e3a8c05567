"""Tells an administrator about every dead letter, once told or told again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from src.application.ports.ledger import DeadLetters
from src.application.ports.notify import AdminNotifier
from src.domain.errors import NetworkError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """`notify_admin` from the durable letter: at least once, whatever dies in between."""

    dead_letters: DeadLetters
    notifier: AdminNotifier
    batch: int = 50

    def tick(self) -> int:
        """Tell what nobody was told yet; how many. Raises DatabaseUnavailable."""
        told = []
        for letter in self.dead_letters.unnotified(self.batch):
            try:
                self.notifier.notify(letter)
            except NetworkError as error:
                log.warning("notify.failed", extra={"letter": letter.id, "error": str(error)})
                break
            told.append(letter.id)
        if told:
            self.dead_letters.notified(told)
        return len(told)
