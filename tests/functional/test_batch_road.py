"""Submission by the command line and real workers, on the road of AWS Batch and on the queue's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from src.application.ports.ops_events import EventFilter, EventType
from src.domain.job import JobState
from src.domain.video.video import Video, VideoStatus
from src.interfaces.cli.app import run_command
from src.interfaces.cli.errors import CONFIG, OK, UNREACHABLE, USAGE
from tests.functional.fleet import Fleet
from tests.servers.batch import BatchServer

KEY = "tenants/default/video/raw/s/film.mp4"
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[BatchServer]:
    """Containers wait for a place."""
    (tmp_path / "batch").mkdir()
    with BatchServer(tmp_path / "batch", pace=0.01) as made:
        made.define("video-definition", ["/bin/true", "Ref::job_id"])
        made.yard.hold()
        yield made


@pytest.fixture
def road(batch: BatchServer, tmp_path: Path) -> Iterator[Fleet]:
    """The command line and workers of a system whose videos go by Batch."""
    settings = {
        **AWS,
        "WORKER_DISPATCH__BACKEND": "batch",
        "WORKER_BATCH__QUEUE": "video-queue",
        "WORKER_BATCH__DEFINITION": "video-definition",
        "WORKER_AWS__ENDPOINT_URL": batch.url,
        "WORKER_QUEUE__WAIT_SECONDS": "1",
        "WORKER_LIMITS__ACTIVE_PER_TENANT": "1",
    }
    fleet = Fleet(tmp_path / "data", settings)
    try:
        yield fleet
    finally:
        fleet.close()


def upload(fleet: Fleet, video_id: str | None = None, key: str = KEY) -> None:
    """A source, and a row as the API writes it."""
    fleet.adapters.storage().put_bytes(key, b"no film", content_type="video/mp4", cache_control="no-store")
    if video_id is not None:
        fleet.adapters.videos().add(Video(id=video_id, tenant="default", source_key=key))


@dataclass
class Typed:
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str


def cli(fleet: Fleet, *arguments: str, **environment: str) -> Typed:
    """The command line in this process, which has boto3 already; test_cli.py starts it as it is started."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in fleet.environ(**environment).items():
            patch.setenv(name, value)
        code = run_command(list(arguments))
    return Typed(code, out.getvalue(), err.getvalue())


def submit(fleet: Fleet, video_id: str = "v1") -> Typed:
    return cli(fleet, "submit", "video", KEY, "--video-id", video_id, "--json")


def printed(done: Typed) -> Any:
    assert done.returncode == OK, done.stderr
    return json.loads(done.stdout)


def containers(batch: BatchServer) -> list[str]:
    """Whose containers were asked for."""
    return [body["parameters"]["job_id"] for body in batch.bodies("SubmitJob")]


def test_b1_a_video_is_submitted_to_batch_and_to_nobody_else(road: Fleet, batch: BatchServer) -> None:
    upload(road)
    job_id = printed(submit(road))["id"]
    assert containers(batch) == [job_id]
    shown = printed(cli(road, "jobs", "show", job_id, "--json"))
    (row,) = shown["submissions"]
    assert (row["attempt"], row["generation"], row["state"], shown["events"]) == (1, 1, None, [])
    assert row["aws_batch_job_id"] in batch.yard.jobs
    assert row["aws_batch_job_id"] in cli(road, "jobs", "show", job_id).stdout
    # Due for its recovery owner, which is no worker's waker.
    road.adapters.ledger().change(job_id, lambda job, now: job.waking(now, seen=job.wake_at, hold_seconds=-1)[0])
    assert road.drain() == 0
    assert road.job(job_id).state is JobState.QUEUED
    assert road.adapters.queue_inspector().depth().ready == 0


def test_b1_a_system_without_a_video_queue_submits_and_looks_after_its_videos(road: Fleet, batch: BatchServer) -> None:
    """SQS is chosen for the deletion queue, and has no queue of jobs: everything that needs none goes without."""
    upload(road, "v1")
    batch_only = {"WORKER_QUEUE__BACKEND": "sqs", "WORKER_AWS__REGION": "us-east-1"}
    job_id = printed(cli(road, "submit", "video", KEY, "--video-id", "v1", "--json", **batch_only))["id"]
    assert containers(batch) == [job_id]
    assert cli(road, "jobs", "cancel", job_id, **batch_only).returncode == OK
    assert cli(road, "jobs", "retry", job_id, **batch_only).returncode == OK
    assert containers(batch) == [job_id, job_id]
    assert printed(cli(road, "queues", "--json", **batch_only))["queues"] == []
    assert "Queue of jobs: not used: videos go to AWS Batch" in cli(road, "queues", **batch_only).stdout
    done = cli(road, "doctor", "--json", **batch_only)
    checks = {each["check"]: each for each in json.loads(done.stdout)["checks"]}
    assert checks["queue"]["ok"]
    assert checks["queue"]["detail"].startswith("not used: videos go to AWS Batch")
    # A job of another type has no way to a worker, and that is said of the queue that was named.
    named = cli(road, "doctor", "--json", **batch_only, WORKER_QUEUE__NAME="content")
    assert not {each["check"]: each for each in json.loads(named.stdout)["checks"]}["queue"]["ok"]


