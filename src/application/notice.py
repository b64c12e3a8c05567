"""What an administrator is told, in a form that can be sent: never a job's payload, which may be anybody's data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent

MOST_BYTES = 100_000
"""Of a body. SNS takes 262,144; what is longer has an event's payload in it, which is left out then."""

DEAD_LETTER, OPS_EVENT = "worker.dead_letter", "worker.ops_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """`id` is the same however often it is told; `kind` is the error's class or the event's type."""

    id: str
    type: str
    kind: str
    title: str
    at: float
    """epoch seconds"""
    data: Mapping[str, Any]

    def body(self) -> bytes:
        """JSON: `{type, id, timestamp, title, data}`, MOST_BYTES at most."""
        content = self._json(self.data)
        if len(content) > MOST_BYTES:
            content = self._json({name: value for name, value in self.data.items() if name != "payload"})
        return content

    def _json(self, data: Mapping[str, Any]) -> bytes:
        moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {"type": self.type, "id": self.id, "timestamp": moment, "title": self.title, "data": data}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def of_letter(letter: DeadLetter, redact: Callable[[str], str]) -> Notice:
    """About a dead letter. `redact` takes secrets out of texts."""
    what = (
        f"{letter.type or 'the'} job {letter.job_id}" if letter.job_id else f"a message on {letter.queue or 'a queue'}"
    )
    return Notice(
        id=f"dead_letter-{letter.id}",
        type=DEAD_LETTER,
        kind=letter.error.code,
        title=f"mediaworker: {what} was set aside: {letter.error.code}",
        at=letter.created_at,
        data={
            "letter": letter.id,
            "job": letter.job_id,
            "job_type": letter.type,
            "tenant": letter.tenant,
            "queue": letter.queue,
            "attempts": letter.attempts,
            "error": {"class": letter.error.code, "message": redact(letter.error.message)},
            "then": f"mediaworker dlq show {letter.id}",
        },
    )


def of_event(event: OpsEvent, redact: Callable[[str], str]) -> Notice:
    """About a grave event."""
    return Notice(
        id=f"ops_event-{event.id}",
        type=OPS_EVENT,
        kind=event.type.value,
        title=f"mediaworker: {event.type.value}",
        at=event.created_at,
        data={
            "event_type": event.type.value,
            "severity": event.severity.value,
            "tenant": event.tenant,
            "video": event.video_id,
            "job": event.job_id,
            "aws_batch_job_id": event.aws_batch_job_id,
            "payload": {
                name: redact(value) if isinstance(value, str) else value for name, value in event.payload.items()
            },
        },
    )
