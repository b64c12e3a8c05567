"""The outbox relay's event: {outboxId, jobType, payload} (contracts.md 3)."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, mapping, tenant_in, text
from src.application.decoders.settings import DecoderSettings
from src.domain.ids import derived_id, identifier


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """The outbox row's id makes the job's, so an event published twice is one job. A missing payload is an empty one:
    the origin's smallest event has none."""
    if "jobType" not in document:
        return None
    payload: Document = {} if document.get("payload") is None else mapping(document, "payload")
    return [
        Asked(
            id=derived_id("outbox", identifier(document.get("outboxId"), "outboxId")),
            type=text(document, "jobType"),
            tenant=tenant_in(document, "tenant", "tenantId") or settings.default_tenant,
            payload=payload,
        )
    ]
