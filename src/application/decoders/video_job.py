"""The new video body: job_id, video_id, tenant_id, file_key (contracts.md 1.2)."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, check_created_at, required_tenant, source_key
from src.application.decoders.settings import DecoderSettings
from src.domain.ids import identifier


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """The sender's job id is the row's. A body with a payload names its own type and is no video body."""
    if "job_id" not in document or "video_id" not in document or "payload" in document:
        return None
    check_created_at(document)
    tenant = required_tenant(document, "tenant_id", "tenant_code")
    video_id = identifier(document["video_id"], "video_id")
    return [
        Asked(
            id=identifier(document["job_id"], "job_id"),
            type=settings.video_type,
            tenant=tenant,
            payload={"video_id": video_id, "file_key": source_key(document, tenant)},
        )
    ]
