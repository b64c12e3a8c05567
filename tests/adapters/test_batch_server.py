"""The Batch emulator itself: it lives as AWS Batch does, refuses what that refuses, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.backends.batch import PACE, session
from tests.functional.fleet import wait_for
from tests.servers.batch import BatchServer
from tests.servers.batch_api import QUEUE
from tests.servers.batch_jobs import marked
from tests.servers.kinds import start_batch

STUBBORN = "trap '' TERM; setsid sleep 600 & sleep 600 & echo up; wait; wait; sleep 600"
"""Heeds no SIGTERM, and has a child in a session of its own."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BatchServer]:
    with BatchServer(tmp_path, pace=PACE) as made:
        yield made


@pytest.fixture
def client(server: BatchServer) -> Iterator[Any]:
    made = session().client("batch", endpoint_url=server.url)
    yield made
    made.close()


def shell(server: BatchServer, script: str, **more: Any) -> None:
    server.define("job", ["/bin/sh", "-c", script, "sh", "Ref::job_id"], **more)


def submit(client: Any, **more: Any) -> str:
    arguments = {"jobName": "n", "jobQueue": QUEUE, "jobDefinition": "job", "parameters": {"job_id": "7"}, **more}
    return str(client.submit_job(**arguments)["jobId"])


def job(client: Any, job_id: str) -> dict[str, Any]:
    (found,) = client.describe_jobs(jobs=[job_id])["jobs"]
    return dict(found)


def refused(code: str, call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    assert raised.value.response["Error"]["Code"] == code
    return str(raised.value.response["Error"]["Message"])


# ---------------------------------------------------------------------- a job's life
def test_a_job_goes_through_all_states_and_sees_what_it_was_given(
    server: BatchServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell(
        server,
        'echo "$1 $A $B $AWS_BATCH_JOB_ATTEMPT $AWS_BATCH_JOB_ID $SECRET"; exit 0',
        containerProperties={"environment": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]},
    )
    monkeypatch.setenv("SECRET", "canary")
    made = submit(client, containerOverrides={"environment": [{"name": "B", "value": "own"}]})
    server.yard.wait(made, "SUCCEEDED")
    assert server.yard.log(made).split() == ["7", "a", "own", "1", made]
    assert server.yard.jobs[made].history == [*("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED")]
    said = job(client, made)
    assert said["container"]["exitCode"] == 0
    assert said["createdAt"] <= said["startedAt"] <= said["stoppedAt"]


def test_attempts_are_made_until_one_succeeds(server: BatchServer, client: Any) -> None:
    shell(server, '[ "$AWS_BATCH_JOB_ATTEMPT" = 3 ]', retryStrategy={"attempts": 5})
    made = submit(client)
    server.yard.wait(made, "SUCCEEDED")
    assert [each["container"]["exitCode"] for each in job(client, made)["attempts"]] == [1, 1, 0]
    once = submit(client, retryStrategy={"attempts": 1})
    server.yard.wait(once, "FAILED")
    assert len(job(client, once)["attempts"]) == 1


def test_a_command_that_does_not_exist_fails_the_job(server: BatchServer, client: Any) -> None:
    server.define("job", ["/no/such/program", "Ref::job_id"])
    made = submit(client)
    server.yard.wait(made, "FAILED")
    assert "CannotStartContainerError" in job(client, made)["statusReason"]


def test_a_timeout_ends_the_attempt_and_is_not_retried(server: BatchServer, client: Any) -> None:
    shell(server, STUBBORN, timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 3})
    made = submit(client)
    server.yard.wait(made, "FAILED")
    said = job(client, made)
    assert said["statusReason"] == "Job attempt duration exceeded timeout"
    # By SIGKILL, or by SIGTERM where that came before the trap.
    assert [each["container"]["exitCode"] in (137, 143) for each in said["attempts"]] == [True]
    wait_for(lambda: marked(made) == [], what="the end of all its processes")


def test_terminate_is_sigterm_first(server: BatchServer, client: Any) -> None:
    shell(server, "trap 'exit 3' TERM; echo up; while :; do sleep 600 & wait; done")
    made = submit(client)
    wait_for(lambda: server.yard.log(made) == "up\n", what="the trap")
    client.terminate_job(jobId=made, reason="why")
    server.yard.wait(made, "FAILED")
    said = job(client, made)
    assert (said["statusReason"], said["container"]["exitCode"], said["isTerminated"]) == ("why", 3, True)


