"""Workers frozen for three leases at any moment of a video, again and again; the short form is test_f03_... ."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.everywhere import fleet_on, on_every_queue
from tests.functional.films import new_body, objects, objects_of, outcomes, shown, store
from tests.functional.fleet import wait_for
from tests.functional.frozen import freeze, thaw
from tests.functional.storm import make_clip

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

ROUNDS, LEASE_SECONDS = 10, 3
LATEST_SECONDS = 2.0
"""After the attempt's start; a video takes about as long, so some rounds hit its very end, or come after it."""


@on_every_queue
def test_ten_frozen_workers_leave_one_result_each(queue: str, tmp_path: Path) -> None:
    dice, overtaken = random.Random(1), 0
    clip = make_clip(str(find_ffmpeg()), tmp_path / "clip.mp4", seconds=8)
    settings = {
        "WORKER_LEASE__TTL_SECONDS": str(LEASE_SECONDS),
        "WORKER_LEASE__SCAN_SECONDS": "0.5",
        "WORKER_VIDEO__SEGMENT_SECONDS": "1",
        "WORKER_VIDEO__CHUNK_SECONDS": "1",
    }
    with fleet_on(queue, tmp_path / "data", **settings) as fleet:
        for number in range(ROUNDS):
            video, job = f"v{number}", f"job-{number}"
            fleet.publish(new_body(video, store(fleet, clip, video), job), key=job)
            zombie, place = fleet.start(), len(fleet.processes) - 1
            wait_for(lambda place=place: "attempt.started" in fleet.log(place), 60, "the job runs")  # type: ignore[misc]
            time.sleep(dice.uniform(0, LATEST_SECONDS))
            freeze(fleet, zombie)
            since = time.monotonic()
            assert fleet.drain(timeout=120) == 0
            time.sleep(max(0.0, since + 3 * LEASE_SECONDS - time.monotonic()))
            before, seen = fleet.job(job), shown(fleet, video)
            thaw(zombie, head_start_seconds=dice.choice([0.0, 0.5]))
            zombie.terminate()
            assert zombie.wait(60) == 0
            assert (fleet.job(job), shown(fleet, video)) == (before, seen), fleet.story()
            assert (before.state, seen.status) == (JobState.SUCCEEDED, VideoStatus.READY), fleet.story()
            assert outcomes(fleet, job) == ["LOST"] * (before.fence - 1) + ["SUCCEEDED"], fleet.story()
            assert set(objects(fleet, video)) == set(objects_of(fleet, video, job, before.fence)), fleet.story()
            overtaken += before.fence > 1
        print(f"{queue}: {overtaken} of {ROUNDS} frozen workers were overtaken")
        assert overtaken
