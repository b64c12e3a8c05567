"""Which objects a request to delete a video may name: its own source and what lies under its own folder, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from src.domain.errors import InvalidPayload, TenantMismatch
from src.domain.ids import check_tenant, identifier, storage_key, tenant_of_key
from src.domain.video.keys import raw_prefix, video_prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What to delete, already checked against tenant and video. `prefix` ends with a slash; either may be None."""

    tenant: str
    video_id: str
    file_key: str | None
    prefix: str | None
    asked_at: float | None = None
    """when the request was made (epoch seconds), where it says so"""


def make_removal(
    tenant: object, video_id: object, file_key: object, hls_prefix: object, *, asked_at: float | None = None
) -> Removal:
    """Check what a message names. Empty and None mean "not this one", but not both. Raises InvalidPayload, TenantMismatch: nothing of
    such a request may be deleted, not even the half that is right."""
    owner, video = identifier(tenant, "tenant_id"), identifier(video_id, "video_id")
    key = None if file_key in (None, "") else _source(storage_key(file_key, "file_key"), owner)
    prefix = None if hls_prefix in (None, "") else _prefix(hls_prefix, owner, video)
    if key is None and prefix is None:
        raise InvalidPayload("neither file_key nor hls_prefix: nothing is named", fix="send what is to be deleted")
    return Removal(tenant=owner, video_id=video, file_key=key, prefix=prefix, asked_at=asked_at)


def check_source(removal: Removal, source_key: str | None) -> None:
    """The second look at the source, when the video's row may be known (`source_key`; None: there is no row). A key in the
    tenant's folder of sources need not name the video (contracts.md 1.11: session and upload id), so a row decides, where
    there is one. Raises InvalidPayload."""
    key = removal.file_key
    if key is None or key == source_key:
        return
    folder = raw_prefix(removal.tenant)
    if not key.startswith(folder):
        raise InvalidPayload(
            f"file_key {key[:80]!r} is not under {folder}, and video {removal.video_id} has no row that names it",
            fix="send the key under which the video was uploaded",
        )
    path = PurePosixPath(key.removeprefix(folder))
    if source_key is not None and removal.video_id not in (path.parts[0], path.stem):
        raise InvalidPayload(
            f"file_key {key[:80]!r} is not the source of video {removal.video_id}",
            fix="send the source_key of the video's row",
        )


def _source(key: str, tenant: str) -> str:
    check_tenant(key, tenant)
    if tenant_of_key(key) is not None and not key.startswith(raw_prefix(tenant)):
        # tenants/x/video/hls/..., tenants/x/ai/...: a tenant's object, but no upload of a video.
        raise InvalidPayload(f"file_key {key[:80]!r} is not an uploaded video", fix=f"under {raw_prefix(tenant)}")
    return key


def _prefix(value: object, tenant: str, video_id: str) -> str:
    """With its slash: without it, `.../hls/1` is also the beginning of `.../hls/12/`."""
    if not isinstance(value, str):
        raise InvalidPayload(f"hls_prefix must be a string, got {type(value).__name__}")
    prefix = storage_key(value.removesuffix("/"), "hls_prefix") + "/"
    owner, own = tenant_of_key(prefix), video_prefix(tenant, video_id)
    if owner is not None and owner != tenant:
        raise TenantMismatch(f"hls_prefix {prefix[:80]!r} belongs to tenant {owner!r}, the request to {tenant!r}")
    if not prefix.startswith(own):
        raise InvalidPayload(
            f"hls_prefix {prefix[:80]!r} is not the folder of video {video_id}, nor within it", fix=f"send {own}"
        )
    return prefix
