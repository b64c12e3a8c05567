"""The real video worker with queue, lock and progress in Redis, fed by nothing but RPUSH."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping

import pytest
import redis

from src.application.ports.ledger import DeadLetterFilter
from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from tests.adapters.redis_servers import client, own_server
from tests.functional.fleet import Fleet, wait_for
from tests.media import make
from tests.servers.shared import shared


def on_redis(address: str, name: str) -> Mapping[str, str]:
    return {
        "WORKER_REDIS__URL": address,
        "WORKER_QUEUE__BACKEND": "redis",
        "WORKER_QUEUE__NAME": name,
        "WORKER_LOCK__BACKEND": "redis",
        "WORKER_PROGRESS__BACKEND": "redis",
    }


@pytest.fixture
def name(fleet: Fleet) -> str:
    """Of the queue that the fleet works for."""
    made = f"video-{uuid.uuid4().hex[:8]}"
    fleet.settings = on_redis(shared("redis").url, made)
    return made


@pytest.fixture
def producer() -> Iterator[redis.Redis]:
    with client() as made:
        yield made


def test_a_video_pushed_by_anybody_is_encoded(fleet: Fleet, name: str, producer: redis.Redis) -> None:
    source = make("short_clip")
    key = f"tenants/acme/video/raw/7/{source.name}"
    fleet.adapters.storage().put_file(key, source, content_type="video/mp4", cache_control="no-cache")
    producer.rpush(name, json.dumps({"video_id": 7, "tenant_code": "acme", "file_key": key}))
    assert fleet.drain() == 0
    (job,) = fleet.states()
    assert fleet.states() == {job: JobState.SUCCEEDED}
    row = fleet.adapters.videos().find("7")
    assert row is not None
    assert row.status is VideoStatus.READY
    assert json.loads(producer.get(f"job:{job}:progress") or b"")["percent"] == 100
    assert not producer.exists(f"job:{job}:lock")
    assert list(producer.scan_iter(f"*{name}*")) == []
    producer.delete(f"job:{job}:progress")


def test_a_poison_message_is_kept_aside_and_leaves_the_queue(fleet: Fleet, name: str, producer: redis.Redis) -> None:
    producer.rpush(name, b"\xff not json")
    assert fleet.drain() == 0
    (letter,) = fleet.adapters.dead_letters().list(DeadLetterFilter())
    assert letter.body == b"\xff not json"
    assert list(producer.scan_iter(f"*{name}*")) == []


def test_sigterm_while_the_worker_waits_ends_it_and_no_message_is_hidden(
    fleet: Fleet, name: str, producer: redis.Redis
) -> None:
    worker = fleet.start()
    wait_for(lambda: "worker.receiving" in fleet.log(), 30, "the worker receives")
    worker.terminate()
    assert worker.wait(15) == 0
    producer.rpush(name, "x")
    depth = fleet.adapters.queue().depth()
    assert (depth.ready, depth.in_flight) == (1, 0)


def test_f12_f13_a_redis_that_is_killed_under_a_running_job_costs_nothing(fleet: Fleet) -> None:
    with own_server(durable=True) as server:
        fleet.settings = on_redis(server.url, "video")
        fleet.submit("long", "progress", seconds=6)
        worker = fleet.start()
        wait_for(lambda: fleet.entries("start", "long"), 30, "the job runs")
        server.kill()
        for event in ("receive.failed", "progress.lost"):
            wait_for(lambda event=event: event in fleet.log(), 30, event)  # type: ignore[misc]
        server.start()
        wait_for(lambda: fleet.job("long").state is JobState.SUCCEEDED, 60, "the job is done")
        assert len(fleet.entries("start", "long")) == 1
        fleet.submit("after", "noop")
        wait_for(lambda: fleet.job("after").state is JobState.SUCCEEDED, 60, "the worker goes on")
        worker.terminate()
        assert worker.wait(30) == 0
        depth = fleet.adapters.queue().depth()
        assert (depth.ready, depth.delayed, depth.in_flight) == (0, 0, 0)
