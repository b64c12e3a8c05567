"""Containers for one job, as AWS Batch starts them: real processes, real ffmpeg, and every exit code of contracts.md 1.7."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from src.application.catalog import no_effects
from src.application.video.effects import video_effects
from src.domain.errors import ErrorReport, FileAccessError
from src.domain.job import Job, JobDraft, JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.films import objects, outcomes, shown, store
from tests.functional.fleet import Fleet, kill, wait_for
from tests.functional.storm import make_clip
from tests.media import make

BATCH_ID = "0b5f2c1e-1111-4222-8333-444455556666"
SMALL = {"WORKER_VIDEO__LADDER": "144"}
ALWAYS = {"job_id", "tenant_id", "video_id", "aws_batch_job_id"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough work for a signal to land in the middle."""
    target = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_clip(str(find_ffmpeg()), target, 24, size="1280x720", tone=300, preset="ultrafast")


def admit(fleet: Fleet, clip: Path, job: str = "job-1", video: str = "v1", max_attempts: int = 5) -> str:
    """The row of a video's job, and its source; no message anywhere."""
    payload = {"video_id": video, "file_key": store(fleet, clip, video)}
    draft = JobDraft(
        id=job, type="video", tenant="acme", payload=payload, subject=f"video:{video}", max_attempts=max_attempts
    )
    assert fleet.adapters.ledger().admit(draft).created
    return job


def ended(process: subprocess.Popen[bytes], seconds: float = 60) -> int:
    return process.wait(seconds)


def run(fleet: Fleet, *arguments: str, **environment: str) -> int:
    return ended(fleet.container(*arguments, AWS_BATCH_JOB_ID=BATCH_ID, **environment))


def said(fleet: Fleet, number: int = -1) -> list[str]:
    """The events of contracts.md 1.7 that a container logged."""
    return [line["event"] for line in fleet.events(number) if line["event"].isupper()]


def last(fleet: Fleet) -> Mapping[str, Any]:
    return [line for line in fleet.events() if line["event"].isupper()][-1]


def change(fleet: Fleet, job: str, *moves: Any) -> Job:
    for move in moves:
        fleet.adapters.ledger().change(job, move)
    return fleet.job(job)


def claimed(job: Job, now: float) -> Job:
    return job.claim(now, owner="another", lease_seconds=600)[0]


def failed(job: Job, now: float) -> Job:
    return job.fail(now, fence=job.fence, error=ErrorReport.of(FileAccessError("busy")), dice=0)


class Ffmpeg:
    """The real one behind a script that counts its starts."""

    def __init__(self, folder: Path) -> None:
        self.notes, self.path = folder / "starts.txt", folder / "ffmpeg"
        self.path.write_text(f'#!/bin/sh\necho start >> "{self.notes}"\nexec "{find_ffmpeg()}" "$@"\n')
        self.path.chmod(0o755)

    @property
    def settings(self) -> dict[str, str]:
        return {"WORKER_FFMPEG__PATH": str(self.path), "WORKER_FFMPEG__SANDBOX": "off"}

    @property
    def starts(self) -> int:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0


@pytest.fixture
def ffmpeg(tmp_path: Path) -> Ffmpeg:
    return Ffmpeg(tmp_path)


# ---------------------------------------------------------------------- the work
def test_one_job_one_container_one_end_and_a_second_one_sees_that_it_is_done(fleet: Fleet, ffmpeg: Ffmpeg) -> None:
    name = admit(fleet, make("moov_first"))
    assert run(fleet, name, **ffmpeg.settings) == 0, fleet.story()
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_JOB_COMPLETED"]
    job, video = fleet.job(name), shown(fleet, "v1")
    assert (job.state, job.attempts, job.lease_owner) == (JobState.SUCCEEDED, 1, f"batch:{BATCH_ID}")
    assert video.status is VideoStatus.READY
    assert video.hls_path in objects(fleet, "v1")
    for line in fleet.log().splitlines():
        assert ALWAYS <= json.loads(line).keys(), line
    wanted = {"job_id": name, "tenant_id": "acme", "video_id": "v1", "aws_batch_job_id": BATCH_ID}
    assert last(fleet).items() >= wanted.items()
    assert fleet.scratch_folders() == []
    assert fleet.left_running() == []
    starts = ffmpeg.starts
    assert starts > 0
    assert run(fleet, name, **ffmpeg.settings) == 0
    assert (said(fleet), ffmpeg.starts) == (["IDEMPOTENT_DONE"], starts)


