"""The set-up of the Batch road through boto3: on the emulator that the project starts, and against answers of AWS's own form.

The emulator keeps roles, launch templates, compute environments and queues, and loses the parameters, retry strategy and timeout
of a job definition: lesson 29 as it happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ParamValidationError
from botocore.validate import ParamValidator

from src.application.infra.register import Action, Registration
from src.application.infra.road import Road
from src.domain.errors import WorkerError
from src.domain.infra.problems import InfraDiffers, InfraRefused, InfraUnavailable
from src.domain.infra.resource import Change, Found, Kind, Resource
from src.infrastructure.aws.setup import AwsSetup, translated
from tests.fakes.clock import FrozenClock
from tests.infra.roles import REGION, VALUES, road, texts
from tests.servers.kinds import start_sqs
from tests.servers.process import Server

ACCOUNT = "000000000000"
"""The emulator's own."""


def session() -> Any:
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Server]:
    server = start_sqs()
    yield server
    server.remove()


@pytest.fixture
def setup(emulator: Server) -> Iterator[AwsSetup]:
    """Its memory is emptied."""
    import urllib.request

    request = urllib.request.Request(f"{emulator.url}/_ministack/reset", method="POST")  # noqa: S310 - loopback
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - loopback
    made = AwsSetup(region=REGION, endpoint_url=emulator.url, make_session=session)
    yield made
    made.close()


def files(*kinds: Kind, changed: Mapping[str, str] | None = None) -> Road:
    """Of all resources those of some kinds."""
    whole = road(changed, {**VALUES, "ACCOUNT_ID": ACCOUNT}).sound()
    return Road([one for one in whole.resources if one.kind in kinds], whole.files, ())


MOST = (Kind.ROLE, Kind.LAUNCH_TEMPLATE, Kind.COMPUTE_ENVIRONMENT, Kind.JOB_QUEUE)


def test_roles_hosts_compute_environment_and_queue_are_made_and_read_back(setup: AwsSetup) -> None:
    registration = Registration(setup, FrozenClock())
    assert {step.action for step in registration.plan(files(*MOST))} == {Action.CREATE}
    assert {step.action for step in registration.register(files(*MOST))} == {Action.CREATE}
    again = registration.register(files(*MOST))
    assert [(str(step.resource.name), step.action) for step in again if step.action is not Action.EQUAL] == []
    iam = session().client("iam", endpoint_url=setup.endpoint_url, region_name=REGION)
    profile = iam.get_instance_profile(InstanceProfileName="academy-video-batch-instance")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["academy-video-batch-instance"]


def test_lesson_30_the_deletion_queue_is_made_with_its_dead_letters_and_kept_as_written(setup: AwsSetup) -> None:
    registration = Registration(setup, FrozenClock())
    made = registration.register(files(Kind.QUEUE))
    assert [(step.resource.name, step.action) for step in made] == [
        ("academy-video-delete-r2-dlq", Action.CREATE),
        ("academy-video-delete-r2", Action.CREATE),
    ]
    assert {step.action for step in registration.plan(files(Kind.QUEUE))} == {Action.EQUAL}
    sqs = session().client("sqs", endpoint_url=setup.endpoint_url, region_name=REGION)
    url = sqs.get_queue_url(QueueName="academy-video-delete-r2")["QueueUrl"]
    opened = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*"}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30", "Policy": json.dumps(opened)})
    (step,) = [step for step in registration.plan(files(Kind.QUEUE)) if step.action is not Action.EQUAL]
    assert sorted(change.path for change in step.changes) == ["Attributes.Policy", "Attributes.VisibilityTimeout"]
    registration.register(files(Kind.QUEUE))
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found.get("Policy") or None) == ("720", None)


def test_a_role_is_changed_to_what_the_files_say(setup: AwsSetup) -> None:
    registration = Registration(setup, FrozenClock())
    registration.register(files(Kind.ROLE))
    name, iam = "academy-video-batch-job", session().client("iam", endpoint_url=setup.endpoint_url, region_name=REGION)
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="by-hand", PolicyDocument=json.dumps(wide))
    iam.put_role_policy(RoleName=name, PolicyName="video_job_role", PolicyDocument=json.dumps(wide))
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps({**wide, "Statement": []}))
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    changed = [step for step in registration.plan(files(Kind.ROLE)) if step.action is Action.CHANGE]
    assert [step.resource.name for step in changed] == [name]
    assert {change.path.partition(".")[0] for change in changed[0].changes} == {
        "AssumeRolePolicyDocument",
        "Policies",
        "AttachedPolicies",
    }
    registration.register(files(Kind.ROLE))
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["video_job_role"]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


