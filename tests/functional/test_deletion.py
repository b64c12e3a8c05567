"""Deletion by real processes on real servers: the worker on every queue, the Lambda behind SQS, and the command."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.application.ports.ledger import DeadLetterFilter, JobFilter
from src.domain.job import Job, JobState
from src.domain.video.video import Video
from src.interfaces.lambdas import delete_objects as function
from src.interfaces.wiring.deletions import deletion_queue
from src.interfaces.wiring.environment import load
from tests.contracts.backends.sqs import REGION, client
from tests.functional.everywhere import fleet_on, often_on
from tests.functional.fleet import Fleet, wait_for
from tests.functional.places import AWS_KEYS, STORAGES
from tests.media import make
from tests.servers.process import Server
from tests.servers.s3_locked import LockedS3
from tests.servers.shared import shared

QUEUE = "academy-video-delete-r2"
LOCKED = "tenants/7/video/hls/1/thumbnail.jpg"


def source_of(video: str) -> str:
    return f"tenants/7/video/raw/{video}/film.mp4"


def folder_of(video: str) -> str:
    return f"tenants/7/video/hls/{video}/"


def fill(fleet: Fleet, *videos: str, rows: bool = True) -> None:
    for video in videos:
        if rows:
            fleet.adapters.videos().add(Video(id=video, tenant="7", source_key=source_of(video)))
        for key in (
            source_of(video),
            f"{folder_of(video)}1-1-00000000/master.m3u8",
            f"{folder_of(video)}thumbnail.jpg",
        ):
            fleet.adapters.storage().put_bytes(key, b"x", content_type="a/b", cache_control="")


def left(fleet: Fleet, video: str) -> int:
    keys = [stored.key for stored in fleet.adapters.storage().list("tenants/7/")]
    return sum(key == source_of(video) or key.startswith(folder_of(video)) for key in keys)


def deletions(fleet: Fleet) -> list[Job]:
    return list(fleet.adapters.ledger().list(JobFilter(type="delete_objects")))


def body(video: str, **more: object) -> str:
    request = {"action": "delete_r2", "tenant_id": 7, "video_id": int(video), "file_key": source_of(video)}
    return json.dumps(request | {"hls_prefix": folder_of(video), "created_at": "2026-02-24T00:00:00+00:00"} | more)


@often_on("sqlite")
def test_b5_a_request_becomes_a_job_of_a_worker_on_the_deletion_queue(queue: str, tmp_path: Path) -> None:
    name = f"delete-{uuid.uuid4().hex[:8]}"
    with fleet_on(queue, tmp_path / "data", WORKER_DELETION__QUEUE_NAME=name) as fleet:
        if queue == "sqs":
            client(shared("sqs")).create_queue(QueueName=name)
        fill(fleet, "1", "12")
        deletion_queue(load(fleet.environ()), fleet.adapters).enqueue_delete_r2(
            tenant_id=7, video_id=1, file_key=source_of("1"), hls_prefix=folder_of("1")
        )
        assert fleet.drain(WORKER_QUEUE__NAME=name) == 0
        (job,) = deletions(fleet)
        assert (job.state, job.result) == (JobState.SUCCEEDED, {"source": "removed", "objects": 2}), fleet.story()
        assert [left(fleet, "1"), left(fleet, "12")] == [0, 3]


# ---------------------------------------------------------------------- SQS and S3
@pytest.fixture
def wire() -> Iterator[LockedS3]:
    with LockedS3(shared("s3").url) as made:
        yield made


@pytest.fixture
def sqs() -> Any:
    return client(shared("sqs"))


@pytest.fixture
def queues(sqs: Any, fleet: Fleet, wire: LockedS3, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The deletion queue, which gives up after three receives, and its dead-letter queue; the bucket is behind the wire."""
    name = f"delete-{uuid.uuid4().hex[:8]}"
    aside = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=aside, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "1"})["QueueUrl"]

    def behind(_kind: str) -> Server:
        return SimpleNamespace(url=wire.url)  # type: ignore[return-value]

    fleet.settings = {
        **AWS_KEYS,
        **STORAGES["s3"](behind),
        "WORKER_QUEUE__BACKEND": "sqs",
        "WORKER_QUEUE__NAME": name,
        "WORKER_AWS__ENDPOINT_URL": shared("sqs").url,
        "WORKER_AWS__REGION": REGION,
        "WORKER_RETRY__DELAY_SCALE": "0.001",
    }
    for key, value in AWS_KEYS.items():
        monkeypatch.setenv(key, value)
    return url, aside


