"""The content platform's job: id, type, payload, created_at, retry_count, max_retries (seed 000)."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, check_created_at, count, mapping, tenant_in, text
from src.application.decoders.decoded import Named
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import Permanent
from src.domain.ids import identifier

MAX_ATTEMPTS = 25
"""A sender may not ask for endless work."""


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """`max_retries` retries are one attempt more; without it the job type says. `retry_count` is only checked: the ledger counts its own attempts."""
    if "id" not in document or "type" not in document or "payload" not in document:
        return None
    check_created_at(document)
    count(document, "retry_count", 0)
    attempts = count(document, "max_retries", 0) + 1
    return [
        Asked(
            id=identifier(document["id"], "id"),
            type=text(document, "type"),
            tenant=tenant_in(document, "tenant_id", "tenant") or settings.default_tenant,
            payload=mapping(document, "payload"),
            max_attempts=min(attempts, MAX_ATTEMPTS) if "max_retries" in document else None,
        )
    ]


def named(document: Document) -> Named | None:
    """Which job a body of this form names, whatever else is wrong with it."""
    if "id" not in document or "type" not in document or "payload" not in document:
        return None
    try:
        return Named(identifier(document["id"], "id"), text(document, "type"), None)
    except Permanent:
        return None
