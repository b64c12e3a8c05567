"""Real videos through real workers that are killed, cancelled, told to go, starved of disk, or given rubbish."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.domain.job import Job, JobState
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.fleet import Fleet, kill, wait_for
from tests.functional.storm import make_clip
from tests.media import MEDIA, make

PIPELINE_POINTS = [
    "probed",
    "download.started",
    "ffmpeg.running",
    "segment.uploaded",
    "output.verified",
    "uploaded.all",
]
OFTEN = {"ffmpeg.running", "uploaded.all"}
"""With `make test`; the others with `make chaos`."""


def publish(fleet: Fleet, source: Path, video: str = "v1", tenant: str = "acme") -> str:
    """Store a source and publish the old message format; the storage key."""
    key = f"tenants/{tenant}/video/raw/{video}/{source.name}"
    fleet.adapters.storage().put_file(key, source, content_type="video/mp4", cache_control="no-cache")
    body = {
        "video_id": video,
        "file_key": key,
        "tenant_code": tenant,
        "created_at": "2026-01-01T00:00:00Z",
        "attempt": 1,
    }
    fleet.publish(json.dumps(body).encode(), key=video)
    return key


def only_job(fleet: Fleet) -> Job:
    (name,) = fleet.states()
    return fleet.job(name)


def video_row(fleet: Fleet, video: str = "v1") -> Video:
    row: Video | None = fleet.adapters.videos().find(video)
    assert row is not None
    return row


def attempts_in_storage(fleet: Fleet, video: str = "v1") -> list[str]:
    prefix = f"tenants/acme/video/hls/{video}/"
    names = (stored.key.removeprefix(prefix).split("/")[0] for stored in fleet.adapters.storage().list(prefix))
    return sorted(set(names))


def encoders(fleet: Fleet) -> list[str]:
    return [line for line in fleet.left_running() if "libx264" in line]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several chunks of small moving picture: enough work for a kill to land in the middle."""
    target = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_clip(str(find_ffmpeg()), target, 40, size="640x360", tone=300, preset="ultrafast")


@pytest.mark.parametrize(
    "point",
    [point if point in OFTEN else pytest.param(point, marks=pytest.mark.chaos) for point in PIPELINE_POINTS],
)
def test_k05_to_k10_kill_9_of_the_worker_inside_the_pipeline_at(fleet: Fleet, point: str) -> None:
    publish(fleet, make("moov_first"))
    assert fleet.start(MEDIAWORKER_FAILPOINTS=f"{point}=kill").wait(60) == -signal.SIGKILL
    wait_for(lambda: fleet.left_running() == [], 5, "ffmpeg, prober and executor died with the worker")
    assert video_row(fleet).hls_path is None
    assert fleet.drain() == 0
    job, video = only_job(fleet), video_row(fleet)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert video.status is VideoStatus.READY
    assert len(attempts_in_storage(fleet)) == 1
    assert fleet.scratch_folders() == []
    if point in ("output.verified", "uploaded.all"):
        assert job.result is not None
        assert job.result["metadata"]["chunks_reused"] == job.result["metadata"]["chunks_total"]


def test_k07_v9_a_kill_in_a_long_encode_costs_at_most_one_chunk_per_core(fleet: Fleet, film: Path) -> None:
    publish(fleet, film)
    worker = fleet.start()

    def finished() -> int:
        with sqlite3.connect(fleet.folder / "mediaworker.db") as database:
            return int(database.execute("SELECT count(*) FROM video_chunks").fetchone()[0])

    wait_for(lambda: finished() >= 2, 120, "two chunks are done")
    kill(worker)
    done = finished()
    wait_for(lambda: fleet.left_running() == [], 5, "no ffmpeg is left")
    assert fleet.drain(timeout=200) == 0
    job = only_job(fleet)
    assert job.state is JobState.SUCCEEDED, fleet.story()
    result = job.result or {}
    assert result["metadata"]["chunks_total"] > result["metadata"]["chunks_reused"] >= done


def test_e8_cancel_of_a_running_encode_kills_ffmpeg_and_publishes_nothing(fleet: Fleet, film: Path) -> None:
    publish(fleet, film)
    fleet.start()
    wait_for(lambda: encoders(fleet), 60, "ffmpeg runs")
    name = only_job(fleet).id
    answer = fleet.cli("jobs", "cancel", name, "--json")
    assert answer.returncode == 0, answer.stderr
    wait_for(lambda: fleet.job(name).state is JobState.CANCELLED, 10, "cancelled")
    assert encoders(fleet) == []
    assert attempts_in_storage(fleet) == []
    assert video_row(fleet).status is VideoStatus.UPLOADED
    assert fleet.scratch_folders() == []
    assert fleet.adapters.queue_inspector().depth().ready == 0


def test_f24_sigterm_in_an_encode_hands_the_video_over_and_its_chunks_with_it(fleet: Fleet, film: Path) -> None:
    publish(fleet, film)
    worker = fleet.start(WORKER_SHUTDOWN__GRACE_SECONDS="5")
    wait_for(lambda: encoders(fleet), 60, "ffmpeg runs")
    worker.terminate()
    assert worker.wait(12) == 0
    assert fleet.left_running() == []
    assert fleet.scratch_folders() == []
    assert (only_job(fleet).state, only_job(fleet).attempts) == (JobState.QUEUED, 0)
    assert fleet.drain(timeout=200) == 0
    assert (only_job(fleet).state, only_job(fleet).attempts) == (JobState.SUCCEEDED, 1)


