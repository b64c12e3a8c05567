"""Every message eight times at once and all of them again after success, on every queue: each job runs once. The issue's own
300 x 8, with encodes alone, is in tests/chaos."""

from __future__ import annotations

from pathlib import Path

from tests.functional.copies import SMALL_VIDEOS, act_body, make_tiny_clip, once_and_never_again, video_bodies
from tests.functional.everywhere import fleet_on, often_on

VIDEOS, ACTS, COPIES = 2, 18, 8


@often_on("postgres")
def test_f04_f05_eight_copies_at_once_and_a_replay_run_every_job_once(queue: str, tmp_path: Path) -> None:
    with fleet_on(queue, tmp_path / "data", **SMALL_VIDEOS, WORKER_CONCURRENCY="2") as fleet:
        bodies = video_bodies(fleet, make_tiny_clip(tmp_path / "tiny.mp4"), VIDEOS)
        bodies += [act_body(fleet, f"job-a{number}") for number in range(ACTS)]
        once_and_never_again(
            fleet, queue, bodies, videos=VIDEOS, copies=COPIES, workers=2, patience_seconds=120, told=print
        )
        assert len(fleet.entries("start")) == ACTS
