"""A year in four zones with five schedulers and random outages (G15): no moment twice, none missed but by the policy."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.application.cron_year import CronYear


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_f39_g15_a_year_without_a_double_and_without_an_unplanned_miss() -> None:
    year = CronYear(20_260_101, datetime(2026, 1, 1, tzinfo=UTC), days=365)
    year.run()
    year.check()
    assert year.outages > 50
    assert year.looks > 8000
