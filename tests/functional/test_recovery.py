"""Recovery with real processes: containers that die on the Batch emulator, the recovery worker, and the command line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.application.ports.ledger import JobFilter
from src.application.ports.ops_events import EventFilter, EventType
from src.domain.job import JobState
from src.domain.video.video import Video, VideoStatus
from src.interfaces.cli.errors import OK, UNREACHABLE, USAGE
from tests.functional.containers import QUICK
from tests.functional.films import outcomes, shown, store
from tests.functional.fleet import ROOT, Fleet, wait_for
from tests.functional.outage import Readiness
from tests.functional.test_batch_road import AWS, cli, printed
from tests.media import make
from tests.servers.batch import BatchServer
from tests.servers.process import free_ports

CONTAINER = [sys.executable, "-m", "src.interfaces.workers.batch.main", "Ref::job_id"]
LEASE = "2"


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[BatchServer]:
    (tmp_path / "batch").mkdir()
    with BatchServer(tmp_path / "batch", cwd=ROOT) as made:
        yield made


@pytest.fixture
def road(batch: BatchServer, tmp_path: Path) -> Iterator[Fleet]:
    """A system whose videos go by Batch."""
    settings = {
        **AWS,
        **QUICK,
        "WORKER_DISPATCH__BACKEND": "batch",
        "WORKER_BATCH__QUEUE": "video-queue",
        "WORKER_BATCH__DEFINITION": "video",
        "WORKER_AWS__ENDPOINT_URL": batch.url,
        "WORKER_LEASE__TTL_SECONDS": LEASE,
        "WORKER_RECOVERY__SCAN_STUCK_SECONDS": "1",
        "WORKER_RECOVERY__RECONCILE_SECONDS": "0",
    }
    fleet = Fleet(tmp_path / "data", settings)
    try:
        yield fleet
    finally:
        fleet.close()


def define(batch: BatchServer, road: Fleet, **more: str) -> None:
    """The definition's next revision: containers with the system's settings, and these."""
    own = {name: value for name, value in road.environ(**more).items() if name.startswith(("WORKER_", "MEDIAWORKER_"))}
    variables = {**own, **AWS, "PYTHONPATH": str(ROOT)}
    batch.define(
        "video", CONTAINER, containerProperties={"environment": [{"name": k, "value": v} for k, v in variables.items()]}
    )


def submit(road: Fleet) -> str:
    key = store(road, make("moov_first"), "v1")
    return str(printed(cli(road, "submit", "video", key, "--tenant", "acme", "--video-id", "v1", "--json"))["id"])


def killed(batch: BatchServer, road: Fleet, job: str) -> str:
    """Its container was killed -9 while ffmpeg ran; the batch job's id."""
    (row,) = road.adapters.submissions().of_job(job)
    wait_for(lambda: "BATCH_PROCESS_START" in batch.yard.log(row.batch_id), 60, "the work")
    process = batch.yard.jobs[row.batch_id].process
    assert process is not None
    os.killpg(process.pid, signal.SIGKILL)
    batch.yard.wait(row.batch_id, "FAILED")
    return str(row.batch_id)


SLOW = {"MEDIAWORKER_FAILPOINTS": "ffmpeg.running=sleep:60"}


def test_lesson_8_a_container_killed_by_kill_9_is_followed_by_another_and_the_video_is_ready(
    road: Fleet, batch: BatchServer
) -> None:
    define(batch, road, **SLOW)
    job = submit(road)
    lost = killed(batch, road, job)
    assert road.job(job).state is JobState.RUNNING
    define(batch, road)
    workers = [road._spawn("src.interfaces.workers.recovery.main", (), {}) for _ in range(2)]
    wait_for(lambda: road.job(job).state.is_terminal, 60, "the second container's end")
    row = road.job(job)
    assert (row.state, row.attempts) == (JobState.SUCCEEDED, 2), road.log() + batch.yard.log(lost)
    assert outcomes(road, job) == ["LOST", "SUCCEEDED"]
    assert shown(road, "v1").status is VideoStatus.READY
    first, second = road.adapters.submissions().of_job(job)
    assert first.batch_id == lost
    batch.yard.wait(second.batch_id, "SUCCEEDED")
    for worker in workers:
        worker.terminate()
    assert [worker.wait(30) for worker in workers] == [0, 0]
    done = [line["action"] for number in (0, 1) for line in road.events(number) if line["event"] == "recovery.did"]
    assert done == ["rescue", "submit"], "two workers, one container"
    # By hand, now that the workers are gone and their locks are free.
    report = printed(cli(road, "recover", "reconcile", "--json"))
    assert report["counts"] == {"close": 2}
    assert printed(cli(road, "recover", "scan-stuck", "--json"))["looked"] == 0
    assert road.adapters.ops_events().list(EventFilter()) == []


