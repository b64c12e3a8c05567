"""Real workers that keep everything in Redis and have no database."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from src.application.ports.ledger import DeadLetterFilter
from src.domain.job import JobState
from tests.functional.fleet import Fleet, wait_for
from tests.functional.places import Place, place

NOWHERE = {"WORKER_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/nothing"}
"""Whoever asks it gets an error."""


@pytest.fixture
def all_redis(fleet: Fleet) -> Iterator[Place]:
    with place(queue="redis", lock="redis", ledger="redis") as found:
        fleet.settings = {**found.environ, **NOWHERE}
        yield found


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_worker_with_everything_in_redis_needs_no_database(fleet: Fleet, all_redis: Place) -> None:
    jobs = [fleet.submit(f"job-{number}", "noop") for number in range(5)]
    fleet.submit("job-bad", "refuse")
    fleet.publish(b"\xff not json")
    assert fleet.drain() == 0
    assert fleet.states() == {**dict.fromkeys(jobs, JobState.SUCCEEDED), "job-bad": JobState.FAILED}
    assert {letter.job_id for letter in fleet.adapters.dead_letters().list(DeadLetterFilter())} == {"job-bad", None}
    assert not list(fleet.folder.glob("*.db"))
    assert any(event["event"] == "jobs.left_out" for event in fleet.events()), fleet.log()


def test_an_operator_sees_and_changes_jobs_in_redis(fleet: Fleet, all_redis: Place) -> None:
    fleet.submit("job-bad", "refuse")
    assert fleet.drain() == 0
    fleet.submit("job-wait", "noop")
    assert [job["id"] for job in printed(fleet.cli("jobs", "list", "--json"))] == ["job-wait", "job-bad"]
    assert printed(fleet.cli("jobs", "cancel", "job-wait", "--json"))["state"] == "CANCELLED"
    assert printed(fleet.cli("status", "job-bad", "--json"))["state"] == "FAILED"
    (letter,) = printed(fleet.cli("dlq", "list", "--json"))
    assert letter["id"] == "job-bad.1"
    assert printed(fleet.cli("dlq", "requeue", letter["id"], "--json"))["requeued"] == 1
    assert printed(fleet.cli("jobs", "retry", "job-wait", "--json"))["state"] == "QUEUED"
    assert {"type": "act", "state": "QUEUED", "jobs": 2} in printed(fleet.cli("queues", "--json"))["jobs"]
    missing = fleet.cli("status", "nobody-here")
    assert missing.returncode != 0
    assert all_redis.environ["WORKER_LEDGER__NAME"] in missing.stderr


def test_doctor_says_which_job_types_do_not_run_on_this_ledger(fleet: Fleet, all_redis: Place) -> None:
    document = json.loads(fleet.cli("doctor", "--json").stdout)
    details = {check["check"]: check["detail"] for check in document["checks"]}
    assert "video" not in document["job_types"]
    assert "without video" in details["job types"]
    assert details["database"] == "not used"
    assert "forgets jobs when it restarts" in details["ledger"]


def test_a_worker_without_job_types_of_its_own_runs_the_content_worker_s(fleet: Fleet, all_redis: Place) -> None:
    worker = fleet.start("--drain", WORKER_JOBS__MODULES="")
    assert worker.wait(60) == 0
    assert any(event["event"] == "jobs.left_out" for event in fleet.events()), fleet.log()


def test_i1_a_redis_that_is_killed_under_running_jobs_costs_no_job(fleet: Fleet) -> None:
    with place(queue="redis", lock="redis", ledger="redis", own=True) as found:
        fleet.settings = {**found.environ, **NOWHERE}
        server = found.servers["redis"]
        fleet.submit("long", "sleep", seconds=1.5)
        more = [fleet.submit(f"job-{number}", "noop") for number in range(10)]
        worker = fleet.start(WORKER_CONCURRENCY="2")
        wait_for(lambda: fleet.entries("start", "long"), 30, "the job runs")
        server.kill()
        server.start()
        wait_for(lambda: set(fleet.states().values()) == {JobState.SUCCEEDED}, 60, "all jobs are done")
        assert set(fleet.states()) == {"long", *more}
        worker.terminate()
        assert worker.wait(30) == 0