def test_k11_g8_a_redelivered_ready_video_starts_no_ffmpeg(fleet: Fleet) -> None:
    publish(fleet, make("moov_first"))
    assert fleet.drain() == 0
    before = video_row(fleet)
    for number in range(20):
        key = before.source_key
        body = {
            "video_id": "v1",
            "file_key": key,
            "tenant_code": "acme",
            "created_at": "2026-01-01T00:00:00Z",
            "attempt": 1,
        }
        fleet.publish(json.dumps(body).encode(), key=f"again-{number}")
    assert fleet.drain() == 0
    assert video_row(fleet).hls_path == before.hls_path
    assert not any(event["event"] == "attempt.started" for event in fleet.events())


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "hls_playlist",
        "cut_moov_first",
        "cut_moov_last",
        "declares_hours",
        "empty",
        "damaged_vp9",
        "huge_picture",
    ],
)
def test_f21_t01_bad_input_is_a_clear_permanent_error_and_the_worker_lives_on(fleet: Fleet, name: str) -> None:
    publish(fleet, make(name), video="bad")
    publish(fleet, make("short_clip"), video="good")
    assert fleet.drain() == 0
    bad = video_row(fleet, "bad")
    assert bad.status is VideoStatus.FAILED
    assert bad.error_reason
    assert bad.job_id is not None
    job = fleet.job(bad.job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error.code in MEDIA[name].expected.errors
    assert attempts_in_storage(fleet, "bad") == []
    assert video_row(fleet, "good").status is VideoStatus.READY


def test_lesson_16_a_source_that_does_not_exist_is_permanent(fleet: Fleet) -> None:
    body = {"video_id": "v1", "file_key": "tenants/acme/video/raw/v1/gone.mp4", "tenant_code": "acme"}
    fleet.publish(json.dumps({**body, "created_at": "2026-01-01T00:00:00Z", "attempt": 1}).encode())
    assert fleet.drain() == 0
    job = only_job(fleet)
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error.code == "source_missing"


def test_t13_a_job_that_names_another_tenants_object_is_refused(fleet: Fleet) -> None:
    key = publish(fleet, make("short_clip"), video="theirs", tenant="other")
    body = {
        "video_id": "mine",
        "file_key": key,
        "tenant_code": "acme",
        "created_at": "2026-01-01T00:00:00Z",
        "attempt": 1,
    }
    fleet.publish(json.dumps(body).encode(), key="mine")
    assert fleet.drain() == 0
    assert fleet.adapters.videos().find("mine") is None
    answer = fleet.cli("dlq", "list", "--json")
    assert "tenant_mismatch" in answer.stdout


def test_unwritable_storage_is_retried_and_the_worker_lives_on(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_RETRY__DELAY_SCALE": "0.01", "MEDIAWORKER_FAILPOINTS": "probed=sleep:2"}
    publish(fleet, make("short_clip"))
    worker = fleet.start("--drain")
    wait_for(lambda: fleet.states() and only_job(fleet).state is JobState.RUNNING, 60, "the job runs")
    # The storage's own working folder is gone and can't be made again: every put fails, for root as well.
    blocker = fleet.folder / "storage" / ".parts"
    shutil.rmtree(blocker)
    blocker.write_text("a file where a folder has to be")
    wait_for(lambda: only_job(fleet).error is not None, 120, "the first attempt failed")
    error = only_job(fleet).error
    assert error is not None
    assert error.retryable, error
    blocker.unlink()
    assert worker.wait(120) == 0
    assert only_job(fleet).state is JobState.SUCCEEDED


def test_f07_a_database_that_is_gone_at_completion_loses_nothing(fleet: Fleet) -> None:
    publish(fleet, make("short_clip"))
    fleet.start(MEDIAWORKER_FAILPOINTS="complete.before=sleep:4")
    wait_for(
        lambda: attempts_in_storage(fleet) and fleet.scratch_folders() == [], 60, "the attempt is done, not committed"
    )
    database, away = fleet.folder / "mediaworker.db", fleet.folder / "away"
    away.mkdir()
    for part in fleet.folder.glob("mediaworker.db*"):
        shutil.move(part, away / part.name)
    time.sleep(6)
    assert not database.exists()
    for part in away.iterdir():
        shutil.move(part, fleet.folder / part.name)
    wait_for(lambda: only_job(fleet).state.is_terminal, 60, "the outcome is written")
    assert only_job(fleet).state is JobState.SUCCEEDED
    assert fleet.processes[0].poll() is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB, where this user may mount one."""
    import subprocess

    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


if os.geteuid() == 0 and shutil.which("mount"):
    # Only root can mount; everywhere else the same rule is tested with a scripted ENOSPC (tests/adapters, tests/unit).

    def test_f22_g17_a_full_disk_is_named_publishes_nothing_and_passes(
        fleet: Fleet, small_disk: Path, film: Path
    ) -> None:
        fleet.settings = {
            "WORKER_SCRATCH_DIR": str(small_disk / "scratch"),
            "WORKER_SCRATCH_RESERVE_BYTES": "0",
            "WORKER_RETRY__DELAY_SCALE": "0.02",
        }
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (6 * 1024 * 1024 - 400_000))
        publish(fleet, film)
        worker = fleet.start("--drain")
        wait_for(lambda: fleet.states() and only_job(fleet).error is not None, 90, "the first attempt failed")
        error = only_job(fleet).error
        assert error is not None
        assert error.code == "disk_full"
        assert attempts_in_storage(fleet) == []
        filler.unlink()
        worker.terminate()
        worker.wait(60)
