"""EventBridge: {"source", "detail-type", "detail"}. S3's events, or any other body as the detail."""

from __future__ import annotations

from src.application.decoders.asked import Document, Found, Wrapped, mapping, text, trace_of
from src.application.decoders.s3_object import version_of, video_asked
from src.application.decoders.settings import DecoderSettings


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """Keys are not URL-encoded here, unlike in S3's own notification. Other S3 events than a creation ask for nothing."""
    if "detail-type" not in document or "detail" not in document:
        return None
    detail = mapping(document, "detail")
    if document.get("source") != "aws.s3":
        return Wrapped(detail, trace_of(document.get("traceparent")))
    if document["detail-type"] != "Object Created":
        return []
    thing = mapping(detail, "object")
    version = version_of(thing.get("version-id"), thing.get("sequencer"), thing.get("etag"))
    return [video_asked(text(mapping(detail, "bucket"), "name"), text(thing, "key"), version, settings)]
