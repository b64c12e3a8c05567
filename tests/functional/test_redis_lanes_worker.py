"""The content platform's three lists and its dead-letter list, on real workers and with nothing of ours on the producer's side."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import cast

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


def asked(name: str, kind: str = "thumbnail", max_retries: int = 3, **payload: object) -> bytes:
    """The seed's job JSON for a content job."""
    times = {"created_at": "2025-12-20T10:00:00Z", "retry_count": 0, "max_retries": max_retries}
    return json.dumps({"id": name, "type": kind, "payload": payload, **times}).encode()


def sent_as(entry: bytes) -> str | bytes:
    """The id of a dead letter or, of one that nobody could read, the body: as text, as base64, or as the object itself."""
    told = json.loads(entry)
    if "id" in told:
        return str(told["id"])
    if "body_base64" in told:
        return base64.b64decode(told["body_base64"])
    if "body" in told:
        return str(told["body"]).encode()
    return json.dumps(
        {key: value for key, value in told.items() if key not in ("letter", "attempts", "error")}
    ).encode()


def test_c1_whatever_can_not_be_done_is_in_the_dead_letter_list_with_its_reason(
    fleet: Fleet, mark: str, producer: redis.Redis, tmp_path: Path
) -> None:
    """Hostile and broken messages of all kinds through one content worker; each is read back from the list, as an operator's tool
    would. Nothing outside the media root is touched, and the worker goes on."""
    root = tmp_path / "nas"
    root.mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    film = "films/a.mp4"
    bad: dict[str, tuple[bytes, str, str]] = {
        "unknown-type": (asked("unknown-type", "transmogrify"), "unknown_job_type", "transmogrify"),
        "two-megabytes": (asked("two-megabytes", file_path=film, filler="x" * 2_000_000), "invalid_message", "bytes"),
        "no-json": (b'{"id": "no-json", "type": "thumb', "invalid_message", "JSON"),
        "no-object": (b'["thumbnail"]', "invalid_message", "object"),
        "pickled": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", "invalid_message", "UTF-8"),
        "no-shape": (b'{"hello": "world"}', "invalid_message", "no known shape"),
        "id-up": (asked("id-up", content_id="../../etc/cron.d/x", file_path=film), "invalid_payload", "content_id"),
        "id-deep": (asked("id-deep", "cache_warm", content_id="a/b", file_path=film), "invalid_payload", "content_id"),
        "path-up": (asked("path-up", content_id="c", file_path="../../etc/passwd"), "invalid_payload", "file_path"),
        "path-inner": (asked("path-inner", content_id="c", file_path="a/../../b.mp4"), "invalid_payload", "file_path"),
        "path-zero": (asked("path-zero", content_id="c", file_path="a\0.mp4"), "invalid_message", "0.mp4"),
        "path-root": (asked("path-root", content_id="c", file_path="/etc/passwd"), "invalid_payload", "media root"),
        "path-link": (
            asked("path-link", content_id="c", file_path=str(root / "link.mp4")),
            "invalid_payload",
            "a link that leads out",
        ),
        "no-record": (asked("no-record", content_id="nobody-knows"), "content_missing", "nor was there at 4 looks"),
        "no-film": (asked("no-film", "metadata", content_id="c", file_path=film), "source_missing", film),
    }
    producer.rpush(f"{mark}:high", *(body for body, _, _ in bad.values()))
    producer.rpush(f"{mark}:low", job(fleet, "last"))
    worker = fleet.run("src.interfaces.workers.content.main", "--drain", WORKER_CONTENT__MEDIA_ROOT=str(root))
    assert worker.wait(90) == 0
    assert fleet.states()["last"] is JobState.SUCCEEDED
    entries = cast("list[bytes]", producer.lrange(f"{mark}:dead_letter", 0, -1))
    told = {sent_as(entry): json.loads(entry) for entry in entries}
    assert len(told) == len(entries) == len(bad)
    for name, (body, code, words) in bad.items():
        entry = told[name] if name in told else told[body]
        error = entry["error"]
        assert (error["class"], words in error["message"], error["retryable"]) == (code, True, False), (name, error)
        assert entry["attempts"] == (4 if name == "no-record" else 1), name
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
