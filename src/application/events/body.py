"""How an event looks on its way out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from src.application.ports.outbox import JobEvent

SOURCE = "mediaworker"


class BodyFormat(StrEnum):
    """`plain`: the event's data with `event_id` (seed 000). `envelope`: the content platform's bus (contracts.md 4.1).
    `cloudevents`: CloudEvents 1.0, JSON (https://github.com/cloudevents/spec)."""

    PLAIN = "plain"
    ENVELOPE = "envelope"
    CLOUDEVENTS = "cloudevents"


def body(event: JobEvent, form: BodyFormat, source: str = SOURCE) -> bytes:
    """The same bytes for the same event, whatever an error's text holds (half of a surrogate pair from a file's name)."""
    text = json.dumps(document(event, form, source), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def document(event: JobEvent, form: BodyFormat, source: str = SOURCE) -> Mapping[str, Any]:
    """As JSON values."""
    at = datetime.fromtimestamp(event.at, UTC).isoformat().replace("+00:00", "Z")
    if form is BodyFormat.PLAIN:
        return {**event.data, "event_id": event.id}
    if form is BodyFormat.ENVELOPE:
        return {
            "event_id": event.id,
            "event_type": event.type,
            "source_block": source,
            "target_block": None,
            "payload": dict(event.data),
            "correlation_id": event.job_id,
            "timestamp": at,
        }
    cloud: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/{source}",
        "type": event.type,
        "time": at,
        "datacontenttype": "application/json",
        "tenantid": event.tenant,
        "data": dict(event.data),
    }
    if event.subject:
        cloud["subject"] = event.subject
    if event.trace:
        cloud["traceparent"] = event.trace
    return cloud
