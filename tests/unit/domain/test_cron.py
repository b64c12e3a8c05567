"""Which moments fire: against plain lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, strategies as st

from src.domain.cron import AT_ONCE, Missed, Policy, due, tick_id

GRACE, FILL = 60.0, 600.0


def policy(missed: Missed) -> Policy:
    return Policy(missed=missed, grace_seconds=GRACE, fill_seconds=FILL)


class Listed:
    """A schedule that is a list; counts what is looked at."""

    def __init__(self, times: Sequence[float]) -> None:
        self.times = sorted(set(times))
        self.seen = 0

    def moments(self, after: float, until: float) -> Iterator[float]:
        for at in self.times:
            if after < at <= until:
                self.seen += 1
                yield at


@pytest.mark.parametrize(
    ("missed", "expected"), [(Missed.SKIP, []), (Missed.LATEST, [300.0]), (Missed.ALL, [100.0, 200.0, 300.0])]
)
def test_f39_down_for_three_moments(missed: Missed, expected: list[float]) -> None:
    listed = Listed([0, 100, 200, 300, 400])
    assert due(listed.moments, after=0, now=399, policy=policy(missed)) == expected


@pytest.mark.parametrize(
    ("missed", "expected"), [(Missed.SKIP, [300.0]), (Missed.LATEST, [300.0]), (Missed.ALL, [100.0, 200.0, 300.0])]
)
def test_f39_back_in_time_for_the_third(missed: Missed, expected: list[float]) -> None:
    listed = Listed([0, 100, 200, 300, 400])
    assert due(listed.moments, after=0, now=359, policy=policy(missed)) == expected


@pytest.mark.parametrize("missed", list(Missed))
def test_f39_nothing_fires_that_fired_or_was_before_the_first_sight(missed: Missed) -> None:
    listed = Listed([0, 100, 200])
    assert due(listed.moments, after=200, now=230, policy=policy(missed)) == []
    assert due(listed.moments, after=200, now=150, policy=policy(missed)) == []


def test_all_goes_back_as_far_as_the_policy_says() -> None:
    listed = Listed(range(0, 5000, 100))
    assert due(listed.moments, after=0, now=4950, policy=policy(Missed.ALL)) == [
        float(at) for at in range(4400, 5000, 100)
    ]


@pytest.mark.parametrize("missed", list(Missed))
def test_all_that_is_on_time_fires(missed: Missed) -> None:
    assert due(Listed([1, 100, 110, 120]).moments, after=1, now=125, policy=policy(missed)) == [100, 110, 120]


def test_what_is_on_time_is_not_bounded_by_the_fill() -> None:
    short = Policy(missed=Missed.ALL, grace_seconds=GRACE, fill_seconds=10)
    assert due(Listed([100]).moments, after=0, now=130, policy=short) == [100]


def test_a_great_many_come_by_the_hundred() -> None:
    listed = Listed(range(1, 500))
    first = due(listed.moments, after=0, now=500, policy=policy(Missed.ALL))
    assert first == list(range(1, AT_ONCE + 1))
    assert due(listed.moments, after=first[-1], now=500, policy=policy(Missed.ALL))[0] == AT_ONCE + 1


@pytest.mark.parametrize("missed", [Missed.SKIP, Missed.LATEST])
def test_a_long_absence_costs_no_long_walk(missed: Missed) -> None:
    """A year of minutes is not looked at one by one."""
    year = 365 * 86_400

    class Minutes(Listed):
        def moments(self, after: float, until: float) -> Iterator[float]:
            at = (after // 60 + 1) * 60
            while at <= until:
                self.seen += 1
                yield at
                at += 60

    listed = Minutes([])
    now = year + 59.0
    assert due(listed.moments, after=0, now=now, policy=Policy(missed=missed, grace_seconds=30)) == (
        [] if missed is Missed.SKIP else [year]
    )
    assert listed.seen <= 61


TIMES = st.lists(st.integers(0, 1000).map(float) | st.integers(0, 100_000).map(float), max_size=60)
SOME_TIME = st.integers(0, 1100) | st.integers(0, 110_000)


@given(TIMES, SOME_TIME, SOME_TIME, st.sampled_from(list(Missed)))
def test_due_is_what_the_lists_say(times: list[float], after: float, now: float, missed: Missed) -> None:
    passed = [at for at in sorted(set(times)) if after < at <= now]
    on_time = [at for at in passed if now - at < GRACE]
    expected = {
        Missed.SKIP: on_time,
        Missed.LATEST: on_time or passed[-1:],
        Missed.ALL: [at for at in passed if now - at < FILL],
    }[missed]
    assert due(Listed(times).moments, after=after, now=now, policy=policy(missed)) == expected


def test_the_id_of_a_moment_is_the_same_for_everybody() -> None:
    assert tick_id("daily", 1_700_000_000.0) == tick_id("daily", 1_700_000_000.4)
    assert len({tick_id("daily", 60.0), tick_id("daily", 120.0), tick_id("other", 60.0)}) == 3
