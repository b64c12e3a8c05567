"""The Batch road under everything that goes wrong, at length."""

from __future__ import annotations

import pytest

from tests.unit.application.recovery_storm import storm

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_thousand_jobs_end_once_whatever_is_lost(seed: int) -> None:
    storm(seed, jobs=1000)