def test_and_sigkill_after_the_grace_time(server: BatchServer, client: Any) -> None:
    shell(server, STUBBORN)
    made = submit(client)
    wait_for(lambda: server.yard.log(made) == "up\n", what="the trap")
    client.terminate_job(jobId=made, reason="why")
    server.yard.wait(made, "FAILED")
    assert job(client, made)["container"]["exitCode"] == 137
    wait_for(lambda: marked(made) == [], what="the end of all its processes")


def test_a_lost_host_takes_all_processes_with_it(server: BatchServer, client: Any) -> None:
    shell(server, STUBBORN)
    made = submit(client)
    wait_for(lambda: server.yard.log(made) == "up\n" and len(marked(made)) > 2, what="its children")
    server.yard.lose_host(made)
    server.yard.wait(made, "FAILED")
    said = job(client, made)
    assert said["statusReason"].startswith("Host EC2 (instance i-") and said["statusReason"].endswith(") terminated.")
    assert "exitCode" not in said["container"]
    wait_for(lambda: marked(made) == [], what="the end of all its processes")


def test_cancel_ends_what_waits_and_nothing_else(server: BatchServer, client: Any) -> None:
    shell(server, STUBBORN)
    running = submit(client)
    server.yard.wait(running, "RUNNING")
    server.yard.hold()
    waiting = submit(client)
    server.yard.wait(waiting, "RUNNABLE")
    for each in (running, waiting):
        client.cancel_job(jobId=each, reason="changed my mind")
    assert job(client, waiting)["status"] == "FAILED"
    assert job(client, waiting)["isCancelled"]
    assert (job(client, running)["status"], job(client, running)["isCancelled"]) == ("RUNNING", False)


def test_what_is_held_starts_when_it_is_let_go(server: BatchServer, client: Any) -> None:
    server.yard.hold()
    shell(server, "exit 0")
    made = [submit(client) for _ in range(3)]
    for each in made:
        server.yard.wait(each, "RUNNABLE")
    server.yard.release(made[1])
    server.yard.wait(made[1], "SUCCEEDED")
    assert [job(client, each)["status"] for each in (made[0], made[2])] == ["RUNNABLE"] * 2
    server.yard.release()
    for each in made:
        server.yard.wait(each, "SUCCEEDED")


