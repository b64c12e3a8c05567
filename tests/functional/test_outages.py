"""A backend that goes away for a few seconds costs no job and no attempt. The long form is tests/chaos/test_outages.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.outage import away, endure


@pytest.mark.parametrize(
    "kind", ["postgres", pytest.param("redis", marks=pytest.mark.chaos), pytest.param("s3", marks=pytest.mark.chaos)]
)
def test_g11_g12_an_outage_of_seconds_fails_no_job_and_is_told(tmp_path: Path, kind: str) -> None:
    job_type = "keep" if kind == "s3" else "act"
    with away(kind, tmp_path / "data") as outage:
        account = endure(outage, before=2, during=5, after=2, per_second=3, job_type=job_type)
        account.check()
        assert account.readiness.wrong(False, account.began, account.returned) > 0, account.logs
