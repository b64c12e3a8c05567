"""What a video job asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.domain.errors import InvalidPayload
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.video.ladder import LADDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeVideo:
    """Turn the object `file_key` into the HLS stream of `video_id`. `ladder` names a preset, None takes the settings'."""

    video_id: str
    tenant: str
    file_key: str
    ladder: str | None = None


def parse_encode_video(tenant: str, payload: Mapping[str, Any]) -> EncodeVideo:
    """Read a job's payload; fields of newer or older publishers that mean nothing here are passed over. Raises
    InvalidPayload, and TenantMismatch when the payload or the key names another tenant."""
    owner = identifier(tenant, "tenant_id")
    for name in ("video_id", "file_key"):
        if name not in payload:
            raise InvalidPayload(f"a video job needs {name}", fix="publish video_id and file_key")
    ladder = payload.get("ladder")
    if ladder is not None and (not isinstance(ladder, str) or ladder not in LADDERS):
        raise InvalidPayload(f"no ladder {str(ladder)[:40]!r}", fix=f"there are {', '.join(sorted(LADDERS))}")
    return EncodeVideo(
        video_id=identifier(payload["video_id"], "video_id"),
        tenant=owner,
        file_key=check_tenant(storage_key(payload["file_key"], "file_key"), owner),
        ladder=ladder,
    )


JOB_TYPE = "video"
"""The name under which video jobs are registered."""

SUBJECT = "video:"
"""What a video's subject begins with."""


def video_subject(_tenant: str, payload: Mapping[str, Any]) -> str | None:
    """At most one active job per video."""
    return f"{SUBJECT}{payload['video_id']}" if "video_id" in payload else None
