"""The real video worker with its sources and streams in a bucket."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest

from src.domain.job import JobState
from src.infrastructure.s3.storage import S3Storage
from tests.functional.fleet import Fleet, wait_for
from tests.media import make
from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, start_s3
from tests.servers.process import Server
from tests.servers.shared import shared


def settings(server: Server) -> dict[str, str]:
    return {
        "WORKER_STORAGE__BACKEND": "s3",
        "WORKER_STORAGE__BUCKET": S3_BUCKET,
        "WORKER_STORAGE__PREFIX": f"fleet/{uuid.uuid4().hex}",
        "WORKER_STORAGE__ENDPOINT_URL": server.url,
        "WORKER_STORAGE__ACCESS_KEY": S3_ACCESS_KEY,
        "WORKER_STORAGE__SECRET_KEY": S3_SECRET_KEY,
    }


@pytest.fixture
def own_server() -> Iterator[Server]:
    server = start_s3()
    yield server
    server.remove()


def test_a_film_from_a_bucket_becomes_a_stream_in_the_bucket(fleet: Fleet) -> None:
    fleet.settings = settings(shared("s3"))
    submitted = fleet.cli("submit", "video", str(make("short_clip")), "--tenant", "acme", "--video-id", "v1")
    assert submitted.returncode == 0, submitted.stderr
    assert fleet.drain() == 0
    job = fleet.job(submitted.stdout.strip())
    assert job.state is JobState.SUCCEEDED, fleet.story()
    result, storage = job.result or {}, fleet.adapters.storage()
    assert isinstance(storage, S3Storage)
    kinds: dict[str, tuple[str, str]] = {}
    folder = result["hls_path"].rsplit("/", 1)[0]
    for found in storage.list(f"{folder}/"):
        answer = storage._client().head_object(Bucket=S3_BUCKET, Key=f"{storage.prefix}/{found.key}")
        kinds[found.key.rsplit(".", 1)[1]] = answer["ContentType"], answer.get("CacheControl", "")
        assert answer["ContentLength"] > 0
    assert kinds["m3u8"][0] == "application/vnd.apple.mpegurl"
    assert {"mp4", "m4s", "jpg", "vtt"} <= set(kinds)
    assert all("max-age" in cache for kind, (_, cache) in kinds.items() if kind in ("mp4", "m4s"))
    assert storage.read(result["thumbnail_path"], 0, 2) == b"\xff\xd8"
    again = fleet.cli(
        "submit", "video", f"s3://{S3_BUCKET}/{storage.prefix}/{job.payload['file_key']}", "--tenant", "acme"
    )
    assert again.returncode == 0, again.stderr
    other = fleet.cli("submit", "video", "s3://another-bucket/a.mp4", "--tenant", "acme")
    assert other.returncode != 0
    assert "another-bucket" in other.stderr


def test_g10_a_bucket_that_goes_away_during_a_job_does_not_fail_it(fleet: Fleet, own_server: Server) -> None:
    fleet.settings = {**settings(own_server), "WORKER_RETRY__DELAY_SCALE": "0.02"}
    submitted = fleet.cli("submit", "video", str(make("short_clip")), "--tenant", "acme")
    assert submitted.returncode == 0, submitted.stderr
    worker = fleet.start()
    wait_for(lambda: any(event["event"] == "attempt.started" for event in fleet.events()), 60, "the attempt begins")
    own_server.kill()
    time.sleep(3)
    own_server.start()
    wait_for(lambda: fleet.job(submitted.stdout.strip()).state.is_terminal, 120, "the job ends")
    assert fleet.job(submitted.stdout.strip()).state is JobState.SUCCEEDED, fleet.story()
    worker.terminate()
    assert worker.wait(60) == 0


def test_e13_a_bucket_that_is_not_there_stops_the_start_and_the_doctor_says_why(fleet: Fleet) -> None:
    fleet.settings = {**settings(shared("s3")), "WORKER_STORAGE__BUCKET": "nobodys-bucket"}
    assert fleet.drain() == 4
    doctor = fleet.cli("doctor", "--json")
    assert doctor.returncode == 4
    failed = [json.dumps(one) for one in json.loads(doctor.stdout)["checks"] if not one["ok"]]
    assert len(failed) == 1
    assert "nobodys-bucket" in failed[0]
    assert "WORKER_STORAGE__BUCKET" in failed[0]
