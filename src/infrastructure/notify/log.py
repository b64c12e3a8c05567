"""Tells an administrator in the log: what alerting already reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from src.application.ports.ledger import DeadLetter

log = logging.getLogger("mediaworker.alert")


@dataclass(frozen=True, slots=True)
class LogNotifier:
    """One line of severity ERROR, event `dead_letter`, per letter."""

    def notify(self, letter: DeadLetter) -> None:
        """Never fails: a log that can't be written loses lines, not jobs."""
        log.error(
            "dead_letter",
            extra={
                "letter": letter.id,
                "job": letter.job_id,
                "job_type": letter.type,
                "tenant": letter.tenant,
                "attempts": letter.attempts,
                "error_class": letter.error.code,
                "error": letter.error.message,
                "then": f"mediaworker dlq show {letter.id}",
            },
        )
