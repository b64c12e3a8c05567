"""What an index job is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.domain.errors import InvalidPayload
from src.domain.ids import identifier


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """One content, or with None all there are. `removed`: the content is gone, whatever its record says."""

    content_id: str | None
    removed: bool = False


def parse_index(_tenant: str, payload: Mapping[str, Any]) -> IndexRequest:
    """`{content_id}`, `{content_id, "removed": true}` or `{"all": true}`. Raises InvalidPayload."""
    everything, removed = (_flag(payload, name) for name in ("all", "removed"))
    if not everything:
        return IndexRequest(identifier(payload.get("content_id"), "content_id"), removed)
    if removed or payload.get("content_id") is not None:
        raise InvalidPayload('an index job is for one content_id or for "all", not for both')
    return IndexRequest(None)


def _flag(payload: Mapping[str, Any], name: str) -> bool:
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidPayload(f"{name} must be true or false, got {type(value).__name__}")
    return bool(value)
