"""The issue's own numbers: 300 videos, 8 copies of each at once, the whole queue replayed after success: 300 encodes, and
a replayed message costs at most 20 ms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.functional.copies import SMALL_VIDEOS, make_tiny_clip, once_and_never_again, video_bodies
from tests.functional.everywhere import fleet_on, on_every_queue

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

VIDEOS, COPIES, MOST_MILLISECONDS = 300, 8, 20.0


@on_every_queue
def test_three_hundred_videos_eight_times_are_three_hundred_encodes(queue: str, tmp_path: Path) -> None:
    with fleet_on(queue, tmp_path / "data", **SMALL_VIDEOS, WORKER_CONCURRENCY="2") as fleet:
        bodies = video_bodies(fleet, make_tiny_clip(tmp_path / "tiny.mp4"), VIDEOS)
        again = once_and_never_again(
            fleet, queue, bodies, videos=VIDEOS, copies=COPIES, workers=2, patience_seconds=1500, told=print
        )
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        assert again.milliseconds_each <= MOST_MILLISECONDS, f"with {busy:.1f} processes waiting per core"
