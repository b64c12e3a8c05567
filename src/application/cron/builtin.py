"""The entries that every scheduler knows (seed 000, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from src.application.cron.entry import Occasion, Payload


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """`schedule` is the default, in the zone of the settings."""

    name: str
    schedule: str
    type: str
    payload: Payload


def _always(payload: Mapping[str, Any]) -> Payload:
    return lambda _occasion: dict(payload)


def _the_day_before(occasion: Occasion) -> Mapping[str, Any]:
    """The day that has just ended where the entry's clock hangs; after a day without a scheduler, still the day of the moment."""
    return {"date": (occasion.at.date() - timedelta(days=1)).isoformat()}


BUILT_IN = (
    BuiltIn("cache_cleanup", "0 3 * * *", "cleanup", _always({"target": "cache"})),
    BuiltIn("session_cleanup", "0 * * * *", "cleanup", _always({"target": "sessions"})),
    BuiltIn("full_reindex", "0 4 * * *", "index", _always({"all": True})),
    BuiltIn("daily_statistics", "0 0 * * *", "daily_statistics", _the_day_before),
)
