"""Days as people in one zone live them: 23 to 25 hours long."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo


def day_before(now: float, zone: tzinfo) -> date:
    """Yesterday, for somebody in `zone` at `now` (epoch seconds)."""
    return datetime.fromtimestamp(now, zone).date() - timedelta(days=1)


def bounds(day: date, zone: tzinfo) -> tuple[float, float]:
    """(first moment of the day, first moment of the next one), epoch seconds."""
    begins, ends = (datetime(each.year, each.month, each.day, tzinfo=zone) for each in (day, day + timedelta(days=1)))
    return begins.timestamp(), ends.timestamp()
