"""The content platform's job: id, type, payload, created_at, retry_count, max_retries (seed 000)."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, check_created_at, count, mapping, tenant_in, text
from src.application.decoders.settings import DecoderSettings
from src.domain.ids import identifier

DEFAULT_RETRIES = 3
"""Seed 000."""

MAX_ATTEMPTS = 25
"""A sender may not ask for endless work."""


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """`max_retries` retries are one attempt more. `retry_count` is only checked: the ledger counts its own attempts."""
    if "id" not in document or "type" not in document or "payload" not in document:
        return None
    check_created_at(document)
    count(document, "retry_count", 0)
    return [
        Asked(
            id=identifier(document["id"], "id"),
            type=text(document, "type"),
            tenant=tenant_in(document, "tenant_id", "tenant") or settings.default_tenant,
            payload=mapping(document, "payload"),
            max_attempts=min(count(document, "max_retries", DEFAULT_RETRIES) + 1, MAX_ATTEMPTS),
        )
    ]
