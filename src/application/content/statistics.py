"""Yesterday's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from src.application.content.settings import ContentSettings
from src.application.outcome import Done, Outcome, Run, Snooze
from src.application.ports.clock import Clock
from src.application.ports.statistics import Statistics
from src.domain.content.days import bounds, day_before
from src.domain.errors import InvalidPayload

EARLIEST, LATEST = date(1971, 1, 1), date(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class CountDay:
    """`day`: None for yesterday, as the one who counts lives it."""

    day: date | None


def parse_daily_statistics(_tenant: str, payload: Mapping[str, Any]) -> CountDay:
    """`date` is `YYYY-MM-DD`, or left out. Raises InvalidPayload."""
    said = payload.get("date")
    if said is None:
        return CountDay(None)
    try:
        day = date.fromisoformat(said) if len(said) == len("2025-12-20") else None
    except (TypeError, ValueError):
        day = None
    if day is None or not EARLIEST <= day <= LATEST:
        raise InvalidPayload(f"date {str(said)[:40]!r} is no day", fix="write it as 2025-12-20, or leave it out")
    return CountDay(day)


@dataclass(frozen=True, slots=True)
class DailyStatisticsHandler:
    """Counts a day and saves it; once more replaces it, so views that came late are in it then."""

    statistics: Statistics
    clock: Clock
    settings: ContentSettings

    def handle(self, request: CountDay, run: Run) -> Outcome:
        """See Handler."""
        zone = self.settings.zone
        day = request.day or day_before(self.clock.now(), zone)
        begins, ends = bounds(day, zone)
        if (left := ends - self.clock.now()) > 0:
            if begins > self.clock.now():
                raise InvalidPayload(f"{day} has not begun in {zone}", fix="ask for a day that is over")
            # Cron's clock may hang elsewhere than the views' (two settings): half a day would be kept as the whole of it.
            return Snooze(left, f"{day} is not over in {zone}")
        counted = self.statistics.of_day(day, begins=begins, ends=ends)
        self.statistics.save(counted)
        return Done(counted.to_json())
