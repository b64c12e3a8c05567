"""The content platform's three lists and its dead-letter list, on real workers and with nothing of ours on the producer's side."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
import redis

from src.domain.job import JobState
from tests.adapters.redis_servers import client
from tests.functional.fleet import Fleet, kill, wait_for
from tests.servers.shared import shared


@pytest.fixture
def mark(fleet: Fleet) -> str:
    """Before the names of this test's lists."""
    made = uuid.uuid4().hex[:8]
    fleet.settings = {
        "WORKER_REDIS__URL": shared("redis").url,
        "WORKER_QUEUE__BACKEND": "redis",
        "WORKER_QUEUE__LANES": ",".join(f"{made}:{lane}" for lane in ("high", "normal", "low")),
        "WORKER_QUEUE__DEAD_LETTER_LIST": f"{made}:dead_letter",
        "WORKER_RETRY__DELAY_SCALE": "0.001",
    }
    return made


@pytest.fixture
def producer() -> Iterator[redis.Redis]:
    with client() as made:
        yield made


def job(fleet: Fleet, name: str, action: str = "noop", seconds: float = 0) -> str:
    """The seed's job JSON."""
    return json.dumps(
        {
            "id": name,
            "type": "act",
            "payload": {"action": action, "seconds": seconds, "diary": str(fleet.diary)},
            "created_at": "2025-12-20T10:00:00Z",
            "retry_count": 0,
            "max_retries": 3,
        }
    )


def test_c1_better_lists_first_and_what_fails_for_good_is_in_the_dead_letter_list(
    fleet: Fleet, mark: str, producer: redis.Redis
) -> None:
    producer.rpush(f"{mark}:low", job(fleet, "low-job"))
    producer.rpush(f"{mark}:normal", job(fleet, "normal-1"), job(fleet, "refused", "refuse"))
    producer.rpush(f"{mark}:high", job(fleet, "high-1"), "{nonsense", b"\x80\x04pickled.")
    assert fleet.drain() == 0
    begun = [line.split()[1] for line in fleet.diary.read_text().splitlines() if line.startswith("start")]
    assert begun == ["high-1", "normal-1", "refused", "low-job"]
    assert fleet.states() == {
        "high-1": JobState.SUCCEEDED,
        "normal-1": JobState.SUCCEEDED,
        "refused": JobState.FAILED,
        "low-job": JobState.SUCCEEDED,
    }
    entries = producer.lrange(f"{mark}:dead_letter", 0, -1)
    assert isinstance(entries, list)
    dead = [json.loads(entry) for entry in entries]
    assert sorted(map(str, (entry.get("id") for entry in dead))) == ["None", "None", "refused"]
    (refused,) = (entry for entry in dead if entry.get("id") == "refused")
    assert (refused["type"], refused["max_retries"], refused["error"]["retryable"]) == ("act", 3, False)
    assert all(entry["error"]["class"] for entry in dead)
    assert fleet.cli("doctor").returncode == 0
    producer.delete(f"{mark}:dead_letter")
    assert list(producer.scan_iter(f"*{mark}*")) == []


def test_c1_a_worker_killed_with_messages_of_each_list_loses_none(
    fleet: Fleet, mark: str, producer: redis.Redis
) -> None:
    for lane in ("high", "normal", "low"):
        producer.rpush(f"{mark}:{lane}", *(job(fleet, f"{lane}-{number}", "sleep", 0.2) for number in range(3)))
    worker = fleet.start(WORKER_CONCURRENCY="4")
    wait_for(lambda: fleet.diary.exists() and "start" in fleet.diary.read_text(), 30, "jobs run")
    kill(worker)
    assert fleet.drain(WORKER_CONCURRENCY="4") == 0
    assert len(fleet.states()) == 9
    assert set(fleet.states().values()) == {JobState.SUCCEEDED}
    assert list(producer.scan_iter(f"*{mark}*")) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"WORKER_QUEUE__BACKEND": "sqlite"}, "lists in Redis"),
        ({"WORKER_QUEUE__LANES": "a,b,a"}, "names a list twice"),
        ({"WORKER_QUEUE__LANES": "a{}b"}, "keys of a queue"),
    ],
)
def test_e13_lanes_that_can_not_be_are_refused(fleet: Fleet, mark: str, settings: dict[str, str], says: str) -> None:
    fleet.settings = {**fleet.settings, **settings}
    done = fleet.cli("run", "video", "--drain")
    assert (done.returncode, says in done.stderr) == (4, True), done.stderr
