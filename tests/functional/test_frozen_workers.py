"""A worker that was stopped for longer than its leases comes back to jobs that are somebody else's by then."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.everywhere import fleet_on, often_on
from tests.functional.films import new_body, objects, objects_of, outcomes, shown, store
from tests.functional.fleet import Fleet, Process, wait_for
from tests.functional.frozen import freeze, thaw
from tests.functional.storm import make_clip

LEASE_SECONDS = 2
LEASE = {"WORKER_LEASE__TTL_SECONDS": str(LEASE_SECONDS), "WORKER_LEASE__SCAN_SECONDS": "0.5"}
SHORT = {"WORKER_VIDEO__SEGMENT_SECONDS": "1", "WORKER_VIDEO__CHUNK_SECONDS": "1"}
REFUSALS = {"outcome.refused", "attempt.abandoned"}
"""What a worker says whose attempt is not its own any more: it tried to write the outcome, or did not even try."""


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several segments in several chunks."""
    return make_clip(str(find_ffmpeg()), tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=8)


def refused(fleet: Fleet, number: int, job: str) -> bool:
    """Whether that worker's log says that its outcome does not count."""
    return any(event["event"] in REFUSALS and event["job"] == job for event in fleet.events(number))


def frozen_since(fleet: Fleet, worker: Process) -> float:
    """Stop it, all of it; the moment from which three leases count."""
    freeze(fleet, worker)
    return time.monotonic()


@often_on("redis")
def test_f03_g6_a_worker_frozen_in_a_video_for_three_leases_changes_nothing_when_it_goes_on(
    queue: str, tmp_path: Path, clip: Path
) -> None:
    with fleet_on(queue, tmp_path / "data", **LEASE, **SHORT) as fleet:
        key = store(fleet, clip, "v1")
        fleet.publish(new_body("v1", key, "job-1"))
        # It pauses in its first upload, so that it is certainly in the middle; the pause is long over when it goes on.
        zombie = fleet.start(MEDIAWORKER_FAILPOINTS="segment.uploaded=sleep:4")
        wait_for(lambda: objects_of(fleet, "v1", "job-1", 1), 30, "the first upload")
        since = frozen_since(fleet, zombie)
        half = objects_of(fleet, "v1", "job-1", 1)
        assert half
        fleet.start()
        wait_for(lambda: fleet.job("job-1").state.is_terminal, 60, "another worker finishes")
        time.sleep(max(0.0, since + 3 * LEASE_SECONDS - time.monotonic()))
        job, video, made = fleet.job("job-1"), shown(fleet, "v1"), objects(fleet, "v1")
        thaw(zombie, head_start_seconds=0.4)
        wait_for(lambda: refused(fleet, 0, "job-1"), 30, "the zombie learns it")
        wait_for(lambda: objects(fleet, "v1") == made, 30, "what it wrote is swept")
        assert fleet.job("job-1") == job, fleet.story()
        assert (job.state, job.fence, job.attempts) == (JobState.SUCCEEDED, 2, 2), fleet.story()
        assert outcomes(fleet, "job-1") == ["LOST", "SUCCEEDED"]
        assert shown(fleet, "v1") == video
        assert video.status is VideoStatus.READY
        assert set(made) == set(objects_of(fleet, "v1", "job-1", 2))
        assert video.hls_path in made
        assert [process.poll() for process in fleet.processes] == [None, None]
        zombie.terminate()
        assert zombie.wait(30) == 0
        assert set(objects(fleet, "v1")) == set(made)


@pytest.mark.chaos
@pytest.mark.parametrize("queue", ["sqlite", "redis"])
def test_f03_an_outcome_that_was_frozen_on_its_way_does_not_disturb_the_successor(queue: str, tmp_path: Path) -> None:
    """The late worker writes while its successor runs: it must take neither the job, nor the lock, nor the message from it."""
    with fleet_on(queue, tmp_path / "data", **LEASE) as fleet:
        fleet.submit("job-1", "sleep", seconds=8)
        zombie = fleet.start(MEDIAWORKER_FAILPOINTS="complete.before=sleep:3")
        wait_for(lambda: fleet.entries("end", "job-1"), 60, "the handler is done")
        time.sleep(0.5)
        since = frozen_since(fleet, zombie)
        fleet.start()
        wait_for(lambda: len(fleet.entries("start", "job-1")) == 2, 60, "another worker takes over")
        time.sleep(max(0.0, since + 3 - time.monotonic()))
        thaw(zombie)
        wait_for(lambda: refused(fleet, 0, "job-1"), 30, "the zombie learns it")
        wait_for(lambda: fleet.job("job-1").state.is_terminal, 60, "the job ends")
        job = fleet.job("job-1")
        assert (job.state, job.fence, job.result) == (JobState.SUCCEEDED, 2, {"attempt": 2, "fence": 2}), fleet.story()
        assert outcomes(fleet, "job-1") == ["LOST", "SUCCEEDED"]
        assert len(fleet.entries("start", "job-1")) == 2
        assert fleet.drain() == 0
        assert len(fleet.entries("start", "job-1")) == 2
