"""What content jobs are asked for, checked before anything is claimed or opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.domain.errors import InvalidPayload
from src.domain.ids import KEY_BYTES, check_tenant, identifier, storage_key

FILE_TYPES = ("thumbnail", "metadata", "cache_warm")
"""Job types whose payload is a ContentFile."""


@dataclass(frozen=True, slots=True)
class ContentFile:
    """`content_id` can name a file. `file_path` is a storage key or an absolute path, without ways out of its place; None
    when the sender does not know it (`content.created` does not) and the record has to say."""

    content_id: str
    file_path: str | None


def parse_content_file(tenant: str, payload: Mapping[str, Any]) -> ContentFile:
    """Raises InvalidPayload, TenantMismatch."""
    content_id = identifier(payload.get("content_id"), "content_id")
    path = payload.get("file_path")
    return ContentFile(content_id, None if path is None else checked_path(path, tenant))


def checked_path(path: object, tenant: str) -> str:
    """The path as it is. Raises InvalidPayload for `..`, empty parts, control characters and more than KEY_BYTES bytes,
    TenantMismatch for a place under another tenant's prefix. Whether an absolute one lies under the media root is for
    `check_root` and `MediaFiles` to say."""
    if not isinstance(path, str) or not path:
        raise InvalidPayload(f"file_path must be a non-empty string, got {type(path).__name__}")
    if len(path) > KEY_BYTES + 1:
        raise InvalidPayload(f"file_path has {len(path)} characters, more than {KEY_BYTES}")
    key = path.removeprefix("/")
    try:
        storage_key(key, "file_path")
    except InvalidPayload as error:
        # Told as it was sent, with its slash.
        raise InvalidPayload(error.message.replace(repr(key[:80]), repr(path[:80])), fix=error.fix) from error
    check_tenant(key, tenant)
    return path


def check_root(path: str, root: Path) -> None:
    """An absolute path is under the media root, by its words alone: where links lead is for the worker to see. Raises
    InvalidPayload."""
    if path.startswith("/") and not Path(path).is_relative_to(root):
        raise InvalidPayload(f"file_path {path[:80]!r} is outside the media root", fix=f"it has to be under {root}")
