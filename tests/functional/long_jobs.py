"""Jobs that last much longer than their lease, on two live workers that both have room for them."""

from __future__ import annotations

import json
from pathlib import Path

from src.domain.job import JobState
from tests.functional.everywhere import fleet_on
from tests.functional.fleet import wait_for

ACTIONS = ("sleep", "spin", "hold_the_interpreter")
ROOM = str(len(ACTIONS) + 1)
"""Jobs at a time in one worker: either could take all of them, and still looks for more."""


def started_once(queue: str, folder: Path, *, lease_seconds: int, job_seconds: float) -> None:
    """One job of each kind, at the same time. SQS counts in whole seconds, so leases are whole here."""
    with fleet_on(
        queue,
        folder,
        WORKER_LEASE__TTL_SECONDS=str(lease_seconds),
        WORKER_LEASE__SCAN_SECONDS=str(lease_seconds / 4),
        WORKER_CONCURRENCY=ROOM,
    ) as fleet:
        workers = [fleet.start(), fleet.start()]
        for number in range(len(workers)):
            wait_for(lambda number=number: "worker.receiving" in fleet.log(number), 60, "the worker receives")  # type: ignore[misc]
        for action in ACTIONS:
            fleet.submit(action, action, seconds=job_seconds)
        wait_for(
            lambda: all(state.is_terminal for state in fleet.states().values()), 60 + 4 * job_seconds, "the jobs end"
        )
        assert fleet.states() == dict.fromkeys(ACTIONS, JobState.SUCCEEDED), fleet.story()
        for action in ACTIONS:
            assert len(fleet.entries("start", action)) == 1, fleet.story()
            assert (fleet.job(action).fence, fleet.job(action).attempts) == (1, 1), fleet.story()
        assert [worker.poll() for worker in workers] == [None, None]
        wait_for(lambda: _waiting(fleet.cli("queues", "--json").stdout) == 0, 30, "no message is left")


def _waiting(shown: str) -> int:
    (queue,) = json.loads(shown)["queues"]
    return int(queue["ready"]) + int(queue["delayed"]) + int(queue["in_flight"])
