"""Daily figures, on every database."""

from __future__ import annotations

from datetime import date

from src.application.ports.statistics import DailyStatistics, PopularContent
from tests.contracts.backends.content import StatisticsPlace

DAY = date(2026, 3, 1)
BEGINS, ENDS = 1_700_000_000.0, 1_700_086_400.0


def test_a_day_without_views_counts_nothing(views_at: StatisticsPlace) -> None:
    assert views_at.statistics().of_day(DAY, begins=BEGINS, ends=ENDS) == DailyStatistics(
        date=DAY, total_views=0, unique_users=0, total_watch_time=0.0
    )


def test_views_users_and_seconds_of_the_day_alone_are_counted(views_at: StatisticsPlace) -> None:
    views_at.watch("a", "u1", 60.5, BEGINS)
    views_at.watch("a", "u2", 30, BEGINS + 10)
    views_at.watch("b", "u1", 9.5, ENDS - 1)
    views_at.watch("b", None, 1, BEGINS + 20)
    views_at.watch("c", "u3", 999, ENDS)
    views_at.watch("c", "u4", 999, BEGINS - 1)
    assert views_at.statistics().of_day(DAY, begins=BEGINS, ends=ENDS) == DailyStatistics(
        date=DAY,
        total_views=4,
        unique_users=2,
        total_watch_time=101.0,
        popular_contents=(PopularContent(content_id="a", views=2), PopularContent(content_id="b", views=2)),
    )


def test_the_ten_most_viewed_are_named_most_viewed_first(views_at: StatisticsPlace) -> None:
    for number in range(12):
        for _ in range(number % 6 + 1):
            views_at.watch(f"film-{number:02}", "u1", 1, BEGINS + number)
    found = views_at.statistics().of_day(DAY, begins=BEGINS, ends=ENDS).popular_contents
    assert [(each.content_id, each.views) for each in found] == [
        ("film-05", 6), ("film-11", 6), ("film-04", 5), ("film-10", 5), ("film-03", 4), ("film-09", 4), ("film-02", 3),
        ("film-08", 3), ("film-01", 2), ("film-07", 2),
    ]  # fmt: skip


def test_figures_are_kept_by_day_and_replaced_by_later_ones(views_at: StatisticsPlace) -> None:
    statistics = views_at.statistics()
    assert statistics.find(DAY) is None
    for times in (1, 2):
        views_at.watch("a", "u1", 5, BEGINS)
        counted = statistics.of_day(DAY, begins=BEGINS, ends=ENDS)
        statistics.save(counted)
        assert counted.total_views == times
        assert statistics.find(DAY) == counted
    statistics.save(DailyStatistics(date=date(2026, 3, 2), total_views=9, unique_users=1, total_watch_time=0.5))
    assert statistics.find(DAY) == counted
