"""CloudEvents 1.x, structured mode: {"specversion", "id", "source", "type", "data"}."""

from __future__ import annotations

import base64
import binascii

from src.application.decoders.asked import Asked, Document, Found, Wrapped, mapping, tenant_in, text, trace_of
from src.application.decoders.body import read_body
from src.application.decoders.decoded import Newer
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage
from src.domain.ids import derived_id

JOB_PREFIX = "job."
"""`video` and `job.video` ask for a job of type `video` with the data as payload; an event with another dotted name
(`com.example.uploaded`) is an envelope around its data."""


def read(document: Document, settings: DecoderSettings) -> Found | Newer | None:
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
    data = _data(document, settings)
    if "s3" in data and "eventName" in data:
        return Wrapped({"Records": [data]}, trace_of(document.get("traceparent")))
    if "Records" in data or "." in event_type.removeprefix(JOB_PREFIX):
        return Wrapped(data, trace_of(document.get("traceparent")))
    return [
        Asked(
            id=derived_id("cloudevents", source, event_id),
            type=event_type.removeprefix(JOB_PREFIX),
            tenant=tenant_in(document, "tenant", "tenantid") or settings.default_tenant,
            payload=data,
        )
    ]


def _data(document: Document, settings: DecoderSettings) -> Document:
    if document.get("data_base64") is None:
        return mapping(document, "data")
    try:
        body = base64.b64decode(text(document, "data_base64"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidMessage("data_base64 is not base64", fix="send the data as an object in data") from error
    return read_body(body, max_bytes=settings.max_bytes, max_depth=settings.max_depth)