def count(sqs: Any, url: str) -> int:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


def test_b5_an_object_that_failed_for_a_while_is_deleted_by_a_retry(
    fleet: Fleet, sqs: Any, queues: tuple[str, str], wire: LockedS3
) -> None:
    fill(fleet, "1", "2")
    for video in ("1", "2"):
        sqs.send_message(QueueUrl=queues[0], MessageBody=body(video))
    wire.locked.add(LOCKED)
    worker = fleet.start()
    wait_for(lambda: any(job.state is JobState.RETRY_WAIT for job in deletions(fleet)), 30, "the refused one waits")
    assert left(fleet, "1") == 1
    wire.locked.clear()
    wait_for(lambda: not count(sqs, queues[0]), 30, "both are done")
    worker.terminate()
    assert worker.wait(30) == 0
    assert [left(fleet, "1"), left(fleet, "2")] == [0, 0]
    outcomes = sorted(
        [attempt.outcome for attempt in fleet.adapters.ledger().attempts(job.id)] for job in deletions(fleet)
    )
    assert outcomes == [["RETRY_WAIT", "SUCCEEDED"], ["SUCCEEDED"]]
    assert [count(sqs, url) for url in queues] == [0, 0]


def test_b5_an_object_that_fails_for_good_ends_with_the_reason_in_a_dead_letter(
    fleet: Fleet, sqs: Any, queues: tuple[str, str], wire: LockedS3
) -> None:
    fill(fleet, "1", "2")
    for text in (body("1"), body("2"), body("2", hls_prefix="tenants/7/video/hls/"), body("2", tenant_id=8)):
        sqs.send_message(QueueUrl=queues[0], MessageBody=text)
    wire.locked.add(LOCKED)
    assert fleet.drain() == 0
    assert [left(fleet, "1"), left(fleet, "2")] == [1, 0]
    letters = fleet.adapters.dead_letters().list(DeadLetterFilter())
    assert sorted(letter.error.code for letter in letters) == ["invalid_payload", "objects_left", "tenant_mismatch"]
    (dead,) = [letter for letter in letters if letter.error.code == "objects_left"]
    assert "thumbnail.jpg" in dead.error.message
    assert "AccessDenied" in dead.error.message


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 120_000


def served(sqs: Any, url: str) -> list[str]:
    """One turn of what AWS does between queue and function: receive, call, delete what was not named. The failed ones."""
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", [])
    if not found:
        return []
    records = [
        {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]} for one in found
    ]
    answer = function.handler({"Records": records}, Context())
    failed = [one["itemIdentifier"] for one in answer["batchItemFailures"]]
    for one in found:
        if one["MessageId"] not in failed:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return failed


