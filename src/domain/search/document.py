"""What of a content's record is put into the search index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

FIELDS = (
    "id",
    "title",
    "description",
    "players",
    "event_type",
    "year",
    "brand",
    "quality",
    "created_at",
    "view_count",
    "duration_seconds",
    "resolution",
    "thumbnail_path",
    "series_id",
    "episode_number",
    "is_remastered",
)
"""What is searched, filtered and sorted by, and what a page of hits shows. Not `file_path`: whoever may search may read all of a
hit, and where films lie is nobody's business."""


def document_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record's FIELDS, without those that it does not have. `created_at` becomes epoch seconds where it is a time in ISO 8601
    (UTC unless it says otherwise), so that all of them sort as one kind; any other text stays."""
    document = {name: record[name] for name in FIELDS if record.get(name) is not None}
    if isinstance(when := document.get("created_at"), str):
        document["created_at"] = _epoch(when)
    return document


def _epoch(text: str) -> float | str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
