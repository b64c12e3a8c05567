"""What a start-up check says of job queue, job definition and role, before anything is submitted (mission.md E13)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from src.domain.errors import ConfigError
from src.infrastructure.aws.batch import AwsBatch
from tests.contracts.backends.batch import DEFINITION, EmulatedBatchPlace, emulated_batch
from tests.fakes.clock import FrozenClock


@pytest.fixture
def place(tmp_path: Path) -> Iterator[EmulatedBatchPlace]:
    made = emulated_batch(FrozenClock(), tmp_path)
    yield made
    made.close()


def definition(place: EmulatedBatchPlace) -> dict[str, Any]:
    return next(each for each in place.server.api.definitions if each["jobDefinitionName"] == DEFINITION)


def test_what_is_well_is_said_and_nothing_is_changed(place: EmulatedBatchPlace) -> None:
    assert place.service.check() == [
        "queue video-queue is ENABLED and VALID, with 1 of 1 compute environments fit",
        f"definition {DEFINITION}:1 is ACTIVE: 1 attempt, timeout 14400 s, Ref::job_id",
    ]
    assert not {"SubmitJob", "TerminateJob", "CancelJob"} & {each.operation for each in place.server.asked}


Change = Callable[[EmulatedBatchPlace], object]
WRONG: dict[str, tuple[Change, str]] = {
    "no queue": (lambda place: place.server.api.queues.clear(), "there is no job queue video-queue"),
    "queue disabled": (lambda place: place.server.api.queues[0].update(state="DISABLED"), "is DISABLED"),
    "queue invalid": (
        lambda place: place.server.api.queues[0].update(status="INVALID", statusReason="no role"),
        "is INVALID, not VALID: no role",
    ),
    "environment disabled": (
        lambda place: place.server.api.environments[0].update(state="DISABLED"),
        "no compute environment that is ENABLED and VALID .video-environment DISABLED VALID",
    ),
    "environment invalid": (
        lambda place: place.server.api.environments[0].update(status="INVALID"),
        "RUNNABLE for ever",
    ),
    "no environment": (lambda place: place.server.api.queues[0].update(computeEnvironmentOrder=[]), "none"),
    "no definition": (lambda place: place.server.api.definitions.clear(), "no active job definition"),
    "definition inactive": (lambda place: definition(place).update(status="INACTIVE"), "no active job definition"),
    "three attempts": (lambda place: definition(place).update(retryStrategy={"attempts": 3}), "attempts is 3, not 1"),
    "attempts not set": (lambda place: definition(place).pop("retryStrategy"), "attempts is not set, not 1"),
    "evaluateOnExit": (
        lambda place: definition(place)["retryStrategy"].update(
            evaluateOnExit=[{"action": "RETRY", "onExitCode": "1"}]
        ),
        "evaluateOnExit is set",
    ),
    "no timeout": (lambda place: definition(place).pop("timeout"), "attemptDurationSeconds is not set"),
    "no job id": (
        lambda place: definition(place)["containerProperties"].update(command=["python"]),
        "command has no Ref::job_id",
    ),
    "several containers": (lambda place: definition(place).pop("containerProperties"), "no containerProperties"),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_e13_lesson_29_what_is_wrong_is_named_with_how_to_mend_it(place: EmulatedBatchPlace, what: str) -> None:
    change, said = WRONG[what]
    change(place)
    with pytest.raises(ConfigError, match=said) as raised:
        place.service.check()
    assert raised.value.fix


def test_lesson_29_the_newest_active_revision_is_the_one_that_counts(place: EmulatedBatchPlace) -> None:
    place.server.define(DEFINITION, ["run", "Ref::job_id"], timeout={})
    with pytest.raises(ConfigError, match=f"{DEFINITION}:2: timeout"):
        place.service.check()
    for pinned in (f"{DEFINITION}:1", f"arn:aws:batch:us-east-1:123456789012:job-definition/{DEFINITION}:1"):
        assert f"{DEFINITION}:1 is ACTIVE" in place.adapter(definition=pinned).check()[1]
    place.server.api.definitions[-1]["status"] = "INACTIVE"
    with pytest.raises(ConfigError, match="status is INACTIVE"):
        place.adapter(definition=f"{DEFINITION}:2").check()
    assert f"{DEFINITION}:1 is ACTIVE" in place.service.check()[1]


def test_a_definition_with_more_revisions_than_a_page(place: EmulatedBatchPlace) -> None:
    for _ in range(120):
        place.server.define(DEFINITION, ["run", "Ref::job_id"])
    assert f"{DEFINITION}:121 is ACTIVE" in place.service.check()[1]


@pytest.mark.parametrize(
    "operation",
    ["DescribeJobQueues", "DescribeComputeEnvironments", "DescribeJobDefinitions", "DescribeJobs", "ListJobs"],
)
def test_lesson_11_a_permission_to_look_that_is_missing(place: EmulatedBatchPlace, operation: str) -> None:
    place.server.refuse(operation, 403, "AccessDeniedException")
    with pytest.raises(ConfigError, match="AccessDenied") as raised:
        place.service.check()
    assert f"{operation.removeprefix('batch:')}" in str(raised.value.fix)


def test_e13_no_credentials_and_no_region(place: EmulatedBatchPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(ConfigError) as raised:
        place.adapter(make_session=boto3.session.Session).check()
    assert "AWS's own chain" in str(raised.value.fix)
    nowhere = AwsBatch(queue="q", definition="d", clock=FrozenClock())
    with pytest.raises(ConfigError) as raised:
        nowhere.check()
    assert raised.value.fix == "set WORKER_AWS__REGION"


def test_an_endpoint_that_is_no_address() -> None:
    with pytest.raises(ConfigError) as raised:
        AwsBatch(queue="q", definition="d", clock=FrozenClock(), endpoint_url="canary:nonsense").check()
    assert "WORKER_AWS__ENDPOINT_URL" in str(raised.value.fix)
    assert "canary" not in str(raised.value)
