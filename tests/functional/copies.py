"""The same requests many times over, published as producers do that know nothing of each other."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import redis

from src.application.ports.queue import Envelope, QueueDepth
from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.contracts.backends.sqs import client
from tests.functional.films import ASKED_AT, new_body, old_body, outcomes, shown, started, store
from tests.functional.fleet import Fleet, wait_for
from tests.functional.storm import make_clip
from tests.servers.shared import shared

SQS_BATCH = 10
SMALL_VIDEOS = {"WORKER_VIDEO__STORYBOARD": "false", "WORKER_VIDEO__PRESET": "ultrafast"}


def make_tiny_clip(target: Path) -> Path:
    """Three pictures: the least that is a film, because it is encoded hundreds of times."""
    return make_clip(str(find_ffmpeg()), target, 0.3, size="128x72", rate=10, tone=None, preset="ultrafast")


def act_body(fleet: Fleet, job: str, seconds: float = 0.0) -> bytes:
    """A job of tests/jobs.py in full: no row of it exists yet."""
    payload = {"action": "sleep", "seconds": seconds, "diary": str(fleet.diary)}
    body = {"id": job, "type": "act", "payload": payload, "tenant_id": "acme", "created_at": ASKED_AT}
    return json.dumps({**body, "retry_count": 0, "max_retries": 4}).encode()


def video_bodies(fleet: Fleet, clip: Path, count: int) -> list[bytes]:
    """One request per video, its source stored; the new body and the old one in turn."""
    bodies = []
    for number in range(count):
        key = store(fleet, clip, f"v{number}")
        new = number % 2 == 0
        bodies.append(new_body(f"v{number}", key, f"job-v{number}") if new else old_body(f"v{number}", key))
    return bodies


def copied(bodies: Sequence[bytes], copies: int, seed: int = 1) -> list[bytes]:
    """Every body that many times, in some order."""
    made = [body for body in bodies for _ in range(copies)]
    random.Random(seed).shuffle(made)
    return made


def publish_plain(fleet: Fleet, queue: str, bodies: Sequence[bytes]) -> None:
    """As a producer without this project does, where the queue has such producers; nothing merges equal messages."""
    name = fleet.settings.get("WORKER_QUEUE__NAME", "video")
    if queue == "sqs":
        sqs = client(shared("sqs"))
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for first in range(0, len(bodies), SQS_BATCH):
            batch = bodies[first : first + SQS_BATCH]
            entries = [{"Id": str(number), "MessageBody": body.decode()} for number, body in enumerate(batch)]
            answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
            assert not answer.get("Failed"), answer
        sqs.close()
    elif queue == "redis":
        with redis.Redis.from_url(fleet.settings["WORKER_REDIS__URL"]) as producer:
            producer.rpush(name, *bodies)
    else:
        mark = time.monotonic_ns()
        envelopes = [Envelope(body=body, key=f"{mark}-{number}") for number, body in enumerate(bodies)]
        fleet.adapters.queue_publisher().publish(envelopes)


def left(fleet: Fleet) -> int:
    """Messages in the queue, hidden ones included."""
    depth: QueueDepth = fleet.adapters.queue_inspector().depth()
    return depth.ready + depth.delayed + depth.in_flight


def check_once(fleet: Fleet, jobs: int, videos: int) -> None:
    """Every request ran exactly once, by the ledger and by what the workers say they began."""
    states = fleet.states()
    assert len(states) == jobs, fleet.story()
    assert set(states.values()) == {JobState.SUCCEEDED}, fleet.story()
    assert {name: outcomes(fleet, name) for name in states} == {name: ["SUCCEEDED"] for name in states}
    began = started(fleet)
    assert (sum(began.values()), set(began)) == (jobs, set(states))
    assert {shown(fleet, f"v{number}").status for number in range(videos)} <= {VideoStatus.READY}
    folders = {tuple(stored.key.split("/")[4:6]) for stored in fleet.adapters.storage().list("tenants/acme/video/hls/")}
    assert len(folders) == videos


@dataclass(frozen=True, slots=True)
class Replay:
    """Messages that were acknowledged without effect, and how long that took."""

    messages: int
    seconds: float

    @property
    def milliseconds_each(self) -> float:
        """On average."""
        return 1000 * self.seconds / self.messages


def replay(fleet: Fleet, queue: str, bodies: Sequence[bytes], *, patience_seconds: float = 120) -> Replay:
    """Publish these bodies, all of them of jobs that are done, and let one worker acknowledge them: from its first receive
    to an empty queue."""
    publish_plain(fleet, queue, bodies)
    worker = fleet.start()
    number = len(fleet.processes) - 1
    wait_for(lambda: "worker.receiving" in fleet.log(number), 60, "the worker receives")
    ended = _empty_at(fleet, patience_seconds)
    (began,) = [event["at"] for event in fleet.events(number) if event["event"] == "worker.receiving"]
    worker.terminate()
    assert worker.wait(30) == 0
    return Replay(len(bodies), ended - datetime.fromisoformat(began).timestamp())


def _empty_at(fleet: Fleet, patience_seconds: float) -> float:
    """When the queue was first seen empty. Looks seldom: looking costs the servers the time that is measured."""
    deadline = time.monotonic() + patience_seconds
    while left(fleet):
        assert time.monotonic() < deadline, f"not empty within {patience_seconds} s:\n{fleet.story()}"
        time.sleep(0.1)
    return time.time()


def once_and_never_again(
    fleet: Fleet,
    queue: str,
    bodies: Sequence[bytes],
    *,
    videos: int,
    copies: int,
    workers: int,
    patience_seconds: float,
    told: Callable[[str], object] = lambda _said: None,
) -> Replay:
    """All copies at once to several workers, then all of them again after the success of every job."""
    messages = copied(bodies, copies)
    publish_plain(fleet, queue, messages)
    assert left(fleet) == len(messages)
    began = time.monotonic()
    crew = [fleet.start("--drain") for _ in range(workers)]
    codes = [worker.wait(patience_seconds) for worker in crew]
    told(f"{queue}: {len(bodies)} jobs, {len(messages)} messages, {time.monotonic() - began:.1f} s")
    assert codes == [0] * workers
    check_once(fleet, len(bodies), videos)
    rows = {name: fleet.job(name) for name in fleet.states()}
    again = replay(fleet, queue, messages, patience_seconds=patience_seconds)
    told(f"{queue}: replay {again.milliseconds_each:.1f} ms a message")
    check_once(fleet, len(bodies), videos)
    assert {name: fleet.job(name) for name in fleet.states()} == rows
    return again
