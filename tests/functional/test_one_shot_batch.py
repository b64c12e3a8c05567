"""The whole road: submitted to AWS Batch (an emulator that runs jobs as processes), done by the container that it starts, with the
database on a server and the settings in an SSM parameter."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.aws.batch import AwsBatch
from src.infrastructure.clock import SystemClock
from tests.adapters.postgres import make_database
from tests.contracts.backends.batch import REGION, session
from tests.functional.containers import ALWAYS, BATCH_ID, QUICK, admit, last, said
from tests.functional.films import shown
from tests.functional.fleet import ROOT, Fleet, wait_for
from tests.functional.places import AWS_KEYS
from tests.media import make
from tests.servers.batch import BatchServer
from tests.servers.batch_api import QUEUE
from tests.servers.shared import shared

CONTAINER = [sys.executable, "-m", "src.interfaces.workers.batch.main", "Ref::job_id"]
CANARY = "canary-41fe"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Its database is PostgreSQL, and it has no queue that could work with that: containers need none."""
    settings = {**QUICK, "WORKER_DATABASE__URL": make_database(shared("postgres")), "WORKER_QUEUE__BACKEND": "memory"}
    made = Fleet(tmp_path / "data", settings)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BatchServer]:
    with BatchServer(tmp_path, cwd=ROOT) as made:
        yield made


def put(values: dict[str, str]) -> str:
    """A SecureString with these settings; its name."""
    name, client = f"/video/{uuid.uuid4().hex}", session().client("ssm", endpoint_url=shared("sqs").url)
    client.put_parameter(Name=name, Value=json.dumps(values), Type="SecureString")
    client.close()
    return name


def from_parameter(fleet: Fleet, **more: str) -> dict[str, str]:
    """A container's variables: where to look, and nothing of what it finds there."""
    own = {name: value for name, value in fleet.environ().items() if name.startswith(("WORKER_", "PYTHONPATH"))}
    del own["WORKER_QUEUE__BACKEND"]
    batch = {"WORKER_BATCH__QUEUE": QUEUE, "WORKER_BATCH__DEFINITION": "video"}
    return {
        **AWS_KEYS,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": shared("sqs").url,
        "PYTHONPATH": own.pop("PYTHONPATH"),
        "WORKER_SSM_PARAMETER": put({**own, **batch, **more}),
    }


def submitted(server: BatchServer, fleet: Fleet, job: str, variables: dict[str, str], monkeypatch: Any) -> str:
    server.define(
        "video", CONTAINER, containerProperties={"environment": [{"name": k, "value": v} for k, v in variables.items()]}
    )
    for name, value in AWS_KEYS.items():
        monkeypatch.setenv(name, value)
    service = AwsBatch(queue=QUEUE, definition="video", clock=SystemClock(), endpoint_url=server.url, region=REGION)
    batch_id = service.submit(job, name="video", tenant="acme")
    service.close()
    return batch_id


def lines(server: BatchServer, batch_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.yard.log(batch_id).splitlines()]


def test_b2_submitted_to_batch_a_video_becomes_ready_by_its_container(
    fleet: Fleet, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = admit(fleet, make("moov_first"))
    batch_id = submitted(server, fleet, name, from_parameter(fleet), monkeypatch)
    server.yard.wait(batch_id, "SUCCEEDED")
    job = fleet.job(name)
    assert (job.state, job.attempts, job.lease_owner) == (JobState.SUCCEEDED, 1, f"batch:{batch_id}")
    assert shown(fleet, "v1").status is VideoStatus.READY
    told = lines(server, batch_id)
    assert [line["event"] for line in told if line["event"].isupper()] == ["BATCH_PROCESS_START", "BATCH_JOB_COMPLETED"]
    assert all(line.keys() >= ALWAYS and line["aws_batch_job_id"] == batch_id for line in told)
    # Batch is configured, and the container never asked it anything: its role may not.
    assert {each.operation for each in server.asked} == {"SubmitJob"}


def test_b2_a_terminated_container_leaves_its_job_waiting_for_the_next(
    fleet: Fleet, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = admit(fleet, make("moov_first"))
    slow = from_parameter(fleet) | {"MEDIAWORKER_FAILPOINTS": "ffmpeg.running=sleep:60", "WORKER_ENVIRONMENT": "test"}
    batch_id = submitted(server, fleet, name, slow, monkeypatch)
    wait_for(lambda: "BATCH_PROCESS_START" in server.yard.log(batch_id), what="the work")
    server.yard.terminate(batch_id, "by hand")
    ended = server.yard.wait(batch_id, "FAILED")
    assert ended.attempts[0]["container"]["exitCode"] == 1
    assert lines(server, batch_id)[-1]["event"] == "BATCH_TERMINATED"
    job = fleet.job(name)
    assert (job.state, job.attempts) == (JobState.RETRY_WAIT, 0)
    assert fleet.scratch_folders() == []


# ---------------------------------------------------------------------- wrong settings
def refused(fleet: Fleet, *arguments: str, **environment: str) -> str:
    """What a container that can't begin says: one line, exit 1."""
    process = fleet.container(*arguments, AWS_BATCH_JOB_ID=BATCH_ID, **environment)
    assert process.wait(60) == 1
    assert said(fleet) == ["BATCH_NOT_STARTED"]
    assert len(fleet.log().splitlines()) == 1
    assert last(fleet).keys() >= ALWAYS
    assert CANARY not in fleet.log()
    return str(last(fleet)["error"])


def test_lesson_27_wrong_settings_are_one_line_that_names_them_and_the_job_is_left_alone(
    fleet: Fleet, tmp_path: Path
) -> None:
    name = admit(fleet, make("moov_first"))
    before = fleet.job(name)
    own = {"AWS_ENDPOINT_URL": shared("sqs").url, "AWS_DEFAULT_REGION": REGION, **AWS_KEYS}
    unknown = put({"WORKER_STORAGE__BUKET": CANARY})
    assert "there is no job id" in refused(fleet)
    assert "not 2 arguments" in refused(fleet, name, "another")
    assert last(fleet)["job_id"] is None
    assert f"SSM parameter {unknown}: WORKER_STORAGE__BUKET" in refused(
        fleet, name, WORKER_SSM_PARAMETER=unknown, **own
    )
    assert "/no/such/ffmpeg" in refused(fleet, name, WORKER_FFMPEG__PATH="/no/such/ffmpeg")
    empty = {"WORKER_DATABASE__URL": f"sqlite:///{tmp_path}/nothing.db"}
    assert "set WORKER_DATABASE__URL" in refused(fleet, name, **empty)
    assert not (tmp_path / "nothing.db").exists()
    assert fleet.job(name) == before


def test_config_show_names_the_parameter(fleet: Fleet) -> None:
    name = put({"WORKER_STORAGE__PREFIX": "theirs", "WORKER_CONCURRENCY": "2"})
    own = {"AWS_ENDPOINT_URL": shared("sqs").url, "AWS_DEFAULT_REGION": REGION, **AWS_KEYS}
    done = fleet.cli("config", "show", "--json", timeout=90, WORKER_SSM_PARAMETER=name, WORKER_CONCURRENCY="1", **own)
    found = {row["setting"]: (row["value"], row["source"]) for row in json.loads(done.stdout)}
    assert found["storage.prefix"] == ("theirs", f"ssm:{name}")
    assert found["concurrency"] == (1, "environment")