def test_the_command_line_says_what_it_would_do_and_does_it(road: Fleet, batch: BatchServer) -> None:
    batch.yard.hold()
    define(batch, road)
    job = submit(road)
    (row,) = road.adapters.submissions().of_job(job)
    batch.yard.terminate(row.batch_id, "by hand")
    batch.yard.wait(row.batch_id, "FAILED")
    before = road.job(job)
    report = printed(cli(road, "recover", "reconcile", "--dry-run", "--json"))
    assert (report["dry_run"], report["counts"], report["done"][0]["id"]) == (True, {"count": 1}, row.batch_id)
    assert road.job(job) == before
    said = cli(road, "recover", "reconcile")
    assert said.returncode == OK
    assert "by hand" in said.stdout
    assert (road.job(job).state, road.job(job).attempts) == (JobState.RETRY_WAIT, 1)
    assert "looked at 0" in cli(road, "recover", "reconcile").stdout


def test_lesson_11_a_batch_that_refuses_to_answer_is_exit_7_or_4s_error_and_changes_nothing(
    road: Fleet, batch: BatchServer
) -> None:
    batch.yard.hold()
    define(batch, road)
    job = submit(road)
    before = road.job(job)
    batch.refuse("ListJobs", 500, "ServerException")
    done = cli(road, "recover", "reconcile", "--json")
    assert done.returncode == UNREACHABLE
    assert json.loads(done.stdout)["errors"][0]["id"] == "ListJobs"
    assert road.job(job) == before


def test_a_second_run_says_that_there_is_one_and_exits_0(road: Fleet) -> None:
    token = road.adapters.lock().acquire("video:scan-stuck:lock", ttl_seconds=600)
    assert token
    done = cli(road, "recover", "scan-stuck")
    assert (done.returncode, done.stdout) == (OK, "scan-stuck: another scan-stuck is running.\n")
    road.adapters.lock().release("video:scan-stuck:lock", token)


# ---------------------------------------------------------------------- on a queue
def test_on_a_queue_what_waits_is_published_and_what_removes_only_says_so(fleet: Fleet) -> None:
    key = store(fleet, make("moov_first"), "v1")
    fleet.adapters.videos().add(Video(id="v1", tenant="acme", source_key=key, created_at=1.0))
    assert "waker" in cli(fleet, "recover", "scan-stuck").stdout
    dry = printed(cli(fleet, "recover", "enqueue-uploaded", "--dry-run", "--json"))
    assert (dry["looked"], fleet.states()) == (1, {})
    for name in ("purge-events", "purge-jobs", "stuck-pending", "stuck-videos", "recover-dead", "enqueue-uploaded"):
        assert printed(cli(fleet, "recover", name, "--json", "--limit", "5"))["errors"] == []
    assert "takes objects whole" in cli(fleet, "recover", "abort-uploads").stdout
    for name in ("purge-raw", "sweep-orphans"):
        assert printed(cli(fleet, "recover", name, "--json"))["dry_run"] is True
        assert printed(cli(fleet, "recover", name, "--delete", "--json"))["dry_run"] is False
    assert fleet.adapters.storage().head(key).size > 0
    assert fleet.adapters.ledger().list(JobFilter()) == []


def test_the_recovery_worker_is_ready_and_ends_at_sigterm(fleet: Fleet) -> None:
    (port,) = free_ports()
    fleet.adapters.videos()
    worker = fleet._spawn("src.interfaces.cli.app", ("run", "recovery"), {"WORKER_HEALTH__PORT": str(port)})
    wait_for(lambda: Readiness.ask(port), 60, "the worker is ready")
    worker.terminate()
    assert worker.wait(30) == 0
    (said,) = [line for line in fleet.events() if line["event"] == "recovery.starting"]
    assert "scan-stuck" not in said["intervals"]
    assert "enqueue-uploaded" in said["intervals"]
    assert (said["dry_runs"], said["deletes_with"]) == (
        ["abort-uploads", "purge-raw", "sweep-orphans"],
        "WORKER_RECOVERY__DELETE=true",
    )
    assert cli(fleet, "run", "recovery", "--drain").returncode == USAGE
    assert EventType.BATCH_DESYNC not in {each.type for each in fleet.adapters.ops_events().list(EventFilter())}