# ---------------------------------------------------------------------- what it refuses
def test_what_batch_would_refuse_is_refused(server: BatchServer, client: Any) -> None:
    shell(server, "exit 0")
    good = {"jobName": "n", "jobQueue": QUEUE, "jobDefinition": "job", "parameters": {"job_id": "7"}}
    variable = {"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "x"}]}
    for change, said in (
        ({"parameters": {}}, "missing parameters: job_id"),
        ({"jobName": "a b"}, "valid pattern"),
        ({"jobQueue": "nowhere"}, "does not exist"),
        ({"jobDefinition": "job:2"}, "not active"),
        ({"retryStrategy": {"attempts": 11}}, "between 1 and 10"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "at least 60"),
        ({"containerOverrides": variable}, "reserved"),
        ({"arrayProperties": {"size": 2}}, "the emulator has no arrayProperties"),
    ):
        assert said in refused("ClientException", client.submit_job, **{**good, **change})
    server.api.queues[0]["state"] = "DISABLED"
    assert "not ENABLED" in refused("ClientException", client.submit_job, **good)
    assert server.yard.jobs == {}
    refused("ClientException", client.describe_jobs, jobs=[str(number) for number in range(101)])
    refused("ClientException", client.terminate_job, jobId="x", reason="")
    refused("ClientException", client.list_jobs, jobQueue=QUEUE, nextToken="nonsense")
    assert client.terminate_job(jobId="unknown", reason="why")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_what_does_not_fit_the_service_model_is_refused(server: BatchServer) -> None:
    def post(path: str, body: bytes, scope: str = "/batch/aws4_request") -> int:
        headers = {"Authorization": scope, "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{server.url}{path}", body, headers)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(asked) as reply:  # noqa: S310
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert post("/v1/describejobs", b'{"jobs": []}') == 200
    assert post("/v1/describejobs", b'{"jobs": []}', "unsigned") == 403
    assert post("/v1/describejobs", b'{"jobs": [1]}') == 400
    assert post("/v1/describejobs", b'{"jobs": [], "more": 1}') == 400
    assert post("/v1/describejobs", b"{") == 400
    assert post("/v1/listjobs", b'{"jobQueue": "video-queue", "jobStatus": "LOST"}') == 400
    assert post("/v1/nothing", b"{}") == 404


# ---------------------------------------------------------------------- listing
def test_pages_and_filters(server: BatchServer, client: Any) -> None:
    server.yard.hold()
    shell(server, "exit 0")
    server.define("other", ["x"])
    made = [submit(client, jobName=name) for name in ("Film-1", "film-2", "clip-1")]
    made.append(submit(client, jobDefinition="other", jobName="other"))
    for each in made:
        server.yard.wait(each, "RUNNABLE")
    assert client.list_jobs(jobQueue=QUEUE)["jobSummaryList"] == []
    pages = list(client.get_paginator("list_jobs").paginate(jobQueue=QUEUE, jobStatus="RUNNABLE", maxResults=3))
    assert [len(page["jobSummaryList"]) for page in pages] == [3, 1]
    assert {one["jobId"] for page in pages for one in page["jobSummaryList"]} == {*made}

    def filtered(name: str, value: str) -> set[str]:
        found = client.list_jobs(jobQueue=QUEUE, filters=[{"name": name, "values": [value]}])["jobSummaryList"]
        return {one["jobName"] for one in found}

    assert filtered("JOB_NAME", "FILM*") == {"Film-1", "film-2"}
    assert filtered("JOB_NAME", "clip-1") == {"clip-1"}
    assert filtered("JOB_DEFINITION", "other") == {"other"}
    assert filtered("AFTER_CREATED_AT", "0") == {"Film-1", "film-2", "clip-1", "other"}
    assert filtered("BEFORE_CREATED_AT", "1") == set()


def test_a_page_begins_behind_the_last_one_although_that_has_moved_on(server: BatchServer, client: Any) -> None:
    server.yard.hold()
    shell(server, "exit 0")
    made = {submit(client) for _ in range(4)}
    for each in made:
        server.yard.wait(each, "RUNNABLE")
    first = client.list_jobs(jobQueue=QUEUE, jobStatus="RUNNABLE", maxResults=2)
    seen = {one["jobId"] for one in first["jobSummaryList"]}
    for each in seen:
        client.terminate_job(jobId=each, reason="gone")
    rest = client.list_jobs(jobQueue=QUEUE, jobStatus="RUNNABLE", maxResults=2, nextToken=first["nextToken"])
    assert {one["jobId"] for one in rest["jobSummaryList"]} == made - seen


# ---------------------------------------------------------------------- its own end
def test_closing_it_ends_every_job(tmp_path: Path) -> None:
    with BatchServer(tmp_path) as server:
        server.define("job", ["/bin/sh", "-c", STUBBORN])
        client = session().client("batch", endpoint_url=server.url)
        running = submit(client)
        server.yard.wait(running, "RUNNING")
        server.yard.hold()
        submit(client)
        client.close()
    wait_for(lambda: marked(running) == [], what="the end of all its processes")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_as_a_process_it_runs_jobs_and_they_do_not_outlive_it(number: int) -> None:
    server, slow = start_batch(), "none yet"
    try:
        client = session().client("batch", endpoint_url=server.url)
        for name, script in (("quick", "exit 0"), ("slow", "sleep 600; exit 1")):
            command = ["/bin/sh", "-c", f"{script}", "Ref::job_id"]
            client.register_job_definition(
                jobDefinitionName=name, type="container", containerProperties={"image": "i", "command": command}
            )
        quick, slow = (submit(client, jobDefinition=name) for name in ("quick", "slow"))
        wait_for(lambda: job(client, quick)["status"] == "SUCCEEDED", what="the quick one's end")
        wait_for(lambda: job(client, slow)["status"] == "RUNNING", what="the slow one's start")
        client.close()
        leaders = [pid for pid in marked(slow) if os.getpgid(pid) == pid]
        assert leaders
        os.kill(server.pid, number)
        wait_for(lambda: not set(leaders) & set(marked(slow)), what="the slow one's end")
    finally:
        for pid in marked(slow):
            os.kill(pid, signal.SIGKILL)
        server.remove()
