"""Real videos through the real worker with everything but the files in PostgreSQL, by settings alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.adapters.postgres import execute, make_database
from tests.functional.fleet import Fleet, wait_for
from tests.functional.storm import make_clip
from tests.media import make
from tests.servers.kinds import start_postgres
from tests.servers.process import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Durable, because it is killed."""
    made = start_postgres(durable=True)
    yield made
    made.remove()


@pytest.fixture
def fleet(server: Server, tmp_path: Path) -> Iterator[Fleet]:
    """Workers whose database and queue are an empty database, which nobody has migrated yet."""
    address = make_database(server, migrate=False)
    settings = {"WORKER_DATABASE__URL": address, "WORKER_QUEUE__BACKEND": "postgres"}
    workers = Fleet(tmp_path / "data", settings)
    try:
        yield workers
    finally:
        workers.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough work for an outage to land in the middle."""
    target = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_clip(str(find_ffmpeg()), target, 40, size="640x360", tone=300, preset="ultrafast")


def submit(fleet: Fleet, source: Path) -> str:
    assert fleet.cli("db", "upgrade").returncode == 0
    done = fleet.cli("submit", "video", str(source), "--video-id", "v1", "--tenant", "acme")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_video_becomes_ready_with_postgresql_as_database_and_queue(fleet: Fleet) -> None:
    job = submit(fleet, make("moov_first"))
    assert fleet.drain() == 0
    video = fleet.adapters.videos().get("v1")
    assert (fleet.job(job).state, fleet.job(job).attempts) == (JobState.SUCCEEDED, 1)
    assert video.status is VideoStatus.READY
    assert fleet.adapters.storage().head(video.hls_path).size > 0
    assert fleet.adapters.queue().depth().ready == 0
    assert not (fleet.folder / "mediaworker.db").exists()
    assert json.loads(fleet.cli("status", job, "--json").stdout)["state"] == "SUCCEEDED"
    for command in (["doctor"], ["jobs", "list"], ["queues"], ["dlq", "list"]):
        assert fleet.cli(*command).returncode == 0


def test_e13_a_database_that_was_not_migrated_stops_the_worker_before_its_first_receive(fleet: Fleet) -> None:
    done = fleet.cli("run", "video", "--drain")
    assert (done.returncode, "mediaworker db upgrade" in done.stderr) == (4, True), done.stderr


def test_e13_a_wrong_address_is_told_without_its_password(fleet: Fleet, server: Server) -> None:
    away = "postgresql://postgres:canary-secret@127.0.0.1:1/nowhere"
    missing = f"{server.url.replace('postgres@', 'postgres:canary-secret@')}/nowhere"
    for address, code, words in ((away, 7, "127.0.0.1"), (missing, 4, "no such database")):
        for command, expected in ((("queues",), code), (("run", "video"), 4)):
            done = fleet.cli(*command, WORKER_DATABASE__URL=address)
            assert (done.returncode, words in done.stderr) == (expected, True), done.stderr
            assert "canary-secret" not in done.stderr + done.stdout


@pytest.mark.parametrize("away_seconds", [1.0, pytest.param(6.0, marks=pytest.mark.chaos)])
def test_f10_the_server_is_killed_in_an_encode_and_comes_back(
    fleet: Fleet, server: Server, film: Path, away_seconds: float
) -> None:
    job = submit(fleet, film)
    worker = fleet.start("--drain", WORKER_LEASE__TTL_SECONDS="10")
    chunks = "SELECT count(*) FROM video_chunks"
    address = fleet.settings["WORKER_DATABASE__URL"]
    wait_for(lambda: execute(address, chunks) != [(0,)], 120, "a chunk is done")
    server.kill()
    try:
        wait_for(lambda: _said(fleet, "beat.failed", away_seconds), 60, "the worker noticed")
    finally:
        server.start()
    assert worker.wait(240) == 0
    assert (fleet.job(job).state, fleet.job(job).attempts) == (JobState.SUCCEEDED, 1)
    assert fleet.adapters.videos().get("v1").status is VideoStatus.READY
    assert [attempt.outcome for attempt in fleet.adapters.ledger().attempts(job)] == ["SUCCEEDED"]


def _said(fleet: Fleet, event: str, for_seconds: float) -> bool:
    """Whether the worker has been saying so for that long, by its own log."""
    times = [line["at"] for line in fleet.events() if line["event"] == event]
    return bool(times) and _seconds(times[0], times[-1]) >= for_seconds


def _seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
