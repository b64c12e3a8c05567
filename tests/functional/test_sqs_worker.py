"""The real video worker on SQS, fed by what docs/publishing.md shows."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from src.application.ports.ledger import DeadLetterFilter
from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from tests.contracts.backends.sqs import REGION, client
from tests.functional.fleet import ROOT, Fleet, wait_for
from tests.media import make
from tests.servers.process import free_ports
from tests.servers.shared import shared

NUMBERS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def sqs() -> Any:
    return client(shared("sqs"))


@pytest.fixture
def queue(sqs: Any, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A queue that the fleet works for, and its dead-letter queue: their addresses."""
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    name = f"video-{uuid.uuid4().hex[:8]}"
    aside = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=aside, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 10})
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    fleet.settings = {
        **KEYS,
        "WORKER_QUEUE__BACKEND": "sqs",
        "WORKER_QUEUE__NAME": name,
        "WORKER_AWS__ENDPOINT_URL": shared("sqs").url,
        "WORKER_AWS__REGION": REGION,
    }
    return url, aside


def waiting(sqs: Any, url: str) -> list[int]:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return [int(found[number]) for number in NUMBERS]


def test_v1_an_api_with_nothing_but_boto3_feeds_the_worker(
    fleet: Fleet, sqs: Any, queue: tuple[str, str], tmp_path: Path
) -> None:
    url, aside = queue
    source = make("short_clip")
    keys = {video: f"tenants/acme/video/raw/{video}/{source.name}" for video in ("v1", "7")}
    for key in keys.values():
        fleet.adapters.storage().put_file(key, source, content_type="video/mp4", cache_control="no-cache")
    (code,) = re.findall(
        r"```python\n(# publish_video\.py\n.*?)```", (ROOT / "docs/publishing.md").read_text(), re.DOTALL
    )
    (tmp_path / "publish_video.py").write_text(code)
    new = {"video_id": "v1", "tenant_id": "acme", "file_key": keys["v1"]}
    old = {"video_id": 7, "tenant_code": "acme", "file_key": keys["7"]}
    api = f"from publish_video import *\nprint(publish_video(**{new!r}))\npublish_video_old_format(**{old!r})\n"
    environment = {**KEYS, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": shared("sqs").url}
    said = subprocess.run(
        [sys.executable, "-c", api],
        cwd=tmp_path,
        env={**environment, "VIDEO_QUEUE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert fleet.drain() == 0
    states = fleet.states()
    assert len(states) == 2
    assert said.stdout.strip() in states
    assert set(states.values()) == {JobState.SUCCEEDED}
    for video in keys:
        row = fleet.adapters.videos().find(video)
        assert row is not None
        assert row.status is VideoStatus.READY
    assert waiting(sqs, url) == [0, 0, 0]
    assert waiting(sqs, aside) == [0, 0, 0]
    assert fleet.adapters.dead_letters().list(DeadLetterFilter()) == []
    assert fleet.left_running() == []


def test_sigterm_while_the_worker_polls_sqs_ends_it_and_no_message_is_hidden(
    fleet: Fleet, sqs: Any, queue: tuple[str, str]
) -> None:
    worker = fleet.start()
    wait_for(lambda: "worker.receiving" in fleet.log(), 30, "the worker receives")
    worker.terminate()
    assert worker.wait(15) == 0
    sqs.send_message(QueueUrl=queue[0], MessageBody="x")
    assert waiting(sqs, queue[0]) == [1, 0, 0]


def test_a_poison_message_is_kept_aside_and_leaves_the_queue(fleet: Fleet, sqs: Any, queue: tuple[str, str]) -> None:
    sqs.send_message(QueueUrl=queue[0], MessageBody="not json")
    assert fleet.drain() == 0
    assert waiting(sqs, queue[0]) == [0, 0, 0]
    assert waiting(sqs, queue[1]) == [0, 0, 0]
    (letter,) = fleet.adapters.dead_letters().list(DeadLetterFilter())
    assert letter.body == b"not json"


def test_e13_a_queue_that_is_missing_stops_the_start_with_words(fleet: Fleet, queue: tuple[str, str]) -> None:
    for command in (("doctor",), ("run", "video", "--drain")):
        done = fleet.cli(*command, WORKER_QUEUE__NAME="no-such-queue")
        assert done.returncode == 4
        assert "no-such-queue" in done.stdout + done.stderr
        assert "create the queue" in done.stdout + done.stderr


def test_e13_a_service_that_is_away_is_told_apart_from_a_wrong_setting(fleet: Fleet, queue: tuple[str, str]) -> None:
    (port,) = free_ports()
    done = fleet.cli("doctor", WORKER_AWS__ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert done.returncode == 7
    assert "got no answer" in done.stdout


def test_doctor_shows_what_sqs_says_of_the_queue(fleet: Fleet, queue: tuple[str, str]) -> None:
    done = fleet.cli("doctor", "--json")
    (found,) = [check for check in json.loads(done.stdout)["checks"] if check["check"] == "queue"]
    assert "standard queue" in found["detail"]
    assert "moves messages aside after 10 receives" in found["detail"]


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("message.received", marks=pytest.mark.chaos),
        "claim.committed",
        pytest.param("complete.committed", marks=pytest.mark.chaos),
    ],
)
def test_k_matrix_kill_9_of_a_worker_on_sqs_loses_nothing(
    fleet: Fleet, sqs: Any, queue: tuple[str, str], point: str
) -> None:
    fleet.submit("job-1", "noop")
    assert fleet.start(MEDIAWORKER_FAILPOINTS=f"{point}=kill").wait(30) == -signal.SIGKILL
    wait_for(lambda: fleet.left_running() == [], 10, "the killed worker's processes are gone")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert job.state is JobState.SUCCEEDED
    assert [attempt.outcome for attempt in fleet.adapters.ledger().attempts("job-1")].count("SUCCEEDED") == 1
    assert waiting(sqs, queue[0]) == [0, 0, 0]
    assert waiting(sqs, queue[1]) == [0, 0, 0]


def test_an_operator_sees_the_queue_and_submits_to_it(fleet: Fleet, sqs: Any, queue: tuple[str, str]) -> None:
    done = fleet.cli("submit", "video", str(make("short_clip")), "--json")
    assert done.returncode == 0, done.stderr
    (name,) = fleet.states()
    (message,) = sqs.receive_message(QueueUrl=queue[0], VisibilityTimeout=0)["Messages"]
    assert json.loads(message["Body"])["job_id"] == name
    (shown,) = json.loads(fleet.cli("queues", "--json").stdout)["queues"]
    assert (shown["backend"], shown["ready"], shown["oldest_ready_seconds"]) == ("sqs", 1, None)


def test_a_fifo_queue_is_worked_off_in_order_and_a_message_sent_twice_is_one(
    fleet: Fleet, sqs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/publishing.md says to send: the tenant as the group, the job's id against doubles."""
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    name = f"video-{uuid.uuid4().hex[:8]}.fifo"
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    fleet.settings = {
        **KEYS,
        "WORKER_QUEUE__BACKEND": "sqs",
        "WORKER_QUEUE__NAME": name,
        "WORKER_AWS__ENDPOINT_URL": shared("sqs").url,
        "WORKER_AWS__REGION": REGION,
        "WORKER_CONCURRENCY": "3",
        "WORKER_RETRY__DELAY_SCALE": "0",
    }
    actions = {"job-1": "be_unlucky", "job-2": "noop", "job-3": "noop"}
    for _ in range(2):
        for job, action in actions.items():
            payload = {"action": action, "diary": str(fleet.diary)}
            body = {"id": job, "type": "act", "payload": payload, "tenant_id": "acme", "max_retries": 1}
            sqs.send_message(
                QueueUrl=url, MessageBody=json.dumps(body), MessageGroupId="acme", MessageDeduplicationId=job
            )
    assert waiting(sqs, url) == [3, 0, 0]
    assert fleet.drain() == 0
    assert fleet.states() == {"job-1": JobState.DEAD, "job-2": JobState.SUCCEEDED, "job-3": JobState.SUCCEEDED}
    assert [line[1] for line in fleet.entries("start")] == ["job-1", "job-1", "job-2", "job-3"]
    assert waiting(sqs, url) == [0, 0, 0]
