"""A minute of moments, one each second, with schedulers that are killed all the time (F39), on every ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.functional.cron_crowd import check, crowd
from tests.functional.fleet import Fleet
from tests.functional.places import Place, place

PLACES: Mapping[str, Callable[[], AbstractContextManager[Place]]] = {
    "sqlite": place,
    "postgres": lambda: place(queue="postgres", database="postgres"),
    "redis": lambda: place(queue="redis", lock="redis", ledger="redis"),
}
"""By where the ledger is."""


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("ledger", list(PLACES))
def test_f39_i10_five_schedulers_a_minute_of_seconds_and_ten_deaths(ledger: str, tmp_path: Path) -> None:
    with PLACES[ledger]() as found:
        fleet = Fleet(tmp_path / "data", found.environ)
        try:
            crowd(fleet, ticks=60, deaths=10, seed=39)
            assert check(fleet) >= 60
        finally:
            fleet.close()
