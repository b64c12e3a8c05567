"""The content worker as a process: the seed's jobs, published as anybody may publish them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from src.application.ports.queue import Envelope
from src.domain.job import JobState
from tests.functional.fleet import Fleet
from tests.media import make


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "data", {"WORKER_CONTENT__MEDIA_ROOT": str(tmp_path / "nas")})
    yield made
    made.close()


def publish(fleet: Fleet, kind: str, payload: Mapping[str, object]) -> str:
    """The body of seed 000, unchanged."""
    name = f"job-{kind}-{payload.get('content_id', payload.get('target', 'x'))}"
    body = {
        "id": name, "type": kind, "payload": payload, "created_at": "2025-12-20T10:00:00Z", "retry_count": 0,
        "max_retries": 3,
    }  # fmt: skip
    fleet.adapters.queue_publisher().publish([Envelope(body=json.dumps(body).encode(), key=name)])
    return name


def test_the_seed_s_jobs_run_and_their_results_say_what_an_event_would(fleet: Fleet, tmp_path: Path) -> None:
    nas, storage = tmp_path / "nas", tmp_path / "data" / "storage" / "films"
    nas.mkdir()
    storage.mkdir(parents=True)
    shutil.copy(make("black_lead_in"), nas / "one.mp4")
    shutil.copy(make("rotated_phone"), storage / "two.mp4")
    jobs = {
        name: publish(fleet, kind, payload)
        for name, kind, payload in (
            ("thumbnail", "thumbnail", {"content_id": "c-1", "file_path": str(nas / "one.mp4")}),
            ("metadata", "metadata", {"content_id": "c-2", "file_path": "films/two.mp4"}),
            ("warm", "cache_warm", {"content_id": "c-2", "file_path": "films/two.mp4"}),
            ("cleanup", "cleanup", {"target": "sessions"}),
            ("figures", "daily_statistics", {"date": "2026-01-01"}),
            ("escape", "thumbnail", {"content_id": "c-3", "file_path": "/etc/hostname"}),
        )
    }
    worker = fleet._spawn("src.interfaces.workers.content.main", ["--drain"], {})
    assert worker.wait(90) == 0, fleet.log()
    found = {name: fleet.job(job) for name, job in jobs.items()}
    states = {name: job.state for name, job in found.items()}
    assert states.pop("escape") == JobState.FAILED
    assert set(states.values()) == {JobState.SUCCEEDED}, fleet.log()
    results = {name: job.result or {} for name, job in found.items()}
    cache = tmp_path / "data" / "cache"
    assert results["thumbnail"]["path"] == str(cache / "thumbnails" / "c-1.jpg")
    # A tenth of this film is black: the next place is not.
    assert (results["thumbnail"]["dark"], (cache / "thumbnails" / "c-1.jpg").read_bytes()[:3]) == (
        False,
        b"\xff\xd8\xff",
    )
    assert results["metadata"]["metadata"]["video_codec"] == "h264"
    assert fleet.adapters.contents().get("c-2")["resolution"] == "320x180"
    assert (cache / "hot" / "c-2.mp4").read_bytes() == (storage / "two.mp4").read_bytes()
    assert results["cleanup"] == {"sessions": {"sessions": 0}}
    assert results["figures"]["total_views"] == 0
    error = found["escape"].error
    assert error is not None
    assert (error.code, found["escape"].attempts) == ("invalid_payload", 1)


def test_a_worker_whose_cache_can_not_be_written_does_not_start(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    environment = {"WORKER_CONTENT__CACHE_DIR": str(tmp_path / "file" / "cache")}
    worker = fleet._spawn("src.interfaces.workers.content.main", ["--drain"], environment)
    assert worker.wait(60) == 4
    assert "WORKER_CONTENT__CACHE_DIR" in fleet.log()
