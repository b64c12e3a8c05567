"""Sessions and views in memory."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from src.application.ports.clock import Clock
from src.application.ports.statistics import MOST_POPULAR, DailyStatistics, PopularContent


@dataclass
class MemorySessions:
    """Sessions. `expires`: {session id: epoch seconds}."""

    clock: Clock
    expires: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def cleanup_expired_sessions(self) -> int:
        """By the given clock."""
        with self._lock:
            gone = [name for name, at in self.expires.items() if at < self.clock.now()]
            for name in gone:
                del self.expires[name]
        return len(gone)


@dataclass(frozen=True, slots=True)
class View:
    """Somebody watched something."""

    content_id: str
    user_id: str | None
    watched_seconds: float
    viewed_at: float


@dataclass
class MemoryStatistics:
    """Statistics."""

    views: list[View] = field(default_factory=list)
    saved: dict[date, DailyStatistics] = field(default_factory=dict)

    def of_day(self, day: date, *, begins: float, ends: float) -> DailyStatistics:
        """Counted each time."""
        seen = [view for view in self.views if begins <= view.viewed_at < ends]
        count = Counter(view.content_id for view in seen)
        best = sorted(count.items(), key=lambda each: (-each[1], each[0]))[:MOST_POPULAR]
        return DailyStatistics(
            date=day,
            total_views=len(seen),
            unique_users=len({view.user_id for view in seen} - {None}),
            total_watch_time=float(sum(view.watched_seconds for view in seen)),
            popular_contents=tuple(PopularContent(content_id=name, views=times) for name, times in best),
        )

    def save(self, statistics: DailyStatistics) -> None:
        """The latest counts."""
        self.saved[statistics.date] = statistics

    def find(self, day: date) -> DailyStatistics | None:
        """What was saved."""
        return self.saved.get(day)