def test_a_role_that_was_half_made_is_finished(setup: AwsSetup) -> None:
    iam = session().client("iam", endpoint_url=setup.endpoint_url, region_name=REGION)
    for name in ("academy-video-batch-job", "academy-video-batch-instance"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    iam.create_instance_profile(InstanceProfileName="academy-video-batch-instance")
    registration = Registration(setup, FrozenClock())
    actions = [step.action for step in registration.register(files(Kind.ROLE))]
    assert actions.count(Action.CHANGE) == 2
    assert {step.action for step in registration.plan(files(Kind.ROLE))} == {Action.EQUAL}


def test_hosts_and_compute_environment_are_changed_in_place(setup: AwsSetup) -> None:
    registration = Registration(setup, FrozenClock())
    registration.register(files(*MOST))
    host, compute = (json.loads(texts()[f"batch/video_{name}.json"]) for name in ("launch_template", "compute_env"))
    host["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] = 300
    compute["computeResources"]["maxvCpus"] = 40
    wanted = files(
        *MOST,
        changed={
            "batch/video_launch_template.json": json.dumps(host),
            "batch/video_compute_env.json": json.dumps(compute),
        },
    )
    changes = [str(change) for step in registration.register(wanted) for change in step.changes]
    assert changes == [
        "LaunchTemplateData.BlockDeviceMappings[/dev/xvda].Ebs.VolumeSize: 200 -> 300",
        "computeResources.maxvCpus: 32 -> 40",
    ]


def test_lesson_29_a_service_that_loses_retry_and_timeout_is_found_out(setup: AwsSetup) -> None:
    with pytest.raises(InfraDiffers) as raised:
        Registration(setup, FrozenClock()).register(files(Kind.JOB_DEFINITION))
    assert "$.retryStrategy.attempts is None, not 1" in raised.value.message
    assert "$.timeout.attemptDurationSeconds is None, not 14400" in raised.value.message


def test_nobody_there_is_unavailable(setup: AwsSetup) -> None:
    nobody = AwsSetup(region=REGION, endpoint_url="http://127.0.0.1:9", make_session=session)
    with pytest.raises(InfraUnavailable, match="can't look at the job-queue"):
        nobody.find(files(Kind.JOB_QUEUE).resources[0])
    nobody.close()


# ------------------------------------------------------------------ answers of AWS's own form
class Answering(AwsSetup):
    """Asks nobody: each request is checked against the service's description and answered from a table."""

    def answer(self, answers: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        asked: list[tuple[str, dict[str, Any]]] = []

        def hear(params: dict[str, Any], model: Any, **_more: Any) -> None:
            report = ParamValidator().validate(params, model.input_shape)
            if report.has_errors():
                raise AssertionError(report.generate_report())
            asked.append((model.name, params))

        def reply(model: Any, **_more: Any) -> Any:
            answer = answers[model.name]
            if isinstance(answer, Exception):
                raise answer
            page = answer.pop(0) if isinstance(answer, list) else answer
            return type("Reply", (), {"status_code": 200, "headers": {}, "text": ""})(), page

        for name in ("batch", "ec2", "sqs"):
            client = boto3.client(
                name,
                region_name=REGION,
                aws_access_key_id="x",
                aws_secret_access_key="x",
                config=Config(retries={"total_max_attempts": 1}),
            )
            client.meta.events.register(f"before-parameter-build.{name}", hear)
            client.meta.events.register(f"before-call.{name}", reply)
            self._clients[name] = client
        return asked


def one(kind: Kind) -> Resource:
    resource, *_others = files(kind).resources
    return resource


def revision(number: int, **more: Any) -> dict[str, Any]:
    document = {**one(Kind.JOB_DEFINITION).document, "revision": number, "status": "ACTIVE", "jobDefinitionArn": "arn"}
    return {**document, "containerOrchestrationType": "ECS", **more}


def test_of_a_job_definition_the_newest_active_revision_counts_on_whatever_page_it_is() -> None:
    setup = Answering(region=REGION)
    pages = [
        {"jobDefinitions": [revision(9, timeout={})], "nextToken": "more"},
        {"jobDefinitions": [revision(10), revision(8, timeout={})]},
    ]
    asked = setup.answer({"DescribeJobDefinitions": pages})
    found = setup.find(one(Kind.JOB_DEFINITION))
    assert found is not None
    assert found.document["timeout"] == {"attemptDurationSeconds": 14_400}
    assert not found.document.keys() & {"revision", "status", "jobDefinitionArn", "containerOrchestrationType"}
    assert [params["status"] for _name, params in asked] == ["ACTIVE", "ACTIVE"]


def test_a_new_revision_is_the_whole_definition() -> None:
    setup, resource = Answering(region=REGION), one(Kind.JOB_DEFINITION)
    asked = setup.answer({"RegisterJobDefinition": {"jobDefinitionName": "x", "jobDefinitionArn": "x", "revision": 2}})
    setup.create(resource)
    setup.change(resource, Found({}), [Change("timeout", 1, 2)])
    assert asked == [("RegisterJobDefinition", resource.document)] * 2


@pytest.mark.parametrize(
    ("status", "ready"),
    [("CREATING", None), ("UPDATING", None), ("DELETING", None), ("VALID", True), ("INVALID", False)],
)
def test_what_aws_still_works_on_is_not_ready(status: str, ready: bool | None) -> None:
    setup, resource = Answering(region=REGION), one(Kind.JOB_QUEUE)
    answer = {**resource.document, "jobQueueArn": "arn", "status": status, "statusReason": "so"}
    setup.answer({"DescribeJobQueues": {"jobQueues": [answer]}})
    found = setup.find(resource)
    assert found is not None
    assert (found.ready, found.said) == (ready, f"{status}: so")


@pytest.mark.parametrize("kind", [Kind.COMPUTE_ENVIRONMENT, Kind.JOB_QUEUE, Kind.JOB_DEFINITION])
def test_an_empty_answer_is_what_says_that_there_is_none(kind: Kind) -> None:
    setup = Answering(region=REGION)
    setup.answer(
        {
            "DescribeComputeEnvironments": {"computeEnvironments": []},
            "DescribeJobQueues": {"jobQueues": []},
            "DescribeJobDefinitions": {"jobDefinitions": []},
        }
    )
    assert setup.find(one(kind)) is None


def test_an_update_says_what_changed_and_no_more() -> None:
    setup, queue, compute = Answering(region=REGION), one(Kind.JOB_QUEUE), one(Kind.COMPUTE_ENVIRONMENT)
    asked = setup.answer({"UpdateJobQueue": {}, "UpdateComputeEnvironment": {}})
    setup.change(queue, Found({}), [Change("priority", 1, 5), Change("computeEnvironmentOrder[1].order", 1, None)])
    setup.change(compute, Found({}), [Change("computeResources.maxvCpus", 32, 16)])
    (_, first), (_, second) = asked
    assert first == {
        "jobQueue": "academy-video-batch-queue",
        "priority": 1,
        "computeEnvironmentOrder": queue.document["computeEnvironmentOrder"],
    }
    assert second == {"computeEnvironment": "academy-video-batch-compute", "computeResources": {"maxvCpus": 32}}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (Kind.COMPUTE_ENVIRONMENT, "type"),
        (Kind.COMPUTE_ENVIRONMENT, "tags.team"),
        (Kind.COMPUTE_ENVIRONMENT, "computeResources.spotIamFleetRole"),
        (Kind.COMPUTE_ENVIRONMENT, "computeResources.bidPercentage"),
        (Kind.JOB_QUEUE, "schedulingPolicyArn"),
        (Kind.JOB_QUEUE, "tags.team"),
    ],
)
def test_what_can_not_be_changed_in_place_is_refused_and_named(kind: Kind, path: str) -> None:
    setup = Answering(region=REGION)
    assert setup.answer({}) == []
    with pytest.raises(InfraRefused, match=rf"can't be changed in place: \$\.{path}: 'b' -> None"):
        setup.change(one(kind), Found({}), [Change(path, None, "b")])


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said so"}}, "Anything")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (client_error("AccessDeniedException"), InfraRefused, "policy_deployer"),
        (client_error("UnauthorizedOperation"), InfraRefused, "policy_deployer"),
        (client_error("ClientException"), InfraRefused, "said so"),
        (client_error("MalformedPolicyDocument"), InfraRefused, "said so"),
        (client_error("ServerException"), InfraUnavailable, "ServerException"),
        (client_error("ThrottlingException"), InfraUnavailable, "reachable"),
        (client_error(""), InfraUnavailable, "ClientError"),
        (NoCredentialsError(), InfraRefused, "credentials"),
        (ParamValidationError(report="no such"), InfraRefused, "no such"),
        (EndpointConnectionError(endpoint_url="http://user:pw@x"), InfraUnavailable, "EndpointConnectionError"),
        (ValueError("x"), InfraUnavailable, "ValueError"),
    ],
)
def test_every_answer_has_its_error(error: Exception, kind: type[WorkerError], said: str) -> None:
    with pytest.raises(kind) as raised, translated("try"):
        raise error
    assert said in str(raised.value)
    assert "pw" not in str(raised.value)


def test_lesson_11_no_permission_to_look_is_never_none() -> None:
    for kind in Kind:
        if kind is Kind.ROLE:
            continue
        setup = Answering(region=REGION)
        setup.answer(
            dict.fromkeys(
                (
                    *("DescribeComputeEnvironments", "DescribeJobQueues", "DescribeJobDefinitions"),
                    *("DescribeLaunchTemplateVersions", "GetQueueUrl"),
                ),
                client_error("AccessDeniedException"),
            )
        )
        with pytest.raises(InfraRefused, match="AccessDenied"):
            setup.find(one(kind))
