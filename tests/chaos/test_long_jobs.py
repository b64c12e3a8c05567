"""The issue's own numbers: jobs of 25 s under a lease of 5 s, two live workers; the short form is test_f01_... ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.everywhere import on_every_queue
from tests.functional.long_jobs import started_once

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@on_every_queue
def test_jobs_of_five_leases_are_started_once(queue: str, tmp_path: Path) -> None:
    started_once(queue, tmp_path / "data", lease_seconds=5, job_seconds=25)
