"""Where a thumbnail is looked for."""

from __future__ import annotations

import pytest

from src.domain.content.thumbnail import places


def test_the_wanted_place_comes_first_then_the_times_that_are_known_then_shares() -> None:
    assert places(1000.0, 0.1) == [100.0, 10.0, 30.0, 60.0, 250.0, 500.0, 750.0, 900.0, 0.0]


def test_no_place_lies_behind_the_end_and_none_comes_twice() -> None:
    assert places(20.0, 0.5) == [10.0, 5.0, 15.0, 18.0, 0.0]


@pytest.mark.parametrize("duration", [0.04, 0.2, 1.0, 59.9, 43_200.0])
@pytest.mark.parametrize("position", [0.0, 0.1, 1.0])
def test_every_place_is_inside_the_film(duration: float, position: float) -> None:
    found = places(duration, position)
    assert found
    assert all(0 <= second <= duration for second in found)
    assert len(set(found)) == len(found)
