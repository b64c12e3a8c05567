"""The AI body: job_id, job_type (or type, or task), tier, payload, tenant_id, source_domain, source_id (contracts.md 1.2)."""

from __future__ import annotations

from src.application.decoders.asked import (
    Asked,
    Document,
    Found,
    check_created_at,
    mapping,
    required_tenant,
    tenant_in,
    text,
)
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import TenantMismatch
from src.domain.ids import identifier

TIERS = ("lite", "basic", "premium")


def read(document: Document, _settings: DecoderSettings) -> Found | None:
    """A body without a tenant, or with another one in its payload, is never run. Tier and source travel in the payload."""
    if "job_id" not in document or "payload" not in document:
        return None
    check_created_at(document)
    payload = mapping(document, "payload")
    tenant = required_tenant(document, "tenant_id")
    inside = tenant_in(payload, "tenant_id")
    if inside is not None and inside != tenant:
        raise TenantMismatch(f"the message is of tenant {tenant!r}, its payload of {inside!r}")
    beside = {name: document[name] for name in ("source_domain", "source_id") if document.get(name) is not None}
    if "tier" in document:
        # The origin's rule: an unknown tier is a basic one.
        beside["tier"] = document["tier"] if document["tier"] in TIERS else "basic"
    alias = next((name for name in ("job_type", "type", "task") if name in document), "job_type")
    return [
        Asked(
            id=identifier(document["job_id"], "job_id"),
            type=text(document, alias),
            tenant=tenant,
            payload={**beside, **payload},
        )
    ]
