"""Telling people and other systems."""

from __future__ import annotations

from typing import Protocol

from src.application.ports.ledger import DeadLetter


class AdminNotifier(Protocol):
    """`notify_admin` of the source document."""

    def notify(self, letter: DeadLetter) -> None:
        """Tell an administrator about a dead letter. Raises NetworkError; the letter is then told again later."""
