"""The request to delete a video's objects, as it travels (contracts.md 1.2), and the two ends that write and read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from src.application.ports.clock import Clock
from src.application.ports.queue import Envelope, QueuePublisher
from src.domain.ids import derived_id
from src.domain.moments import moment
from src.domain.video.deletion import Removal, make_removal

ACTION = "delete_r2"


@dataclass(frozen=True, slots=True)
class DeletionQueue:
    """The producer's side. `publisher` is that of the deletion queue."""

    publisher: QueuePublisher
    clock: Clock

    def enqueue_delete_r2(
        self, *, tenant_id: str | int, video_id: str | int, file_key: str, hls_prefix: str
    ) -> Mapping[str, Any]:
        """Ask for the deletion; the body as sent. Call it after the commit that deletes the video (lesson 7). When it
        returns, the request is in the queue; it never says so by a return value that can be passed over (lesson 26). Raises
        QueueUnavailable (call again: a double is harmless); InvalidPayload or TenantMismatch for what a consumer would
        refuse."""
        removal = make_removal(tenant_id, video_id, file_key, hls_prefix)
        body = {
            "action": ACTION,
            "tenant_id": tenant_id,
            "video_id": video_id,
            "file_key": removal.file_key or "",
            "hls_prefix": removal.prefix or "",
            "created_at": datetime.fromtimestamp(self.clock.now(), UTC).isoformat(),
        }
        self.publisher.publish([Envelope(body=json.dumps(body).encode(), key=request_id(removal, body["created_at"]))])
        return body


def parse_removal(tenant: str, payload: Mapping[str, Any]) -> Removal:
    """What the payload asks for. Raises InvalidPayload, TenantMismatch, InvalidMessage for a time that is none."""
    return make_removal(
        tenant,
        payload.get("video_id"),
        payload.get("file_key"),
        payload.get("hls_prefix"),
        asked_at=_moment(payload.get("created_at")),
    )


def request_id(removal: Removal, created_at: object) -> str:
    """The same request delivered twice is one job; asked for again at another time, it is another."""
    return derived_id(
        "delete", removal.tenant, removal.video_id, removal.file_key or "", removal.prefix or "", str(created_at or "")
    )


def _moment(value: object) -> float | None:
    return None if value is None else moment(value, "created_at")
