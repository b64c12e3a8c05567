"""Jobs longer than their lease, on every queue; the issue's own figures (25 s under 5 s) are in tests/chaos."""

from __future__ import annotations

from pathlib import Path

from tests.functional.everywhere import often_on
from tests.functional.long_jobs import started_once


@often_on("sqlite")
def test_f01_jobs_of_two_and_a_half_leases_are_started_once(queue: str, tmp_path: Path) -> None:
    started_once(queue, tmp_path / "data", lease_seconds=2, job_seconds=5)
