"""Events as lines of the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from src.application.ports.outbox import JobEvent

log = logging.getLogger("mediaworker.events")


@dataclass(frozen=True, slots=True)
class LogSink:
    """EventSink."""

    def send(self, event: JobEvent) -> None:
        """Never fails."""
        log.info(
            event.type,
            extra={"event_id": event.id, "job": event.job_id, "tenant": event.tenant, "data": dict(event.data)},
        )
