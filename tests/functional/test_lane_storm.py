"""The short form of tests/chaos/test_lane_storms.py."""

from __future__ import annotations

from pathlib import Path

from tests.functional.lane_storm import Plan, storm


def test_c1_jobs_in_three_lists_survive_kills_of_workers_and_of_redis(tmp_path: Path) -> None:
    account = storm(tmp_path / "data", Plan(jobs=400, kill_every=3.0, restarts=1, job_seconds=0.02, portion=400))
    assert (account.lost, account.double, account.left) == (0, [], [])
    assert account.restarts == 1
