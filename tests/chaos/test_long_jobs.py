"""The issue's own numbers: a job of 25 s under a lease of 5 s, two live workers; the short form is test_f01_... ."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.domain.job import JobState
from tests.functional.fleet import Fleet, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.mark.parametrize("action", ["sleep", "spin", "hold_the_interpreter"])
def test_a_job_of_five_leases_is_started_once(tmp_path: Path, action: str) -> None:
    fleet = Fleet(tmp_path / "data", {"WORKER_LEASE__TTL_SECONDS": "5", "WORKER_LEASE__SCAN_SECONDS": "1"})
    try:
        fleet.submit("job-1", action, seconds=25)
        fleet.start()
        fleet.start()
        wait_for(lambda: fleet.job("job-1").state.is_terminal, 120, "the job ends")
        assert fleet.job("job-1").state is JobState.SUCCEEDED
        assert len(fleet.entries("start", "job-1")) == 1
    finally:
        fleet.close()