def test_the_environment_names_the_job_and_wins_over_the_argument(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    assert run(fleet, "another", VIDEO_JOB_ID=name) == 0
    assert fleet.job(name).state is JobState.SUCCEEDED
    assert said(fleet)[-1] == "BATCH_JOB_COMPLETED"


def test_lines_of_the_job_s_own_process_carry_whose_they_are(fleet: Fleet, tmp_path: Path) -> None:
    clip = tmp_path / "film.mp4"
    clip.write_bytes(b"this is not a film" * 100)
    name = admit(fleet, clip)
    assert run(fleet, name, MEDIAWORKER_FAILPOINTS="handler.started=raise") == 1
    assert fleet.job(name).state is JobState.RETRY_WAIT
    assert run(fleet, name, WORKER_ENVIRONMENT="production", MEDIAWORKER_FAILPOINTS="probed=raise") == 1
    foreign = [line for line in fleet.events() if line["event"] == "failpoints.ignored"]
    # Both processes say so: the container's, which does not know the tenant yet, and its executor's.
    assert [line["tenant_id"] for line in foreign] == [None, "acme"]
    assert all(ALWAYS <= line.keys() for line in foreign)
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_JOB_FAILED"]
    assert (last(fleet)["state"], last(fleet)["attempts"]) == ("FAILED", 2)
    assert shown(fleet, "v1").status is VideoStatus.FAILED


# ---------------------------------------------------------------------- nothing to do
def test_a_video_that_is_ready_completes_its_job_without_ffmpeg(fleet: Fleet, ffmpeg: Ffmpeg) -> None:
    first = admit(fleet, make("moov_first"))
    assert run(fleet, first) == 0
    key = fleet.job(first).payload["file_key"]
    draft = JobDraft(id="job-2", type="video", tenant="acme", payload={"video_id": "v1", "file_key": key})
    fleet.adapters.ledger().admit(draft)
    assert run(fleet, "job-2", **ffmpeg.settings) == 0
    assert (said(fleet), ffmpeg.starts) == (["IDEMPOTENT_READY"], 0)
    again = fleet.job("job-2")
    assert (again.state, again.result) == (JobState.SUCCEEDED, fleet.job(first).result)
    assert shown(fleet, "v1").status is VideoStatus.READY


def test_lesson_14_a_deleted_video_s_job_is_closed_without_ffmpeg(fleet: Fleet, ffmpeg: Ffmpeg) -> None:
    key = store(fleet, make("moov_first"), "v1")
    draft = JobDraft(id="job-1", type="video", tenant="acme", payload={"video_id": "v1", "file_key": key})
    ledger = fleet.adapters.ledger()
    ledger.effects = no_effects
    ledger.admit(draft)
    ledger.effects = video_effects
    assert run(fleet, "job-1", **ffmpeg.settings) == 0
    assert (said(fleet), ffmpeg.starts) == (["VIDEO_DELETED"], 0)
    assert fleet.job("job-1").state is JobState.CANCELLED
    assert fleet.adapters.videos().find("v1") is None


@pytest.mark.parametrize("name", ["0190a5e2-0000-7000-8000-000000000000", "../../etc", "no id at all", "job-1"])
def test_lesson_7_a_job_that_is_not_there_is_nobody_s_failure(fleet: Fleet, name: str) -> None:
    admit(fleet, make("moov_first"), job="job-11")
    assert run(fleet, name) == 0
    assert said(fleet) == ["JOB_NOT_FOUND"]


def test_two_containers_of_one_job_at_once_make_one_result(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    both = [fleet.container(name, AWS_BATCH_JOB_ID=f"b{number}") for number in range(2)]
    assert [ended(process) for process in both] == [0, 0]
    events = said(fleet, 0) + said(fleet, 1)
    assert sorted(events) in (
        ["BATCH_JOB_COMPLETED", "BATCH_PROCESS_START", "JOB_ALREADY_TAKEN"],
        ["BATCH_JOB_COMPLETED", "BATCH_PROCESS_START", "IDEMPOTENT_DONE"],
    )
    assert outcomes(fleet, name) == ["SUCCEEDED"]


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


def test_f35_a_container_that_died_is_followed_by_another_after_its_lease(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    first = fleet.container(name, MEDIAWORKER_FAILPOINTS="ffmpeg.running=sleep:60", WORKER_LEASE__TTL_SECONDS="4")
    wait_for(lambda: fleet.adapters.ledger().find(name).state is JobState.RUNNING, 30, "it is claimed")
    kill(first)
    assert run(fleet, name) == 0
    assert said(fleet) == ["JOB_ALREADY_TAKEN"]
    assert fleet.job(name).state is JobState.RUNNING
    until = fleet.job(name).lease_until or 0.0
    wait_for(lambda: time.time() > until, 30, "the lease is over")
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
def test_a_container_takes_a_retry_before_its_time(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    job = change(fleet, name, claimed, failed)
    assert (job.state, job.due_at > time.time() + 30) == (JobState.RETRY_WAIT, True)
    assert run(fleet, name) == 0
    assert (fleet.job(name).state, fleet.job(name).attempts) == (JobState.SUCCEEDED, 2)


def test_b3_the_fifth_execution_that_fails_is_the_last_and_fails_the_video(fleet: Fleet) -> None:
    name = admit(fleet, make("moov_first"))
    change(fleet, name, *[lambda job, now: job.claim(now, owner="w", lease_seconds=-1)[0]] * 4)
    assert run(fleet, name, MEDIAWORKER_FAILPOINTS="handler.started=raise") == 1
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_JOB_DEAD"]
    assert (fleet.job(name).state, fleet.job(name).attempts) == (JobState.DEAD, 5)
    assert shown(fleet, "v1").status is VideoStatus.FAILED
    assert [line["job"] for line in fleet.events() if line["event"] == "dead_letter"] == [name]
    assert run(fleet, name) == 0
    assert said(fleet) == ["JOB_ALREADY_ENDED"]
