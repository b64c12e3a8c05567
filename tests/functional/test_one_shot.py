"""Containers for one job, as AWS Batch starts them: real processes, real ffmpeg, the exit codes of contracts.md 1.7. The work, and no work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.application.catalog import no_effects
from src.application.video.effects import video_effects
from src.domain.job import JobDraft, JobState
from src.domain.video.video import VideoStatus
from tests.functional.containers import (
    ALWAYS,
    BATCH_ID,
    QUICK,
    Ffmpeg,
    admit,
    change,
    claimed,
    ended,
    last,
    run,
    said,
)
from tests.functional.films import objects, objects_of, outcomes, shown, store
from tests.functional.fleet import Fleet
from tests.media import make


@pytest.fixture(autouse=True)
def _quick(fleet: Fleet) -> None:
    fleet.settings = QUICK


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
        assert json.loads(line).keys() >= ALWAYS, line
    wanted = {"job_id": name, "tenant_id": "acme", "video_id": "v1", "aws_batch_job_id": BATCH_ID}
    assert last(fleet).items() >= wanted.items()
    assert fleet.scratch_folders() == []
    assert fleet.left_running() == []
    starts = ffmpeg.starts
    assert starts > 0
    assert run(fleet, name, **ffmpeg.settings) == 0
    assert (said(fleet), ffmpeg.starts) == (["IDEMPOTENT_DONE"], starts)


def test_lines_of_the_job_s_own_process_carry_whose_they_are(fleet: Fleet, tmp_path: Path) -> None:
    clip = tmp_path / "film.mp4"
    clip.write_bytes(b"this is not a film" * 100)
    name = admit(fleet, clip)
    assert run(fleet, name, WORKER_ENVIRONMENT="production", MEDIAWORKER_FAILPOINTS="probed=raise") == 1
    foreign = [line for line in fleet.events() if line["event"] == "failpoints.ignored"]
    # Both processes say so: the container's, which does not know the tenant yet, and its executor's.
    assert [line["tenant_id"] for line in foreign] == [None, "acme"]
    assert all(line.keys() >= ALWAYS for line in foreign)
    assert said(fleet) == ["BATCH_PROCESS_START", "BATCH_JOB_FAILED"]
    assert (last(fleet)["state"], last(fleet)["attempts"]) == ("FAILED", 1)
    assert shown(fleet, "v1").status is VideoStatus.FAILED


# ---------------------------------------------------------------------- nothing to do
def test_a_video_that_is_ready_completes_its_job_without_ffmpeg(fleet: Fleet, ffmpeg: Ffmpeg) -> None:
    first = admit(fleet, make("moov_first"))
    key = fleet.job(first).payload["file_key"]
    version = fleet.adapters.storage().head(key).version
    made = {"hls_path": "a/master.m3u8", "duration_seconds": 4.0, "metadata": {"source_version": version}}
    change(fleet, first, claimed, lambda job, now: job.succeed(now, fence=1, result=made))
    draft = JobDraft(id="job-2", type="video", tenant="acme", payload={"video_id": "v1", "file_key": key})
    fleet.adapters.ledger().admit(draft)
    # The environment wins over the argument.
    assert run(fleet, "another", VIDEO_JOB_ID="job-2", **ffmpeg.settings) == 0
    assert (said(fleet), ffmpeg.starts) == (["IDEMPOTENT_READY"], 0)
    again = fleet.job("job-2")
    assert (again.state, again.result) == (JobState.SUCCEEDED, made)
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


def test_lesson_7_a_job_that_is_not_there_is_nobody_s_failure(fleet: Fleet) -> None:
    admit(fleet, make("moov_first"), job="job-11")
    assert run(fleet, "job-1") == 0
    assert said(fleet) == ["JOB_NOT_FOUND"]


def test_f34_two_containers_of_one_job_at_once_make_one_result_and_the_other_starts_no_ffmpeg(
    fleet: Fleet, tmp_path: Path
) -> None:
    name = admit(fleet, make("moov_first"))
    tools = [Ffmpeg(tmp_path / str(number)) for number in range(2)]
    both = [fleet.container(name, AWS_BATCH_JOB_ID=f"b{number}", **tool.settings) for number, tool in enumerate(tools)]
    assert [ended(process) for process in both] == [0, 0], fleet.story()
    done, other = sorted((said(fleet, number), tools[number].works > 0) for number in range(2))
    if other[1]:
        done, other = other, done
    assert done == (["BATCH_PROCESS_START", "BATCH_JOB_COMPLETED"], True)
    assert other in ((["JOB_ALREADY_TAKEN"], False), (["IDEMPOTENT_DONE"], False))
    assert outcomes(fleet, name) == ["SUCCEEDED"]
    video = shown(fleet, "v1")
    assert video.status is VideoStatus.READY
    assert objects(fleet, "v1") == objects_of(fleet, "v1", name, 1), "nothing of a second attempt"
