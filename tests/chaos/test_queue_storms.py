"""The issue's own storm on every queue: 2,000 jobs, 100 of them videos through real ffmpeg, 8 workers each of which lives
about 5 s, and servers that are killed under them; drained within a minute of the last fault.

- A worker's 5 s count from its first receive. Counted from its start they would leave no time for work: eight starts every 5 s
  are more than half of what two cores can do. The account says how long workers really lived, start-up included.
- A worker is killed with all its processes at the same moment, as a container is lost, and its place is filled at once.
- Redis is killed with kill -9, its append-only file on. PostgreSQL is killed with kill -9, all its processes at once, and shut
  down at once without a checkpoint, in turns. The SQS emulator is frozen (SIGSTOP) and goes on: it keeps messages in memory, so a
  kill would lose them by its own doing, which SQS itself does not do. The embedded queue has no server.
- The database is PostgreSQL on a server that fails in turns with the queue's; the embedded queue's is the embedded one.
- The storm goes on until 95 of 100 jobs have ended; its last blow takes all servers and all workers at the same time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.queue_storm import Plan, check, deployment, storm
from tests.functional.storm import make_clip

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]

DRAIN_SECONDS = 60.0

PLAN = Plan(
    short=1900,
    videos=100,
    workers=8,
    job_seconds=(0.0, 0.2),
    life=(4.0, 6.0),
    fault_every=(30.0, 40.0),
    away=(1.0, 4.0),
    until=0.95,
    kills=40,
    faults=4,
    last_blow=True,
)


@pytest.mark.parametrize("queue", ["sqlite", "redis", "postgres", "sqs"])
def test_two_thousand_jobs_in_a_storm_are_done_once_each(queue: str, tmp_path: Path) -> None:
    clip = make_clip(str(find_ffmpeg()), tmp_path / "clip.mp4")
    with deployment(queue, tmp_path / "data", WORKER_LEASE__TTL_SECONDS="10", WORKER_LEASE__SCAN_SECONDS="2") as (
        fleet,
        made,
    ):
        plan = PLAN if made.servers else PLAN.without_faults()
        account = storm(fleet, made.servers, clip, plan)
        print(f"\n{queue}: {account}")
        check(account, plan)
        assert account.drain_seconds <= DRAIN_SECONDS, account
