"""A real worker whose database answers are lost at the claim and at the outcome: one start, one attempt, no failed job."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.domain.job import JobState
from tests.functional.fleet import Fleet, wait_for
from tests.functional.places import place
from tests.servers.proxy import Act, Proxy


@pytest.mark.parametrize(
    ("act", "transaction", "starts"),
    [
        (Act.LOSE_REPLY, rb"UPDATE jobs SET.*RUNNING", 1),
        pytest.param(Act.LOSE_REQUEST, rb"UPDATE jobs SET.*RUNNING", 1, marks=pytest.mark.chaos),
        (Act.LOSE_REPLY, rb"UPDATE jobs SET.*SUCCEEDED", 1),
        pytest.param(Act.LOSE_REQUEST, rb"UPDATE jobs SET.*SUCCEEDED", 1, marks=pytest.mark.chaos),
    ],
    ids=["claim done", "claim not done", "outcome done", "outcome not done"],
)
def test_f08_a_commit_of_unknown_fate_costs_no_attempt_and_starts_nothing_twice(
    tmp_path: Path, act: Act, transaction: bytes, starts: int
) -> None:
    with place(queue="redis", database="postgres") as there, Proxy.to(there.servers["postgres"]) as proxy:
        fleet = Fleet(tmp_path / "data", {**there.environ, "WORKER_LEASE__TTL_SECONDS": "60"})
        try:
            fleet.submit("job-1", "noop")
            with proxy.fault(act, b"COMMIT", after=transaction):
                worker = fleet.start(WORKER_DATABASE__URL=proxy.in_front(there.environ["WORKER_DATABASE__URL"]))
                # Well within the lease: what would only be found by its end would be found too late.
                wait_for(lambda: fleet.job("job-1").state.is_terminal, 45, "the job ends")
            assert (fleet.job("job-1").state, fleet.job("job-1").attempts) == (JobState.SUCCEEDED, 1), fleet.story()
            assert len(fleet.entries("start", "job-1")) == starts
            worker.terminate()
            assert worker.wait(30) == 0
            assert fleet.adapters.queue_inspector().depth().in_flight == 0
        finally:
            fleet.close()
