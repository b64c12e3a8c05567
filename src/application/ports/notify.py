"""Telling people and other systems."""

from __future__ import annotations

from typing import Protocol

from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent


class AdminNotifier(Protocol):
    """`notify_admin` of the source document."""

    def notify(self, letter: DeadLetter) -> None:
        """Tell an administrator about a dead letter. Raises NetworkError; the letter is then told again later."""

    def notify_event(self, event: OpsEvent) -> None:
        """Tell an administrator about an event. Raises NetworkError; the event is then told again later."""
