"""The deletion queue's body: action, tenant_id, video_id, file_key, hls_prefix, created_at (contracts.md 1.2)."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, check_created_at, required_tenant
from src.application.decoders.settings import DecoderSettings
from src.application.video.delete_request import ACTION, parse_removal, request_id
from src.domain.errors import InvalidMessage


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """Keys that are not the video's own end here, before there is a job. Raises InvalidMessage for
    another action."""
    if "action" not in document or "video_id" not in document or "payload" in document:
        if document.get("action") == ACTION:
            raise InvalidMessage(f"{ACTION} without a video_id", fix="send the id of the video whose objects are to go")
        return None
    if document["action"] != ACTION:
        # Such bodies have a video's keys: encoding what somebody wanted something else of would be the worst answer.
        raise InvalidMessage(f"action {str(document['action'])[:40]!r} on a video is not known")
    check_created_at(document)
    tenant = required_tenant(document, "tenant_id")
    names = ("video_id", "file_key", "hls_prefix", "created_at")
    payload = {name: document[name] for name in names if document.get(name) is not None}
    removal = parse_removal(tenant, payload)
    return [
        Asked(
            id=request_id(removal, document.get("created_at")),
            type=settings.deletion_type,
            tenant=tenant,
            payload={**payload, "video_id": removal.video_id},
        )
    ]
