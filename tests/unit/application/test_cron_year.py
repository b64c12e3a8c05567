"""A month with its change of clock, five schedulers and random outages; the year is in tests/chaos/test_cron_year.py."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.application.cron_year import CronYear


@pytest.mark.parametrize(
    ("seed", "first"),
    [
        (1, datetime(2026, 3, 5, tzinfo=UTC)),  # New York on the 8th, Berlin on the 29th, Lord Howe on the 5th of April
        (
            2,
            datetime(2026, 10, 2, tzinfo=UTC),
        ),  # Lord Howe on the 4th, Berlin on the 25th, New York on the 1st of November
    ],
)
def test_f39_g15_a_month_without_a_double_and_without_an_unplanned_miss(seed: int, first: datetime) -> None:
    month = CronYear(seed, first, days=32)
    month.run()
    month.check()
    assert month.outages > 2
    assert month.looks > 500