def test_b1_the_story_of_a_job_names_its_container_and_its_owner(road: Fleet, batch: BatchServer) -> None:
    upload(road, "v1")
    job_id = printed(submit(road))["id"]
    (batch_id,) = batch.yard.jobs
    story = "\n".join(printed(cli(road, "jobs", "explain", job_id, "--json"))["explanation"])
    assert f"batch job {batch_id}" in story
    assert "`scan-stuck`" in story
    assert "message" not in story
    assert cli(road, "delete", "v1", "--now").returncode == OK
    story = cli(road, "jobs", "explain", job_id).stdout
    assert "its video v1 was deleted" in story
    assert "opens it again" not in story
    refused = cli(road, "jobs", "retry", job_id)
    assert (refused.returncode, "its video v1 was deleted" in refused.stderr) == (USAGE, True)
    upload(road)
    refused = submit(road)
    assert refused.returncode == USAGE
    assert "not_found: video v1 was deleted" in json.loads(refused.stderr)["error"]["message"]


def test_b1_a_submission_that_batch_refuses_leaves_nothing_but_an_event(road: Fleet, batch: BatchServer) -> None:
    upload(road)
    batch.refuse("SubmitJob", 403, "AccessDeniedException", times=1)
    done = submit(road)
    assert done.returncode == CONFIG
    assert json.loads(done.stderr or done.stdout)["error"]["class"] == "batch_denied"
    assert road.states() == {}
    assert road.adapters.videos().get("v1").status is VideoStatus.UPLOADED
    (event,) = printed(cli(road, "events", "list", "--severity", "error", "--since", "1h", "--json"))
    assert (event["type"], event["video"]) == ("BATCH_SUBMIT_FAILED", "v1")
    assert "AccessDenied" in event["payload"]["error"]
    assert "BATCH_SUBMIT_FAILED" in cli(road, "events", "list", "--job", event["job"]).stdout
    assert cli(road, "events", "list", "--since", "2999-01-01").stdout == "No events.\n"
    assert submit(road).returncode == OK, "nothing is in the way"


def test_f34_a_lost_reply_keeps_the_job_for_the_container_that_is_on_its_way(road: Fleet, batch: BatchServer) -> None:
    upload(road)
    batch.drop_reply("SubmitJob")
    done = submit(road)
    job = printed(done)
    assert "a container may be on its way" in done.stderr
    assert (job["state"], containers(batch)) == ("QUEUED", [job["id"]])
    assert printed(submit(road))["id"] == job["id"], "asking again finds it, and asks for no second container"
    assert len(containers(batch)) == 1
    (asked,) = printed(cli(road, "jobs", "show", job["id"], "--json"))["submissions"]
    assert (asked["state"], asked["aws_batch_job_id"]) == ("SUBMITTING", None)
    report = printed(cli(road, "recover", "reconcile", "--json"))
    assert report["counts"]["adopt"] == 1
    (known,) = road.adapters.submissions().of_job(job["id"])
    assert known.batch_id == report["done"][0]["id"]
    assert len(containers(batch)) == 1


def test_nothing_listens_where_batch_should_be(road: Fleet, tmp_path: Path) -> None:
    upload(road)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"a film of somebody")
    done = cli(road, "submit", "video", str(film), "--video-id", "v1", WORKER_AWS__ENDPOINT_URL="http://127.0.0.1:9")
    assert done.returncode == UNREACHABLE, done.stderr
    assert road.states() == {}
    key = road.adapters.videos().get("v1").source_key
    assert f"mediaworker submit video {key} --tenant default --video-id v1" in done.stderr
    assert road.adapters.storage().head(key).size == 18, "the upload is kept, and can be submitted"


def test_lesson_14_a_cancelled_job_makes_room_for_the_next_video(road: Fleet, batch: BatchServer) -> None:
    for video_id in ("v1", "v2", "v3"):
        upload(road, video_id)
    first = printed(submit(road))["id"]
    full = submit(road, "v2")
    assert full.returncode == USAGE
    assert "tenant_limit" in (full.stderr or full.stdout)
    assert cli(road, "jobs", "cancel", first).returncode == OK
    rows = {row.payload["video_id"]: row for row in (road.job(job_id) for job_id in road.states())}
    assert {video: row.state for video, row in rows.items()} == {"v1": JobState.CANCELLED, "v2": JobState.QUEUED}
    assert containers(batch) == [first, rows["v2"].id]
    (event,) = road.adapters.ops_events().list(EventFilter())
    assert (event.type, event.video_id) == (EventType.TENANT_LIMIT_EXCEEDED, "v2")


def test_a_dead_job_that_is_retried_gets_a_container_of_its_own(road: Fleet, batch: BatchServer) -> None:
    upload(road)
    job_id = printed(submit(road))["id"]
    assert cli(road, "jobs", "cancel", job_id).returncode == OK
    assert cli(road, "jobs", "retry", job_id).returncode == OK
    assert containers(batch) == [job_id, job_id]
    rows = printed(cli(road, "jobs", "show", job_id, "--json"))["submissions"]
    assert [row["generation"] for row in rows] == [1, 2]


def test_lesson_14_workers_of_a_queue_submit_the_next_video_when_a_job_has_ended(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "data", {"WORKER_LIMITS__ACTIVE_PER_TENANT": "1", "WORKER_QUEUE__WAIT_SECONDS": "1"})
    try:
        for video_id in ("v1", "v2", "v3"):
            upload(fleet, video_id)
        assert submit(fleet).returncode == OK
        assert submit(fleet, "v2").returncode == USAGE
        # What was uploaded is no film: each of the jobs fails at once, and the next one takes its place.
        assert fleet.drain() == 0
        assert sorted(fleet.states().values()) == [JobState.FAILED] * 3
        assert {fleet.adapters.videos().get(each).status for each in ("v1", "v2", "v3")} == {VideoStatus.FAILED}
    finally:
        fleet.close()


def test_the_demo_says_that_its_worker_would_wait_for_ever(road: Fleet) -> None:
    done = cli(road, "demo", "--json")
    assert done.returncode == CONFIG
    assert "WORKER_DISPATCH__BACKEND" in json.loads(done.stderr)["error"]["fix"]
