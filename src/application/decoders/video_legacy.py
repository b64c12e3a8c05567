"""The old video body: video_id, file_key, tenant_code, created_at, attempt (contracts.md 1.2)."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, check_created_at, count, required_tenant, source_key
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage
from src.domain.ids import derived_id, identifier


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """Its job id comes from its content, so a duplicate meets its first copy in one row."""
    if "video_id" not in document or "job_id" in document or "payload" in document:
        return None
    if "action" in document:
        # The deletion queue's body has the same keys; transcoding what should be deleted would be the worst answer.
        raise InvalidMessage(f"action {str(document['action'])[:40]!r} is not a video job")
    check_created_at(document)
    count(document, "attempt", 1)
    # Bodies of the time between carry both; the number is what the keys are made of.
    tenant = required_tenant(document, "tenant_id", "tenant_code")
    video_id = identifier(document["video_id"], "video_id")
    file_key = source_key(document, tenant)
    return [
        Asked(
            id=derived_id("video", tenant, video_id, file_key),
            type=settings.video_type,
            tenant=tenant,
            payload={"video_id": video_id, "file_key": file_key},
        )
    ]
