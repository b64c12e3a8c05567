"""The short form of the crash storm on every queue with a server; the long one is `make chaos`, and that of the embedded
queue is test_crash_storm.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.queue_storm import Plan, check, deployment, storm
from tests.functional.storm import make_clip

PLAN = Plan(
    short=57,
    videos=3,
    workers=3,
    job_seconds=(0.0, 0.15),
    life=(1.0, 2.0),
    fault_every=(2.0, 3.0),
    away=(0.3, 0.8),
    until=0.0,
    kills=3,
    faults=1,
    most_faults=1,
    last_blow=False,
)


@pytest.mark.parametrize(
    "queue", ["redis", *(pytest.param(queue, marks=pytest.mark.chaos) for queue in ("postgres", "sqs"))]
)
def test_g1_kills_of_workers_and_of_a_server_lose_nothing_and_double_nothing(queue: str, tmp_path: Path) -> None:
    clip = make_clip(str(find_ffmpeg()), tmp_path / "clip.mp4")
    with deployment(queue, tmp_path / "data") as (fleet, made):
        # One fault: that of the queue's own server.
        account = storm(fleet, {queue: made.servers[queue]}, clip, PLAN)
        print(account)
        check(account, PLAN)
