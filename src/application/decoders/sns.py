"""SNS without raw delivery: {"Type": "Notification", "Message": "<the body as text>"}."""

from __future__ import annotations

from src.application.decoders.asked import Document, Found, Wrapped, text, trace_of
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage


def read(document: Document, _settings: DecoderSettings) -> Found | None:
    """Who may write to the queue is the queue's policy; the signature and the URLs in the envelope are not followed."""
    if "Type" not in document or "TopicArn" not in document:
        return None
    if document["Type"] != "Notification":
        raise InvalidMessage(
            f"SNS {str(document['Type'])[:40]!r} is not a notification",
            fix="confirm the subscription with the topic's owner; the worker calls no address from a message",
        )
    attributes = document.get("MessageAttributes")
    attribute = attributes.get("traceparent") if isinstance(attributes, dict) else None
    trace = trace_of(attribute.get("Value")) if isinstance(attribute, dict) else None
    return Wrapped(text(document, "Message").encode(), trace)
