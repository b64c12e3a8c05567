"""Recovery on a database server: the time from a container's death to the next one's submission, by the database's own clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from src.domain.errors import ConfigError
from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.interfaces.cli.errors import CONFIG, OK
from src.interfaces.contract import WorkerContract
from tests.adapters.postgres import make_database
from tests.functional.containers import QUICK
from tests.functional.films import outcomes, shown
from tests.functional.fleet import ROOT, Fleet, wait_for
from tests.functional.test_batch_road import AWS, KEY, cli, printed, upload
from tests.functional.test_recovery import SLOW, define, killed, submit
from tests.servers.batch import BatchServer
from tests.servers.shared import shared

LEASE = 4.0
"""Seconds. Short, so that the test is; long enough for a scan to find it live."""


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[BatchServer]:
    (tmp_path / "batch").mkdir()
    with BatchServer(tmp_path / "batch", cwd=ROOT) as made:
        yield made


@pytest.fixture
def road(batch: BatchServer, tmp_path: Path) -> Iterator[Fleet]:
    """A system whose videos go by Batch, and whose rows are PostgreSQL's."""
    settings = {
        **AWS,
        **QUICK,
        "WORKER_DATABASE__URL": make_database(shared("postgres")),
        "WORKER_QUEUE__BACKEND": "memory",
        "WORKER_DISPATCH__BACKEND": "batch",
        "WORKER_BATCH__QUEUE": "video-queue",
        "WORKER_BATCH__DEFINITION": "video",
        "WORKER_AWS__ENDPOINT_URL": batch.url,
        "WORKER_LEASE__TTL_SECONDS": str(LEASE),
    }
    fleet = Fleet(tmp_path / "data", settings)
    try:
        yield fleet
    finally:
        fleet.close()


def now(road: Fleet) -> float:
    """The server's."""
    asked = text("SELECT extract(epoch FROM clock_timestamp())")
    return float(road.adapters.database().read(lambda connection: connection.execute(asked).scalar_one()))


def test_b3_after_kill_9_the_next_container_is_sent_within_a_lease_and_one_scan(
    road: Fleet, batch: BatchServer
) -> None:
    define(batch, road, **SLOW)
    job = submit(road)
    (first,) = road.adapters.submissions().of_job(job)
    wait_for(lambda: "BATCH_PROCESS_START" in batch.yard.log(first.batch_id), 60, "the work")
    before = now(road)
    lost = killed(batch, road, job)
    row = road.job(job)
    assert (row.state, lost) == (JobState.RUNNING, first.batch_id)
    ends = row.lease_until or 0.0
    define(batch, road)

    scans: list[tuple[float, float]] = []
    while not (sent := [each for each in road.adapters.submissions().of_job(job) if each.batch_id != lost]):
        began = now(road)
        assert not [each for each in scans if each[0] > ends], "a scan after the end of the lease left the job"
        report = printed(cli(road, "recover", "scan-stuck", "--json"))
        assert report["errors"] == []
        scans.append((began, now(road)))
    assert [each["action"] for each in report["done"]] == ["rescue", "submit"]
    (second,) = sent
    between = scans[-1][1] - (scans[-2][0] if len(scans) > 1 else before)
    took = second.submitted_at - before
    rest = ends - before
    print(
        f"killed, {took:.2f} s later sent again; lease {LEASE:g} s, its rest {rest:.2f} s, between scans {between:.2f} s"
    )
    assert second.submitted_at >= ends, "a live lease is never touched"
    assert took <= LEASE + between

    batch.yard.wait(second.batch_id, "SUCCEEDED")
    row = road.job(job)
    assert (row.state, row.attempts, outcomes(road, job)) == (JobState.SUCCEEDED, 2, ["LOST", "SUCCEEDED"])
    assert shown(road, "v1").status is VideoStatus.READY


def test_b1_a_server_and_batch_are_all_that_has_to_be_set(
    road: Fleet, batch: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a word about a queue, which by default would be a file of this machine."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)  # credentials are AWS's own matter, not the contract's settings
    batch.yard.hold()
    define(batch, road)
    upload(road, "v1")
    bare = {"WORKER_QUEUE__BACKEND": ""}
    for name in ("scan-stuck", "reconcile", "enqueue-uploaded", "recover-dead"):
        assert printed(cli(road, "recover", name, "--json", **bare))["errors"] == []
    checks = {each["check"]: each for each in json.loads(cli(road, "doctor", "--json", **bare).stdout)["checks"]}
    assert (checks["queue"]["ok"], checks["deletion"]["ok"]) == (True, True)
    assert checks["queue"]["detail"].startswith("not used: videos go to AWS Batch")
    with WorkerContract(road.environ(**bare)) as contract:
        job = contract.enqueue("video", {"video_id": "v1", "file_key": KEY}, tenant="default")
        assert len(road.adapters.submissions().of_job(job)) == 1
        assert (contract.stats().pending, contract.stats().queue_size) == (1, 0)
        with pytest.raises(ConfigError, match="WORKER_QUEUE__BACKEND=sqlite needs an embedded database"):
            contract.enqueue("thumbnail", {"content_id": "c1"}, job_id="t1")
    assert set(road.states()) == {job}, "what has no way to a worker is not kept"
    assert cli(road, "delete", "v1", **bare).returncode == CONFIG, "the deletion queue is one"
    assert not road.adapters.videos().get("v1").is_deleted
    assert cli(road, "delete", "v1", "--now", **bare).returncode == OK
