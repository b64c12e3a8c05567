"""Daily figures of what was watched (contracts.md 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

MOST_POPULAR = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularContent:
    """One of the most viewed."""

    content_id: str
    views: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyStatistics:
    """`total_watch_time` in seconds; `popular_contents` most viewed first, at most MOST_POPULAR."""

    date: date
    total_views: int
    unique_users: int
    total_watch_time: float
    popular_contents: Sequence[PopularContent] = ()

    def to_json(self) -> Mapping[str, Any]:
        """As it is stored and sent."""
        popular = [{"content_id": each.content_id, "views": each.views} for each in self.popular_contents]
        return {
            "date": self.date.isoformat(),
            "total_views": self.total_views,
            "unique_users": self.unique_users,
            "total_watch_time": self.total_watch_time,
            "popular_contents": popular,
        }


class Statistics(Protocol):
    """Raises DatabaseUnavailable."""

    def of_day(self, day: date, *, begins: float, ends: float) -> DailyStatistics:
        """Counted from the views in [begins, ends) (epoch seconds). Of contents with the same number of views the smaller id
        comes first. A view without a user counts as a view and as no user."""

    def save(self, statistics: DailyStatistics) -> None:
        """Keep; the same day again replaces the figures of before."""

    def find(self, day: date) -> DailyStatistics | None:
        """What was saved."""
