"""Videos as producers ask for them, and what became of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from src.domain.video.keys import attempt_prefix
from src.domain.video.video import Video
from tests.functional.fleet import Fleet

ASKED_AT = "2026-01-01T00:00:00Z"


def store(fleet: Fleet, clip: Path, video: str, tenant: str = "acme") -> str:
    """Upload a source, as an API does before it publishes; its key."""
    key = f"tenants/{tenant}/video/raw/{video}/{clip.name}"
    fleet.adapters.storage().put_file(key, clip, content_type="video/mp4", cache_control="no-cache")
    return key


def new_body(video: str, key: str, job: str, tenant: str = "acme") -> bytes:
    """The body of docs/publishing.md, with the job's id in it."""
    body = {"job_id": job, "video_id": video, "tenant_id": tenant, "file_key": key, "created_at": ASKED_AT}
    return json.dumps(body).encode()


def old_body(video: str, key: str, tenant: str = "acme") -> bytes:
    """The body that older producers send: the job's id follows from its content."""
    body = {"video_id": video, "file_key": key, "tenant_code": tenant, "created_at": ASKED_AT, "attempt": 1}
    return json.dumps(body).encode()


def shown(fleet: Fleet, video: str) -> Video:
    """The video's row."""
    row: Video | None = fleet.adapters.videos().find(video)
    assert row is not None, f"no video {video}"
    return row


def objects(fleet: Fleet, video: str, tenant: str = "acme") -> dict[str, int]:
    """{key: size} of all that storage holds of a video's output, whichever attempt wrote it."""
    prefix = f"tenants/{tenant}/video/hls/{video}/"
    return {stored.key: stored.size for stored in fleet.adapters.storage().list(prefix)}


def objects_of(fleet: Fleet, video: str, job: str, fence: int, tenant: str = "acme") -> dict[str, int]:
    """Those of one attempt of the job's first generation."""
    prefix = attempt_prefix(tenant, video, job_id=job, generation=1, fence=fence)
    return {key: size for key, size in objects(fleet, video, tenant).items() if key.startswith(prefix)}


def outcomes(fleet: Fleet, job: str) -> list[str | None]:
    """How the job's attempts ended, oldest first."""
    return [attempt.outcome for attempt in fleet.adapters.ledger().attempts(job)]


def started(fleet: Fleet) -> Counter[str]:
    """{job: how often some worker began it}, by the workers' logs."""
    return Counter(
        event["job"]
        for number in range(len(fleet.processes))
        for event in fleet.events(number)
        if event["event"] == "attempt.started"
    )
