"""Which of a schedule's moments fire now: pure, without a clock and without knowing how a schedule is written.

All times are epoch seconds. A moment that is younger than the grace is on time and always fires; an older one was missed
(nobody scheduled when it was due), and the entry's policy says what becomes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from src.domain.ids import derived_id

DAY = 86_400.0

GRACE_SECONDS = 60.0
"""A minute, the unit of cron: who is later than that was not there when it was due."""

FILL_SECONDS = 7 * DAY
"""How far back `all` looks unless the entry says otherwise."""

AT_ONCE = 100
"""Moments of one entry that one look fires; the next look goes on with the others."""

Moments = Callable[[float, float], Iterator[float]]
"""(after, until) -> the schedule's moments later than the one and not later than the other, in order"""


class Missed(StrEnum):
    """What becomes of moments that passed while nobody scheduled."""

    SKIP = "skip"
    """nothing"""
    LATEST = "latest"
    """the last of them fires, once, unless a later one is on time"""
    ALL = "all"
    """each of them fires, oldest first, as far back as the policy says"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an entry deals with being late. Both durations in seconds."""

    missed: Missed = Missed.LATEST
    grace_seconds: float = GRACE_SECONDS
    fill_seconds: float = FILL_SECONDS

    def is_late(self, at: float, now: float) -> bool:
        """Whether this moment was missed."""
        return now - at >= self.grace_seconds


def due(moments: Moments, *, after: float, now: float, policy: Policy) -> list[float]:
    """Moments to fire now, oldest first. Nothing up to `after` fires: it did already, or was before the entry was known. The
    cost does not grow with the time that was missed, but for `all`, which the policy bounds."""
    reach = max(policy.grace_seconds, policy.fill_seconds if policy.missed is Missed.ALL else 0.0)
    found = list(islice(moments(max(after, now - reach), now), AT_ONCE))
    if found or policy.missed is not Missed.LATEST:
        return found
    newest = _newest(moments, after, now)
    return [] if newest is None else [newest]


def tick_id(name: str, at: float) -> str:
    """The id of the job of an entry's moment: the same for whoever computes it, so that there can be only one."""
    return derived_id("cron", name, f"{at:.0f}")


def _newest(moments: Moments, after: float, now: float) -> float | None:
    """Looks back a little, then further: a schedule that fires every minute is not walked through for a year."""
    back = 3600.0
    while True:
        last = deque(moments(max(after, now - back), now), maxlen=1)
        if last or now - back <= after:
            return last[0] if last else None
        back *= 24
