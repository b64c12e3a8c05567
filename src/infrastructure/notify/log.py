"""Tells an administrator in the log: what alerting already reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent

log = logging.getLogger("mediaworker.alert")


@dataclass(frozen=True, slots=True)
class LogNotifier:
    """One line of severity ERROR: `dead_letter` per letter, `ops_event` per event."""

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

    def notify_event(self, event: OpsEvent) -> None:
        """As `notify`."""
        log.error(
            "ops_event",
            extra={
                "event_type": event.type.value,
                "severity": event.severity.value,
                "tenant": event.tenant,
                "video": event.video_id,
                "job": event.job_id,
                "aws_batch_job_id": event.aws_batch_job_id,
                "payload": dict(event.payload),
                "then": f"mediaworker events list --job {event.job_id}" if event.job_id else "mediaworker events list",
            },
        )
