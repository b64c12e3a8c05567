"""Containers for one job, as AWS Batch starts them: real processes, real ffmpeg, the exit codes of contracts.md 1.7. Ends that come from outside, and what follows."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.containers import (
    QUICK,
    admit,
    change,
    claimed,
    ended,
    failed,
    last,
    run,
    said,
)
from tests.functional.films import objects, outcomes, shown
from tests.functional.fleet import Fleet, kill, wait_for
from tests.functional.storm import make_clip
from tests.media import make


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough work for a signal to land in the middle."""
    target = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_clip(str(find_ffmpeg()), target, 16, size="1280x720", tone=300, preset="ultrafast")


# ---------------------------------------------------------------------- ends from outside
def test_b2_sigterm_in_the_middle_leaves_retry_wait_and_nothing_else(fleet: Fleet, film: Path) -> None:
    name = admit(fleet, film)
    process = fleet.container(name)
    wait_for(lambda: [line for line in fleet.left_running() if "libx264" in line], 60, "ffmpeg runs")
    process.send_signal(signal.SIGTERM)
    assert ended(process, 30) == 1
    job = fleet.job(name)
    assert (job.state, job.attempts, job.fence) == (JobState.RETRY_WAIT, 0, 1)
    assert job.error is not None
    assert (job.error.code, job.error.message.split(":")[0]) == ("terminated", "TERMINATED")
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_TERMINATED"]
    assert (last(fleet)["reason"], last(fleet)["signal"]) == ("TERMINATED", "SIGTERM")
    assert fleet.left_running() == []
    assert fleet.scratch_folders() == []
    assert outcomes(fleet, name) == ["HANDED_BACK"]


def test_b2_a_container_that_hangs_when_it_is_told_to_end_ends_all_the_same(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    # The executor sleeps in its work, and the container where it should write the end.
    hang = "ffmpeg.running=sleep:60,complete.before=sleep:60"
    process = fleet.container(name, MEDIAWORKER_FAILPOINTS=hang, WORKER_SHUTDOWN__GRACE_SECONDS="4")
    wait_for(lambda: "BATCH_PROCESS_START" in fleet.log(), 60, "the work")
    process.send_signal(signal.SIGTERM)
    assert ended(process, 30) == 1
    assert (last(fleet)["event"], last(fleet)["then"], last(fleet)["job_id"]) == ("BATCH_TERMINATED", "killed", name)
    wait_for(lambda: fleet.left_running() == [], 10, "its executor is gone")
    # What it could not write is protected by its lease, as that of any container that dies.
    assert (fleet.job(name).state, fleet.job(name).attempts) == (JobState.RUNNING, 1)


def test_f35_a_container_that_died_is_followed_by_another_after_its_lease(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    fleet.settings = QUICK
    first = fleet.container(name, MEDIAWORKER_FAILPOINTS="ffmpeg.running=sleep:60", WORKER_LEASE__TTL_SECONDS="60")
    wait_for(lambda: fleet.adapters.ledger().find(name).state is JobState.RUNNING, 30, "it is claimed")
    kill(first)
    assert run(fleet, name) == 0
    assert said(fleet) == ["JOB_ALREADY_TAKEN"]
    assert fleet.job(name).state is JobState.RUNNING
    # A minute passes: lease and lock are over.
    fleet.adapters.database().write(lambda connection: connection.exec_driver_sql("DELETE FROM locks"))
    change(fleet, name, lambda job, now: replace(job, lease_until=now, wake_at=now))
    assert run(fleet, name) == 0, fleet.story()
    job = fleet.job(name)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert outcomes(fleet, name) == ["LOST", "SUCCEEDED"]
    assert fleet.scratch_folders() == []


def test_e8_a_cancel_reaches_a_container(fleet: Fleet, film: Path) -> None:
    name = admit(fleet, film)
    process = fleet.container(name)
    wait_for(lambda: [line for line in fleet.left_running() if "libx264" in line], 60, "ffmpeg runs")
    change(fleet, name, lambda job, now: job.request_cancel(now))
    assert ended(process, 30) == 1
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_JOB_CANCELLED"]
    assert fleet.job(name).state is JobState.CANCELLED
    assert shown(fleet, "v1").status is VideoStatus.UPLOADED
    assert objects(fleet, "v1") == {}
    assert fleet.left_running() == []


# ---------------------------------------------------------------------- retries
def test_b3_a_retry_is_taken_before_its_time_and_the_fifth_that_fails_ends_job_and_video(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    vanished = [lambda job, now: job.claim(now, owner="w", lease_seconds=-1)[0]] * 3
    job = change(fleet, name, *vanished, claimed, failed)
    assert (job.state, job.attempts, job.due_at > time.time() + 30) == (JobState.RETRY_WAIT, 4, True)
    assert run(fleet, name, MEDIAWORKER_FAILPOINTS="handler.started=raise") == 1
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_JOB_DEAD"]
    assert (fleet.job(name).state, fleet.job(name).attempts) == (JobState.DEAD, 5)
    assert shown(fleet, "v1").status is VideoStatus.FAILED
    assert [line["job"] for line in fleet.events() if line["event"] == "dead_letter"] == [name]
