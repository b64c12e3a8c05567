"""A minute of moments, one each second, with schedulers that are killed all the time (F39)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.cron_crowd import check, crowd
from tests.functional.fleet import Fleet


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_f39_five_schedulers_a_minute_of_seconds_and_ten_deaths(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "data")
    try:
        crowd(fleet, ticks=60, deaths=10, seed=39)
        assert check(fleet) >= 60
    finally:
        fleet.close()
