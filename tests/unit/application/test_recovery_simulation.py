"""The Batch road under everything that goes wrong, 200 jobs a seed: nothing is lost, nothing happens twice (F33-F35, lessons 8-13)."""

from __future__ import annotations

import pytest

from tests.unit.application.recovery_storm import storm


@pytest.mark.parametrize("seed", range(3))
def test_every_job_ends_once_whatever_is_lost(seed: int) -> None:
    storm(seed, jobs=200)
