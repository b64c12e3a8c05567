"""Several ways of telling an administrator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.application.ports.ledger import DeadLetter
from src.application.ports.notify import AdminNotifier
from src.application.ports.ops_events import OpsEvent


@dataclass(frozen=True, slots=True)
class SeveralNotifiers:
    """All of `notifiers`, in that order. One that fails keeps those behind it waiting and is tried again with those before
    it: put those first that know what they were told."""

    notifiers: Sequence[AdminNotifier]

    def notify(self, letter: DeadLetter) -> None:
        """Raises NetworkError of the first that fails."""
        for notifier in self.notifiers:
            notifier.notify(letter)

    def notify_event(self, event: OpsEvent) -> None:
        """As `notify`."""
        for notifier in self.notifiers:
            notifier.notify_event(event)
