"""The content queue's own storm: 10,000 no-op jobs by plain RPUSH through 2 worker processes, one of which is killed with
kill -9 every 2 s, while Redis is killed and started again 3 times with its append-only file on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.lane_storm import SCAN, TTL, Plan, storm

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


def test_c1_ten_thousand_jobs_in_a_storm_are_done_once_each(tmp_path: Path) -> None:
    account = storm(tmp_path / "data", Plan(jobs=10_000, kill_every=2.0, restarts=3, portion=250, patience=800))
    p50, p99 = account.late_at(0.5), account.late_at(0.99)
    print(f"\n{account.seconds:.1f} s, {account.kills} kills, {account.restarts} restarts, {account.orphans} orphans")
    print(
        f"pick-up of orphans: p50 {p50:.2f} s, p99 {p99:.2f} s, longest {account.late_at(1):.2f} s of {len(account.late)}"
    )
    longest = max(account.late_by_outage, default=0.0)
    print(f"of those by whom Redis was away: longest {longest:.2f} s of {len(account.late_by_outage)}")
    assert (account.lost, account.double, account.left) == (0, [], [])
    assert account.kills >= 3
    assert account.late, "kills far from every outage"
    assert p99 <= TTL + SCAN, "lease + scan"
