"""Schedules: gaps and overlaps of the clock, and that where a search begins makes no difference."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings, strategies as st

from src.application.cron.schedule import Schedule
from src.domain.errors import ConfigError

ZONES = ("Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")

JUMPS = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01")
"""Days on which one of these zones sets its clock."""

FOREVER = float("inf")


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(expression: str, zone: str, begin: str, count: int) -> list[str]:
    """The next moments as the zone's clock shows them, from a local time on."""
    schedule = Schedule(expression, zone)
    after = datetime.fromisoformat(begin).replace(tzinfo=ZoneInfo(zone)).timestamp()
    return [schedule.local(at).isoformat() for at in islice(schedule.moments(after, FOREVER), count)]


@pytest.mark.parametrize(
    ("expression", "zone", "begin", "expected"),
    [
        # A gap: the day's run comes at the first moment behind it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]),
        # Two times in the gap come to the same moment, which fires once.
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
        # An overlap: once, at the first time that the clock shows it.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]),
        # What follows the clock is left out in a gap, and comes again in an overlap.
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30", ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]),
        ("0 * * * *", "Europe/Berlin", "2026-10-25T01:30", ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]),
        ("*/30 1 * * *", "Australia/Lord_Howe", "2026-04-05T00:30", ["2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+11:00", "2026-04-05T01:30:00+10:30"]),
        ("0 4 * * *", "Asia/Seoul", "2026-03-28T12:00", ["2026-03-29T04:00:00+09:00"]),
    ],
)  # fmt: skip
def test_f39_gap_and_overlap(expression: str, zone: str, begin: str, expected: list[str]) -> None:
    assert shown(expression, zone, begin, len(expected)) == expected


def test_f39_the_same_moment_by_two_clocks() -> None:
    after = utc("2026-01-31T00:00")
    assert (
        Schedule("0 4 * * *", "Asia/Seoul").next(after) == Schedule("0 19 * * *").next(after) == utc("2026-01-31T19:00")
    )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", JUMPS)
@pytest.mark.parametrize(
    ("expression", "minutes", "hours"),
    [
        ("*/10 3 * * *", range(0, 60, 10), range(3, 4)),
        ("0 */2 * * *", range(1), range(0, 24, 2)),
        ("*/7 * * * *", range(0, 60, 7), range(24)),
        ("*/15 2-4 * * *", range(0, 60, 15), range(2, 5)),
    ],
)
def test_f39_what_follows_the_clock_fires_whenever_it_shows_it(
    zone: str, day: str, expression: str, minutes: range, hours: range
) -> None:
    """Against every minute of three days, looked at one by one."""
    begin, end = utc(day) - 86_400, utc(day) + 2 * 86_400
    clock = ZoneInfo(zone)
    seen = ((at, datetime.fromtimestamp(at, clock)) for at in range(int(begin) + 60, int(end) + 1, 60))
    expected = [at for at, wall in seen if wall.minute in minutes and wall.hour in hours]
    assert list(Schedule(expression, zone).moments(begin, end)) == expected


def test_f39_the_librarys_own_reckoning_in_a_zone_would_not_do() -> None:
    """Why it is asked for the wall's times only: when this fails, a new version may have mended it."""
    begin = datetime(2026, 10, 4, tzinfo=ZoneInfo("Australia/Lord_Howe"))
    found = next(CronSim("*/10 3 * * *", begin))
    assert found.isoformat() == "2026-10-04T03:30:00+11:00"
    assert shown("*/10 3 * * *", "Australia/Lord_Howe", "2026-10-04T00:00", 1) == ["2026-10-04T03:00:00+11:00"]


EXPRESSIONS = ("30 2 * * *", "0,30 1-3 * * *", "0 * * * *", "*/20 1,2 * * *", "5 */3 * * 0", "*/40 30 2 * * *")


TURNS = (
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Asia/Seoul", "2026-03-29T01:00"),
)
"""When the clocks are set, in UTC (and one that is not)."""


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EXPRESSIONS), st.sampled_from(TURNS), st.floats(-7200, 7200) | st.floats(-90_000, 180_000))
@example(expression="0 * * * *", turn=("Asia/Seoul", "2026-03-29T01:00"), offset=-1.192092896e-07)
def test_where_a_search_begins_makes_no_difference(expression: str, turn: tuple[str, str], offset: float) -> None:
    """A scheduler that starts in the middle of an overlap finds what the others find."""
    zone, at = turn[0], utc(turn[1])
    schedule, start, end = Schedule(expression, zone), at - 2 * 86_400, at + 4 * 86_400
    whole = list(schedule.moments(start, end))
    assert whole == sorted(set(whole))
    assert list(schedule.moments(at + offset, end)) == [moment for moment in whole if moment > at + offset]


def test_f39_a_scheduler_that_starts_in_the_first_pass_of_an_overlap_finds_the_second() -> None:
    quarter_past = datetime.fromisoformat("2026-10-25T02:15:00+02:00").timestamp()
    found = Schedule("0 * * * *", "Europe/Berlin").next(quarter_past)
    assert found == datetime.fromisoformat("2026-10-25T02:00:00+01:00").timestamp()


def test_a_moment_is_later_than_where_the_search_begins() -> None:
    hourly = Schedule("0 * * * *")
    assert hourly.next(utc("2026-01-01T03:00")) == utc("2026-01-01T04:00")
    assert hourly.next(utc("2026-01-01T03:00") - 0.25) == utc("2026-01-01T03:00")
    assert list(hourly.moments(utc("2026-01-01T03:00"), utc("2026-01-01T05:00"))) == [
        utc("2026-01-01T04:00"),
        utc("2026-01-01T05:00"),
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("0 3 * *", "UTC", "has 4 fields"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("0 0 30 2 *", "UTC", "can't be read"),
        ("0 3 * * *", "Europe/Atlantis", "no time zone"),
        ("0 3 * * *", "../../etc/passwd", "no time zone"),
        ("0 3 * * *", "Europe", "no time zone"),
        ("0 3 * * *", "", "no time zone"),
    ],
)
def test_what_can_not_be_a_schedule_is_said(expression: str, zone: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Schedule(expression, zone)
