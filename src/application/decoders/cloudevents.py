"""CloudEvents 1.x, structured mode: {"specversion", "id", "source", "type", "data"}."""

from __future__ import annotations

import base64
import binascii

from src.application.decoders.asked import Asked, Document, Found, Wrapped, mapping, required_tenant, text, trace_of
from src.application.decoders.decoded import Newer
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage
from src.domain.ids import derived_id

JOB_PREFIX = "job."
"""`job.video` asks for a job of type `video` with the data as payload; any other event is an envelope."""


def read(document: Document, _settings: DecoderSettings) -> Found | Newer | None:
    """An event is known by source and id together, as the specification says; the job's id is made of both."""
    if "specversion" not in document:
        return None
    version = text(document, "specversion")
    major = version.partition(".")[0]
    if not (major.isascii() and major.isdigit() and len(major) < 10):
        raise InvalidMessage(f"specversion {version[:40]!r} is not a version")
    if int(major) > 1:
        return Newer(f"cloudevents {version[:40]}")
    source, event_id, event_type = (text(document, name) for name in ("source", "id", "type"))
    if not event_type.startswith(JOB_PREFIX):
        return Wrapped(_data(document), trace_of(document.get("traceparent")))
    return [
        Asked(
            id=derived_id("cloudevents", source, event_id),
            type=event_type.removeprefix(JOB_PREFIX),
            tenant=required_tenant(document, "tenant", "tenantid"),
            payload=mapping(document, "data"),
        )
    ]


def _data(document: Document) -> Document | bytes:
    encoded = document.get("data_base64")
    if encoded is None:
        return mapping(document, "data")
    try:
        return base64.b64decode(text(document, "data_base64"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidMessage("data_base64 is not base64") from error
