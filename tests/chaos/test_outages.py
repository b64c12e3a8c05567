"""The issue's own numbers: a backend away for 60 s. The short form is tests/functional/test_outages.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.outage import away, endure

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

BEFORE_SECONDS, WARM_SECONDS, AWAY_SECONDS, AFTER_SECONDS = 25.0, 5.0, 60.0, 30.0
SHARE, BACK_SECONDS, TOLD_SECONDS = 0.95, 10.0, 10.0
WINDOW_SECONDS = 5.0
"""Over which the rate afterwards is measured."""


@pytest.mark.parametrize("kind", ["postgres", "postgres-alone", "redis", "s3"])
def test_g11_g12_sixty_seconds_away_fail_no_job_and_throughput_is_back_at_once(tmp_path: Path, kind: str) -> None:
    job_type = "keep" if kind == "s3" else "act"
    with away(kind, tmp_path / "data") as outage:
        account = endure(
            outage, before=BEFORE_SECONDS, during=AWAY_SECONDS, after=AFTER_SECONDS, per_second=4, job_type=job_type
        )
    baseline = account.rate(account.began - BEFORE_SECONDS + WARM_SECONDS, BEFORE_SECONDS - WARM_SECONDS)
    back = account.back_after(baseline, SHARE, WINDOW_SECONDS)
    red, green = account.readiness.first(False, account.began), account.readiness.first(True, account.returned)
    told_wrong = account.readiness.wrong(True, account.began + TOLD_SECONDS, account.returned)
    afterwards = account.rate(account.returned, BACK_SECONDS)
    print(
        f"\n{kind}: {len(account.jobs)} jobs; {baseline:.2f}/s before, {account.rate(account.began, AWAY_SECONDS):.2f}/s while"
        f" away, {afterwards:.2f}/s in the {BACK_SECONDS:g} s after; {SHARE:.0%} from {back:g} s on; not ready after"
        f" {red:.1f} s, ready again after {green:.1f} s; at most {max(job.attempts for job in account.jobs)} attempt"
    )
    account.check()
    assert baseline > 2, "the machine is too slow to say anything"
    assert back <= BACK_SECONDS
    assert red <= TOLD_SECONDS
    assert green <= TOLD_SECONDS
    assert told_wrong == 0
