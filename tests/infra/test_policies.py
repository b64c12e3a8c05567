"""Least privilege, proven (reliability.md T30): what the code calls is allowed to the role that runs it, and nothing else is."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from src.domain.infra.iam_rules import MANAGED, NO_RESOURCE, listed
from src.domain.infra.resource import Kind
from src.interfaces.wiring.checks import SELF_TEST_FOLDER
from src.interfaces.wiring.worker import NO_SOURCE
from tests.infra.calls import ROOT, model_operations, packages
from tests.infra.evaluator import allowed, touched
from tests.infra.roles import ACCOUNT, BUCKET, CONTEXTS, ROLES, ROWS, STRANGERS, Role, every_resource, road, texts

Policy = dict[str, Any]
NAMES = [role.name for role in ROLES]
BY_NAME = {role.name: role for role in ROLES}
DOCUMENTS = {one.name: one.document for one in road().sound().resources if one.kind is Kind.ROLE}
SERVICES = ("s3", "sqs", "batch", "ssm", "sns", "iam", "ec2", "ecr", "logs", "autoscaling", "sts")


def policies(role: Role) -> list[Policy]:
    """Of its own, filled in."""
    if role.name.endswith(".json"):
        file = f"iam/{role.name}"
        (document,) = [_filled(file)]
        return [document]
    return [dict(one) for one in DOCUMENTS[role.name]["Policies"].values()]


def _filled(file: str) -> Policy:
    from src.domain.infra.placeholders import complete, fill
    from tests.infra.roles import VALUES

    values, _problems = complete(VALUES)
    document, missing = fill(json.loads(texts()[file]), values, file)
    assert missing == []
    return dict(document)


def actions_of(documents: list[Policy]) -> set[str]:
    return {
        action
        for document in documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }


@cache
def every_action() -> list[str]:
    """Every operation of the services, and the actions that are called otherwise."""
    return sorted(
        {f"{service}:{name}" for service in SERVICES for name in model_operations(service)}
        | {action for actions in ROWS.values() for action in actions}
        | {action for role in ROLES for action in role.reach}
        | {"iam:PassRole", "s3:DeleteObjectVersion", "s3:PutObjectTagging", "s3:BypassGovernanceRetention"}
    )


def breaches(role: Role, documents: list[Policy], needed: set[str]) -> Iterator[str]:
    """What is wrong with policies: refused though needed, allowed though not, or there for nothing."""
    there = actions_of(documents)
    yield from (f"{action} is called, and no statement names it" for action in sorted(needed - there))
    yield from (f"{action} is permitted, and nobody calls it" for action in sorted(there - needed))
    resources = list(every_resource())
    # A statement that names its actions one by one is about no other: only a wildcard makes all of them worth asking.
    wild = any(mark in action for action in there for mark in "*?")
    asked = [action for action in every_action() if touched(documents, action)] if wild else []
    for action in sorted({*asked, *needed, *there}):
        context = CONTEXTS.get(action, {})
        # What knows no resource is asked with `*` alone.
        for resource in ["*"] if action in NO_RESOURCE else resources:
            wanted = action in needed and resource in role.reach.get(action, ())
            if allowed(documents, action, resource, context) is not wanted:
                yield f"{action} on {resource} is {'refused' if wanted else 'allowed'}"


# ------------------------------------------------------------------ the proof
@pytest.mark.parametrize("name", NAMES)
def test_t30_a_role_may_do_what_its_code_calls_and_nothing_else(name: str) -> None:
    role = BY_NAME[name]
    assert role.needed() == set(role.reach)
    assert list(breaches(role, policies(role), role.needed())) == []


def test_t30_every_role_of_the_files_is_in_the_table() -> None:
    assert set(DOCUMENTS) == {name for name in NAMES if not name.endswith(".json")}
    named = {f"iam/{file}" for role in json.loads(texts()["iam/roles.json"]) for file in role["Policies"]}
    there = {file for file in texts() if file.startswith("iam/policy_")}
    assert there - named == {"iam/policy_deployer.json"}


def test_t30_every_call_in_the_code_has_a_row_and_a_role_that_makes_it() -> None:
    found = {operation for package in packages().values() for one in package.functions for operation in one.operations}
    assert len(found) > 30
    assert found - ROWS.keys() == set()
    assigned = {operation for role in ROLES for code in role.runs for operation in code.operations()}
    assert found - assigned == set()


def test_an_action_without_resource_is_listed_with_its_reason() -> None:
    stars = {action for role in ROLES for action, arns in role.reach.items() if "*" in arns}
    assert stars == set(NO_RESOURCE) & {action for role in ROLES for action in role.reach}
    assert stars == set(NO_RESOURCE)
    assert all(NO_RESOURCE.values()) and all(MANAGED.values())


def test_lesson_25_no_role_may_stop_a_machine_or_change_a_fleet() -> None:
    for role in ROLES:
        for action in ("ec2:StopInstances", "ec2:TerminateInstances", "autoscaling:SetDesiredCapacity"):
            assert not any(allowed(policies(role), action, resource) for resource in every_resource())


def test_lesson_26_the_api_may_send_to_the_queues_that_it_publishes_to() -> None:
    submitter = BY_NAME["academy-video-submitter"]
    assert len(submitter.reach["sqs:SendMessage"]) == 2
    assert all(allowed(policies(submitter), "sqs:SendMessage", arn) for arn in submitter.reach["sqs:SendMessage"])


@pytest.mark.parametrize("name", ["academy-video-batch-job", "academy-video-sqs-worker"])
def test_the_start_up_check_and_readiness_stay_where_the_role_may_go(name: str) -> None:
    """They would fail on AWS alone: no server of a test knows these policies."""
    self_test, readiness = (f"{BUCKET}/a/b/{key}" for key in (f"{SELF_TEST_FOLDER}x", NO_SOURCE))
    for action in ("s3:PutObject", "s3:GetObject", "s3:DeleteObject"):
        assert allowed(policies(BY_NAME[name]), action, self_test)
    for role in (name, "academy-video-recovery"):
        assert allowed(policies(BY_NAME[role]), "s3:GetObject", readiness)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("academy-video-delete-consumer", ["delete_objects.py", "delete_handler.py"]),
        ("academy-video-submitter", ["submit.py", "source_there.py", "enqueue_next.py", "delete_video.py"]),
        ("academy-video-recovery", ["recovery/*.py", "submit.py", "enqueue_next.py", "source_there.py"]),
    ],
)
def test_the_table_has_every_method_of_the_storage_that_a_role_s_use_cases_call(name: str, files: list[str]) -> None:
    """The deletion consumer once looked at heads of objects that its role could not read: each deletion was refused."""
    folder = ROOT / "src" / "application" / "video"
    sources = [path.read_text() for pattern in files for path in sorted(folder.glob(pattern))]
    called = {method for text in sources for method in re.findall(r"\bstorage\.([a-z_]+)\(", text)}
    (listed,) = [runs.methods for runs in BY_NAME[name].runs if runs.owner == "S3Storage"]
    assert len(sources) >= len(files)
    # The start-up check, which is not in these files, may be listed besides.
    assert called | {"check"} == set(listed) | {"check"}
    assert called <= set(listed)


def test_lesson_5_the_deletion_consumer_may_delete() -> None:
    consumer = BY_NAME["academy-video-delete-consumer"]
    assert {"s3:DeleteObject", "sqs:DeleteMessage"} <= actions_of(policies(consumer))


@pytest.mark.parametrize(
    ("name", "service"),
    [
        *((name, "ecs-tasks.amazonaws.com") for name in NAMES if name.startswith("academy-video-")),
        ("academy-video-batch-instance", "ec2.amazonaws.com"),
        ("academy-video-delete-consumer", "lambda.amazonaws.com"),
    ],
)
def test_a_role_is_taken_by_its_own_service_for_this_account(name: str, service: str) -> None:
    trust = [DOCUMENTS[name]["AssumeRolePolicyDocument"]]
    own = {"academy-video-batch-instance": "ec2", "academy-video-delete-consumer": "lambda"}.get(name, "ecs-tasks")
    ours = {"aws:SourceAccount": ACCOUNT}
    assert allowed(trust, "sts:AssumeRole", context=ours, principal=service) is (service == f"{own}.amazonaws.com")
    assert not allowed(trust, "sts:AssumeRole", context=ours, principal="batch.amazonaws.com")
    if own == "ecs-tasks":
        assert not allowed(trust, "sts:AssumeRole", context={"aws:SourceAccount": "9" * 12}, principal=service)


# ------------------------------------------------------------------ the proof of the proof
def without(documents: list[Policy], action: str) -> list[Policy]:
    changed = copy.deepcopy(documents)
    for document in changed:
        for statement in document["Statement"]:
            statement["Action"] = [one for one in listed(statement["Action"]) if one != action]
    return changed


EACH_ACTION = [(role.name, action) for role in ROLES for action in sorted(role.reach)]


@pytest.mark.parametrize(("name", "action"), EACH_ACTION)
def test_an_action_that_is_taken_out_is_missed(name: str, action: str) -> None:
    role = BY_NAME[name]
    assert next(breaches(role, without(policies(role), action), role.needed()), "") == (
        f"{action} is called, and no statement names it"
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name != "academy-video-batch-instance"])
@pytest.mark.parametrize("action", ["s3:DeleteBucket", "sns:Subscribe", "dynamodb:PutItem", "ec2:StopInstances"])
def test_an_action_that_nobody_calls_is_seen(name: str, action: str) -> None:
    role, changed = BY_NAME[name], copy.deepcopy(policies(BY_NAME[name]))
    statement = changed[0]["Statement"][0]
    statement["Action"] = [*listed(statement["Action"]), action]
    assert next(breaches(role, changed, role.needed()), "") == f"{action} is permitted, and nobody calls it"


def test_a_wildcard_in_an_action_is_seen() -> None:
    role = BY_NAME["academy-video-sqs-worker"]
    changed = copy.deepcopy(policies(role))
    changed[0]["Statement"][0]["Action"] = "sqs:*"
    said = list(breaches(role, changed, role.needed()))
    assert any(one.startswith("sqs:PurgeQueue on ") and one.endswith("is allowed") for one in said)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "academy-video-batch-instance"])
def test_every_resource_that_is_widened_or_lost_is_seen(name: str) -> None:
    role, documents = BY_NAME[name], policies(BY_NAME[name])
    narrow = [
        (where, number)
        for where, document in enumerate(documents)
        for number, statement in enumerate(document["Statement"])
        if statement["Resource"] != "*"
    ]
    assert narrow
    for where, number in narrow:
        for resource in ("*", "arn:aws:s3:::nothing-of-ours"):
            changed = copy.deepcopy(documents)
            changed[where]["Statement"][number]["Resource"] = resource
            assert next(breaches(role, changed, role.needed()), None) is not None


def test_a_condition_that_is_dropped_is_seen() -> None:
    documents = policies(BY_NAME["policy_deployer.json"])
    held = [one for one in documents[0]["Statement"] if "Condition" in one]
    assert len(held) == 2
    for statement in held:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                assert not allowed(documents, action, resource, {})
                assert not allowed(documents, action, resource, {"iam:PassedToService": "lambda.amazonaws.com"})
                assert allowed(documents, action, resource, CONTEXTS[action])


def test_a_new_call_in_the_code_without_a_row_fails(tmp_path: Path) -> None:
    folder = tmp_path / "src" / "infrastructure" / "aws"
    folder.mkdir(parents=True)
    (folder / "batch.py").write_text(
        "import boto3\n\n\nclass Batch:\n"
        "    def submit(self) -> None:\n        self._client('batch').submit_job(jobName='x')\n\n"
        "    def forget(self) -> None:\n        self.call('deregister_job_definition', jobDefinition='x')\n"
    )
    found = {
        operation for one in packages(tmp_path)["src/infrastructure/aws"].functions for operation in one.operations
    }
    assert found == {("batch", "submit_job"), ("batch", "deregister_job_definition")}
    submitter = Role("one", [BY_NAME["academy-video-submitter"].runs[0]], {}, {})
    with pytest.raises(LookupError, match="deregister_job_definition"):
        submitter.needed(tmp_path)


def test_what_is_planned_counts_until_there_is_a_module(tmp_path: Path) -> None:
    planned = BY_NAME["academy-video-submitter"].runs[0]
    assert ("batch", "submit_job") in planned.operations(tmp_path)
    folder = tmp_path / "src" / "infrastructure" / "aws"
    folder.mkdir(parents=True)
    (folder / "batch.py").write_text("import boto3\n\nboto3.client('batch').list_jobs(jobQueue='x')\n")
    assert planned.operations(tmp_path) == {("batch", "list_jobs")}


# ------------------------------------------------------------------ the evaluator
def statement(**more: Any) -> Mapping[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **more}]}


DENY = {"Statement": [{"Effect": "Deny", "NotAction": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}]}


@pytest.mark.parametrize(
    ("documents", "action", "resource", "context", "answer"),
    [
        ([statement()], "s3:GetObject", "x", {}, True),
        ([statement()], "S3:getobject", "x", {}, True),
        ([statement()], "s3:PutObject", "x", {}, False),
        ([], "s3:GetObject", "x", {}, False),
        ([statement(Action=["s3:*Object"])], "s3:PutObject", "x", {}, True),
        ([statement(Resource="arn:aws:s3:::b/?/*")], "s3:GetObject", "arn:aws:s3:::b/1/x/y", {}, True),
        ([statement(Resource="arn:aws:s3:::b/?/*")], "s3:GetObject", "arn:aws:s3:::B/1/x", {}, False),
        ([statement(Resource="arn:aws:s3:::b.c")], "s3:GetObject", "arn:aws:s3:::b-c", {}, False),
        ([statement(Action="*"), DENY], "s3:PutObject", "arn:aws:s3:::b/k", {}, False),
        ([statement(Action="*"), DENY], "s3:GetObject", "arn:aws:s3:::b/k", {}, True),
        ([statement(Action="*"), DENY], "s3:PutObject", "arn:aws:s3:::c/k", {}, True),
        ([statement(Condition={"StringEquals": {"k": ["a", "b"]}})], "s3:GetObject", "x", {"k": "b"}, True),
        ([statement(Condition={"StringEquals": {"k": "a*"}})], "s3:GetObject", "x", {"k": "ab"}, False),
        ([statement(Condition={"StringLike": {"k": "a*"}})], "s3:GetObject", "x", {"k": "ab"}, True),
        ([statement(Condition={"StringLike": {"k": "a*"}})], "s3:GetObject", "x", {}, False),
        ([statement(Condition={"Bool": {"k": True}})], "s3:GetObject", "x", {"k": "true"}, True),
        ([statement(Condition={"Bool": {"k": "false"}})], "s3:GetObject", "x", {"k": "true"}, False),
    ],
)
def test_the_evaluator_answers_as_iam_does(
    documents: list[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str], answer: bool
) -> None:
    assert allowed(documents, action, resource, context) is answer


@pytest.mark.parametrize(
    "unknown",
    [
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"NotResource": "x"},
        {"Resource": "arn:aws:s3:::${aws:username}"},
        {"NotAction": "s3:PutObject"},
        {"Effect": "Maybe"},
    ],
)
def test_the_evaluator_refuses_what_it_does_not_know(unknown: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"does not know|placeholder|not a statement"):
        allowed([statement(**unknown)], "s3:GetObject", "x")


def test_strangers_are_nobodys() -> None:
    """`*` apart, which is what an action without a resource is asked with."""
    reached = {arn for role in ROLES for arns in role.reach.values() for arn in arns}
    assert reached & set(STRANGERS) == {"*"}
