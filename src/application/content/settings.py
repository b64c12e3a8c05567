"""What an operator decides about content jobs; the wiring fills it from WORKER_CONTENT__*."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentSettings:
    """`thumbnail_position`: 0-1 of the duration; the picture fits into width x height."""

    thumbnail_position: float = 0.1
    thumbnail_width: int = 640
    thumbnail_height: int = 360
    zone: tzinfo = UTC
    """whose days are counted"""
    tries: int = 3
    """of one call to storage, before the attempt fails; the retry policy does the rest"""