def test_b5_the_lambda_deletes_what_it_can_and_sqs_keeps_the_rest_until_its_dead_letter_queue_does(
    fleet: Fleet, sqs: Any, queues: tuple[str, str], wire: LockedS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(fleet, "1", "2", "12", rows=False)
    for name, value in fleet.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(function, "_made", [])
    texts = [body("1"), body("2"), json.dumps({"action": "restore_r2", "video_id": 1}), "not json"]
    for text in texts:
        sqs.send_message(QueueUrl=queues[0], MessageBody=text)
    turns = []
    wire.locked.add(LOCKED)
    for _ in range(20):
        turns.append(served(sqs, queues[0]))
        if not count(sqs, queues[0]):
            break
    assert [left(fleet, "1"), left(fleet, "2"), left(fleet, "12")] == [1, 0, 3]
    assert sum(map(len, turns)) == 6, "the locked one and the broken one, three times each"
    set_aside = sqs.receive_message(QueueUrl=queues[1], MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    assert sorted(one["Body"] for one in set_aside) == sorted([body("1"), "not json"])


def test_the_lambda_with_a_database_asks_the_rows(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(fleet, "1")
    url = fleet.adapters.database().url
    monkeypatch.setattr(function, "_made", [])
    for name, value in {
        "WORKER_STORAGE__BACKEND": "filesystem",
        "WORKER_DATA_DIR": str(fleet.folder),
        "WORKER_DATABASE__URL": url,
    }.items():
        monkeypatch.setenv(name, value)
    other = body("1", file_key="tenants/7/video/raw/session/other.mp4")
    event = {"Records": [{"messageId": "a", "body": other}, {"messageId": "b", "body": body("1")}]}
    assert function.handler(event, Context()) == {"batchItemFailures": [{"itemIdentifier": "a"}]}
    assert left(fleet, "1") == 0


# ---------------------------------------------------------------------- the command
def test_the_command_shows_deletes_and_says_who_has_to_work(fleet: Fleet) -> None:
    fill(fleet, "1", "12")
    shown = json.loads(fleet.cli("delete", "1", "--dry-run", "--json").stdout)
    assert (shown["prefix"]["objects"], shown["source"]["bytes"], shown["deleted_at"]) == (2, 1, None)
    assert fleet.cli("delete", "1", "--tenant", "8").returncode == 3
    done = fleet.cli("delete", "1", "--tenant", "7")
    assert done.returncode == 0, done.stderr
    assert f"when queue '{QUEUE}' is worked on" in done.stdout
    assert left(fleet, "1") == 3
    assert fleet.drain(WORKER_QUEUE__NAME=QUEUE) == 0
    assert [left(fleet, "1"), left(fleet, "12")] == [0, 3]


def test_the_command_can_do_it_at_once(fleet: Fleet) -> None:
    fill(fleet, "1")
    done = json.loads(fleet.cli("delete", "1", "--now", "--json").stdout)
    assert done["removed"] == {"source": "removed", "objects": 2}
    assert left(fleet, "1") == 0
    with sqlite3.connect(fleet.folder / "mediaworker.db") as rows:
        assert rows.execute("SELECT count(*) FROM queue_messages").fetchone() == (0,)


@pytest.mark.chaos
def test_lesson_14_a_video_deleted_while_it_is_encoded_leaves_nothing(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_VIDEO__CHUNK_SECONDS": "4", "WORKER_CONCURRENCY": "1"}
    clip = make("short_clip")
    done = fleet.cli("submit", "video", str(clip), "--tenant", "7", "--video-id", "1", "--json")
    job_id = json.loads(done.stdout)["id"]
    encoder = fleet.start(MEDIAWORKER_FAILPOINTS="segment.uploaded=sleep:15")
    wait_for(lambda: fleet.job(job_id).state is JobState.RUNNING and left(fleet, "1") > 1, 60, "segments are uploaded")
    assert fleet.cli("delete", "1").returncode == 0
    remover = fleet.start(WORKER_QUEUE__NAME=QUEUE)
    wait_for(lambda: any(job.state is JobState.SUCCEEDED for job in deletions(fleet)), 60, "the objects are deleted")
    wait_for(lambda: fleet.job(job_id).state.is_terminal, 30, "the encode has ended")
    assert fleet.job(job_id).state is JobState.CANCELLED, fleet.story()
    assert [stored.key for stored in fleet.adapters.storage().list("tenants/7/")] == []
    for worker in (encoder, remover):
        worker.terminate()
        assert worker.wait(30) == 0
    assert fleet.left_running() == []
    assert fleet.adapters.dead_letters().list(DeadLetterFilter()) == []
