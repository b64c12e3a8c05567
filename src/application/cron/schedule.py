"""A cron expression in a time zone: the moments at which it fires.

The expression is read by cronsim, which is asked for times as a clock on the wall shows them. Which moment such a time is,
the zone says, by the rule of Debian's cron: a time of day that is named (`30 2 * * *`) fires once a day, also on the day on which
the clock passes over it (then at the first moment after the gap) or shows it twice (then at the first). What follows the clock
(minute or hour begins with `*`) fires whenever the clock shows it: not in a gap, twice in an overlap.

Not cronsim's own reckoning in a zone: with a shift of half an hour (Australia/Lord_Howe) version 2.7 leaves out moments of the
hour after it, and what it finds in an overlap depends on where it began (tests/unit/application/test_cron_schedule.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from src.domain.errors import ConfigError

NEAR = 86_400.0
"""Seconds: a jump of the clock that is further away than the longest one lasts is none of ours."""

ANY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - what a wall's clock shows
"""To see whether an expression can be read."""

FIELDS = (5, 6)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`expression` has five fields, or six when seconds stand first. Raises ConfigError for one that can't be read or names
    a day that no month has, and for a zone that nobody knows."""

    expression: str
    zone: str = "UTC"
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_zone", zone_of(self.zone))
        fields = len(self.expression.split())
        if fields not in FIELDS:
            raise ConfigError(
                f"the schedule {self.expression!r} has {fields} fields, not five",
                fix="e.g. `0 3 * * *`: every day at 3",
            )
        try:
            CronSim(self.expression, ANY_TIME)
        except CronSimError as error:
            raise ConfigError(
                f"the schedule {self.expression!r} can't be read: {error}",
                fix="minute (0-59), hour (0-23), day (1-31), month (1-12), day of the week (0-7): numbers, `*`, ranges, lists, `/n`",
            ) from error

    def __str__(self) -> str:
        return f"{' '.join(self.expression.split())} {self.zone}"

    def moments(self, after: float, until: float) -> Iterator[float]:
        """Epoch seconds, later than `after` and not later than `until`, in order, each once. Where the walk begins makes no
        difference to what is found."""
        # Moments are whole seconds; less than a microsecond before one, a clock's reading would be rounded up to it.
        last = float(floor(after))
        for moment in self._walk(last):
            if moment > until:
                return
            if moment > last:
                last = moment
                yield moment

    def next(self, after: float) -> float | None:
        """The first moment later than `after`; None when there is none within 50 years."""
        return next(self.moments(after, float("inf")), None)

    def local(self, at: float) -> datetime:
        """What the zone's clock shows then."""
        return datetime.fromtimestamp(at, self._zone)

    def _walk(self, after: float) -> Iterator[float]:
        offsets = [self.local(after + near).utcoffset() or timedelta() for near in (-NEAR, 0, NEAR)]
        # In an overlap all that the clock shows comes a second time after the whole of it came once: what it showed before
        # `after` may be to come.
        begin = self.local(after).replace(tzinfo=None) - (max(offsets) - min(offsets))
        again: list[float] = []
        for wall in CronSim(self.expression, begin):
            for number, moment in enumerate(self._at(wall)):
                if number:
                    heapq.heappush(again, moment)
                    continue
                while again and again[0] < moment:
                    yield heapq.heappop(again)
                yield moment
        yield from sorted(again)

    def _at(self, wall: datetime) -> tuple[float, ...]:
        """The moments at which the clock shows this; for a time of day that is named, the one that stands for it."""
        first, second = (wall.replace(tzinfo=self._zone, fold=fold).timestamp() for fold in (0, 1))
        if first == second:
            return (first,)
        if first < second:
            return (first,) if self._names_a_time else (first, second)
        # A gap: the earlier reading is by the offset after it, the later one by the offset before it.
        return (self._end_of_gap(second, first),) if self._names_a_time else ()

    def _end_of_gap(self, before: float, behind: float) -> float:
        """The first moment with the new offset; both readings of a time in the gap lie on either side of it."""
        low, high = int(before), int(behind)
        offset = self.local(high).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.local(middle).utcoffset() == offset else (middle, high)
        return float(high)

    @property
    def _names_a_time(self) -> bool:
        minute, hour = self.expression.split()[-5:][:2]
        return not (minute.startswith("*") or hour.startswith("*"))


def zone_of(name: str) -> ZoneInfo:
    """Raises ConfigError for a zone that nobody knows."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        # A name with a path in it, a folder of zones, or no such file.
        raise ConfigError(f"there is no time zone {name[:80]!r}", fix="e.g. Asia/Seoul, Europe/Berlin, UTC") from error
