"""AWS Batch on our emulator and on moto: one adapter, one list of questions, the same answers. Where they differ, AWS's own words
decide (`MOTO_IS_WRONG`), and a moto that has learnt better fails this test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from src.application.ports.batch import BatchState
from src.domain.errors import BatchRefused
from src.infrastructure.aws.batch import AwsBatch
from tests.adapters.moto_batch import DEFINITION, QUEUE, define, moto, prepare, session
from tests.fakes.clock import FrozenClock
from tests.servers.batch import BatchServer

JOB = "0190a5e2-7c1d-7f3a-9b3e-1a2b3c4d5e6f"
UNKNOWN = "11111111-2222-3333-4444-555555555555"


@contextmanager
def on_moto(_folder: Path) -> Iterator[Mapping[str, Any]]:
    with moto():
        client = session().client("batch")
        prepare(client)
        define(client)
        yield {"client": client, "url": None, "wait": lambda _batch_id: None}


@contextmanager
def on_emulator(folder: Path) -> Iterator[Mapping[str, Any]]:
    with BatchServer(folder, pace=0.01) as server:
        client = session().client("batch", endpoint_url=server.url)
        define(client)
        yield {"client": client, "url": server.url, "wait": lambda made: server.yard.wait(made, "SUCCEEDED")}


PLACES: Mapping[str, Callable[[Path], Any]] = {"moto": on_moto, "emulator": on_emulator}


def adapter(url: str | None, queue: str = QUEUE, definition: str = DEFINITION) -> AwsBatch:
    return AwsBatch(
        queue=queue,
        definition=definition,
        clock=FrozenClock(),
        endpoint_url=url,
        region="us-east-1",
        make_session=session,
    )


@pytest.mark.parametrize("name", sorted(PLACES))
def test_the_adapter_on_both(name: str, tmp_path: Path) -> None:
    with PLACES[name](tmp_path) as place:
        batch = adapter(place["url"])
        made = batch.submit(JOB, name="video", tenant="academy")
        other = batch.submit(f"{JOB[:8]}-other", name="video", tenant="academy")
        for each in (made, other):
            place["wait"](each)
        job = batch.describe([made, UNKNOWN])[made]
        assert (job.job_id, job.name, job.state, job.attempts) == (JOB, "video-0190a5e2", BatchState.SUCCEEDED, 1)
        assert job.created_at and job.started_at and job.stopped_at
        assert batch.describe([made, UNKNOWN]).keys() == {made}
        assert {one.batch_id for one in batch.listing(set(BatchState))} == {made, other}
        assert list(batch.listing({BatchState.RUNNABLE, BatchState.FAILED})) == []
        assert [one.batch_id for one in batch.of_job(JOB, name="video")] == [made], "the same name, another id"
        batch.terminate(made, "it has ended")
        batch.terminate(UNKNOWN, "it never was")
        assert batch.describe([made])[made].state is BatchState.SUCCEEDED
        assert f"{DEFINITION}:1 is ACTIVE: 1 attempt, timeout 60 s" in batch.check()[1]
        for wrong in (adapter(place["url"], queue="nowhere"), adapter(place["url"], definition="nothing")):
            with pytest.raises(BatchRefused, match="does not exist"):
                wrong.submit(JOB, name="video", tenant="academy")
            wrong.close()
        batch.close()


# ---------------------------------------------------------------------- call by call
def submission(**more: Any) -> dict[str, Any]:
    return {
        "jobName": "video-1",
        "jobQueue": QUEUE,
        "jobDefinition": DEFINITION,
        "parameters": {"job_id": "j1"},
        **more,
    }


def listed(client: Any, **more: Any) -> list[str]:
    return sorted(one["jobName"] for one in client.list_jobs(jobQueue=QUEUE, **more)["jobSummaryList"])


def named(value: str) -> dict[str, Any]:
    return {"filters": [{"name": "JOB_NAME", "values": [value]}]}


def detail(client: Any, place: Mapping[str, Any]) -> list[object]:
    made = client.submit_job(**submission(tags={"a": "b"}))["jobId"]
    place["wait"](made)
    (one,) = client.describe_jobs(jobs=[made])["jobs"]
    # An attempt's reason may be missing, and nothing of ours reads it.
    attempts = [sorted(each.keys() - {"statusReason"}) for each in one["attempts"]]
    return [one["jobName"], one["status"], one["parameters"], attempts, one.get("tags")]


def taken(client: Any, **more: Any) -> str:
    client.submit_job(**submission(**more))
    return "taken"


ASKED: Mapping[str, Callable[[Any, Mapping[str, Any]], object]] = {
    "a job in full": detail,
    "jobs by name": lambda client, _place: listed(client, **named("VIDEO-1")),
    "jobs by the beginning of a name": lambda client, _place: listed(client, **named("vid*")),
    "jobs by a name that none has": lambda client, _place: listed(client, **named("audio")),
    "a filter passes over the state": lambda client, _place: listed(client, jobStatus="RUNNING", **named("video-1")),
    "jobs of a state": lambda client, _place: listed(client, jobStatus="SUCCEEDED"),
    "jobs of no named state are those that run": lambda client, _place: listed(client),
    "jobs of a queue that is not there": lambda client, _place: client.list_jobs(
        jobQueue="nowhere", jobStatus="FAILED"
    ),
    "unknown jobs": lambda client, _place: client.describe_jobs(jobs=[UNKNOWN])["jobs"],
    "a definition that is not there": lambda client, _place: taken(client, jobDefinition="nothing"),
    "a queue that is not there": lambda client, _place: taken(client, jobQueue="nowhere"),
    "a name that is none": lambda client, _place: taken(client, jobName="a b"),
    "a submission without the parameter": lambda client, _place: taken(client, parameters={}),
    "ending what is not there": lambda client, _place: client.terminate_job(jobId=UNKNOWN, reason="why"),
    "the next revision": lambda client, _place: [define(client)["revision"], define(client)["revision"]],
    "definitions by name": lambda client, _place: sorted(
        one["revision"]
        for one in client.describe_job_definitions(jobDefinitionName=DEFINITION, status="ACTIVE")["jobDefinitions"]
    ),
    "queues that are not there": lambda client, _place: client.describe_job_queues(jobQueues=["nowhere"])["jobQueues"],
}
"""{what: a call}, in this order on one account."""


def answers(place: Mapping[str, Any]) -> dict[str, object]:
    """{what: what came back, or the name of the error}."""
    found: dict[str, object] = {}
    for what, ask in ASKED.items():
        try:
            answer = ask(place["client"], place)
        except ClientError as error:
            answer = f"refused: {error.response['Error']['Code']}"
        found[what] = {} if isinstance(answer, dict) and answer.keys() == {"ResponseMetadata"} else answer
    return found


MOTO_IS_WRONG: Mapping[str, tuple[object, object]] = {
    # ListJobs, jobStatus: without one only RUNNING jobs are returned.
    "jobs of no named state are those that run": ([], ["video-1"]),
    # SubmitJob, jobName: letters, digits, hyphens and underscores. moto's other Batch, the one on Docker, does look at it.
    "a name that is none": ("refused: ClientException", "taken"),
    # A command's Ref:: without a value is refused (contracts.md 1.7).
    "a submission without the parameter": ("refused: ClientException", "taken"),
}
"""{what: (ours, moto's)}"""


def test_call_by_call_they_say_the_same(tmp_path: Path) -> None:
    with on_emulator(tmp_path) as place:
        ours = answers(place)
    with on_moto(tmp_path) as place:
        theirs = answers(place)
    assert {what: (ours[what], theirs[what]) for what in ASKED if ours[what] != theirs[what]} == MOTO_IS_WRONG
