"""Planning and registering, against an account in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from src.application.infra.register import Action, Registration
from src.domain.infra.problems import InfraDiffers, InfraInvalid, InfraRefused, InfraUnavailable
from src.domain.infra.resource import Kind
from tests.fakes.clock import FrozenClock
from tests.infra.account import Account
from tests.infra.roles import VALUES, road, texts

DEFINITION = "batch/video_job_definition.json"
COMPUTE = "batch/video_compute_env.json"
QUEUE = "batch/video_job_queue.json"


class PassingClock(FrozenClock):
    """Sleeping is what lets time pass."""

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def registration(account: Account) -> Registration:
    return Registration(account, PassingClock())


def changed(file: str, *path: str | int, value: Any) -> dict[str, str]:
    """The file with one value changed."""
    document = inside = json.loads(texts()[file])
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return {file: json.dumps(document)}


def registered(account: Account | None = None) -> Account:
    account = account or Account()
    registration(account).register(road())
    return account


def test_a_plan_of_nothing_creates_all_in_the_order_of_need_and_writes_nothing() -> None:
    account = Account()
    steps = registration(account).plan(road())
    assert [step.action for step in steps] == [Action.CREATE] * 13
    kinds = [step.resource.kind for step in steps]
    assert kinds == sorted(kinds, key=list(Kind).index)
    assert account.written == []


def test_registering_makes_everything_once_and_waits_for_what_takes_time() -> None:
    account = registered()
    assert [what for what, _name in account.written] == ["create"] * 13
    again = registration(account)
    assert {step.action for step in again.register(road())} == {Action.EQUAL}
    assert {step.action for step in again.plan(road())} == {Action.EQUAL}
    assert len(account.written) == 13


def test_a_change_is_planned_field_by_field_and_only_it_is_written() -> None:
    account = registered()
    account.written.clear()
    new = road(changed(DEFINITION, "timeout", "attemptDurationSeconds", value=21_600))
    (step,) = [step for step in registration(account).plan(new) if step.action is not Action.EQUAL]
    assert (step.resource.file, step.action) == (DEFINITION, Action.CHANGE)
    assert [str(change) for change in step.changes] == ["timeout.attemptDurationSeconds: 14400 -> 21600"]
    registration(account).register(new)
    assert account.written == [("change", "academy-video-batch-jobdef")]
    assert {step.action for step in registration(account).plan(new)} == {Action.EQUAL}


def test_what_somebody_added_by_hand_is_a_difference() -> None:
    account = registered()
    definition = account.there[Kind.JOB_DEFINITION, "academy-video-batch-jobdef"]
    definition["containerProperties"]["environment"].append({"name": "DEBUG", "value": "1"})
    definition["retryStrategy"]["evaluateOnExit"] = [{"action": "RETRY", "onExitCode": "1"}]
    role = account.there[Kind.ROLE, "academy-video-batch-job"]
    role["Policies"]["by-hand"] = {"Version": "2012-10-17", "Statement": []}
    paths = [change.path for step in registration(account).plan(road()) for change in step.changes]
    assert paths == [
        "Policies.by-hand.Version",
        "retryStrategy.evaluateOnExit",
        "containerProperties.environment[DEBUG].name",
        "containerProperties.environment[DEBUG].value",
    ]


def test_a_secret_that_somebody_put_into_the_open_is_seen_and_not_shown() -> None:
    account = registered()
    environment = account.there[Kind.JOB_DEFINITION, "academy-video-batch-jobdef"]["containerProperties"]["environment"]
    environment += [{"name": "DB_PASSWORD", "value": "canary-1"}, {"name": "CACHE", "value": "redis://:canary-2@h/0"}]
    changes = [str(change) for step in registration(account).plan(road()) for change in step.changes]
    assert "containerProperties.environment[DB_PASSWORD].value: '(hidden)' -> None" in changes
    assert "containerProperties.environment[CACHE].value: '(hidden)' -> None" in changes
    assert "canary" not in "".join(changes)


def test_what_means_the_same_is_equal() -> None:
    account = registered()
    there = account.there
    container = there[Kind.JOB_DEFINITION, "academy-video-batch-jobdef"]["containerProperties"]
    container["environment"].reverse()
    container |= {"vcpus": 0, "memory": 0, "ulimits": []}
    del container["privileged"]
    queue = there[Kind.JOB_QUEUE, "academy-video-batch-queue"]["computeEnvironmentOrder"][0]
    queue["computeEnvironment"] = f"arn:aws:batch:ap-northeast-2:1:compute-environment/{queue['computeEnvironment']}"
    compute = there[Kind.COMPUTE_ENVIRONMENT, "academy-video-batch-compute"]
    compute["computeResources"]["subnets"].reverse()
    compute["computeResources"] |= {"desiredvCpus": 16, "scalingPolicy": {"minScaleDownDelayMinutes": 20}}
    policy = there[Kind.ROLE, "academy-video-batch-job"]["Policies"]["video_job_role"]
    policy["Statement"].reverse()
    policy["Statement"][-1]["Action"] = [policy["Statement"][-1]["Action"]]
    assert {step.action for step in registration(account).plan(road())} == {Action.EQUAL}


@pytest.mark.parametrize("lost", ["retryStrategy", "timeout", "parameters", "containerProperties"])
def test_lesson_29_what_is_lost_on_the_way_is_an_error_that_names_it(lost: str) -> None:
    with pytest.raises(InfraDiffers, match=rf"video_job_definition\.json.*\$\.{lost}\."):
        registered(Account(loses=frozenset({lost})))


def test_what_aws_calls_invalid_is_refused_with_its_reason() -> None:
    with pytest.raises(InfraRefused, match="INVALID: the instance role is unknown"):
        registered(Account(broken=frozenset({"academy-video-batch-compute"})))


def test_what_never_settles_ends_with_an_error_and_is_taken_up_by_the_next_run() -> None:
    account = Account(settles=1000)
    with pytest.raises(InfraUnavailable, match="did not settle in 600 s: CREATING"):
        registered(account)
    account.looks.clear()
    registered(account)
    assert [what for what, _name in account.written] == ["create"] * 13


def test_nothing_is_written_from_files_that_are_wrong() -> None:
    account = Account()
    wrong = road(changed(DEFINITION, "retryStrategy", "attempts", value=3))
    with pytest.raises(InfraInvalid, match=r"video_job_definition\.json \$\.retryStrategy\.attempts"):
        registration(account).register(wrong)
    with pytest.raises(InfraInvalid, match="ACCOUNT_ID"):
        registration(account).plan(road(values={name: VALUES[name] for name in VALUES if name != "ACCOUNT_ID"}))
    assert account.written == []
