"""The files as they are, and each way in which they must not be."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from src.domain.infra.placeholders import VARIABLES, repository
from src.domain.infra.resource import Kind
from src.infrastructure.aws.shapes import REQUESTS, input_shape
from src.infrastructure.db.tables import videos
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.queues import queue_is_used
from tests.infra.calls import ROOT
from tests.infra.roles import VALUES, road, texts

DEFINITION = "batch/video_job_definition.json"
COMPUTE = "batch/video_compute_env.json"
QUEUE = "batch/video_job_queue.json"
DELETIONS = "sqs/video_delete_queue.json"
HOST = "batch/video_launch_template.json"
POLICY = "iam/policy_video_job_role.json"
TRUST = "iam/trust_ecs_tasks.json"
ROLES = "iam/roles.json"
GONE = object()


def changed(file: str, path: str, value: Any) -> dict[str, str]:
    """The file with one value changed, or without it (GONE). The path is a finding's: `$.a.b[0]`."""
    document = inside = json.loads(texts()[file])
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]$]+", path)]
    for step in steps[:-1]:
        inside = inside[step]
    if value is GONE:
        del inside[steps[-1]]
    else:
        inside[steps[-1]] = value
    return {file: json.dumps(document)}


def findings(texts_changed: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(problem.file, problem.path, problem.text) for problem in road(texts_changed).problems]


def test_nothing_is_wrong_with_the_files() -> None:
    there = road()
    assert there.problems == ()
    assert len(there.files) == 17


@pytest.mark.parametrize("prefix", ["", "/", "a/b", "/a/b/"])
def test_a_prefix_is_written_as_people_like(prefix: str) -> None:
    there = road(values={**VALUES, "PREFIX": prefix}).sound()
    (role,) = [one for one in there.resources if one.name == "academy-video-batch-job"]
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    (read,) = [one for one in role.document["Policies"]["video_job_role"]["Statement"] if one["Sid"] == "ReadVideos"]
    assert read["Resource"] == f"arn:aws:s3:::media-bucket/{folder}tenants/*/video/*"


def test_the_numbers_are_those_of_the_container_contract() -> None:
    by_kind = {one.kind: one for one in road().sound().resources}
    compute = by_kind[Kind.COMPUTE_ENVIRONMENT].document["computeResources"]
    assert (compute["minvCpus"], compute["maxvCpus"], compute["instanceTypes"]) == (0, 32, ["c6g"])
    definition = by_kind[Kind.JOB_DEFINITION].document
    assert definition["jobDefinitionName"] == "academy-video-batch-jobdef"
    assert (definition["retryStrategy"], definition["timeout"]) == ({"attempts": 1}, {"attemptDurationSeconds": 14_400})
    required = {one["type"]: one["value"] for one in definition["containerProperties"]["resourceRequirements"]}
    assert required == {"VCPU": "2", "MEMORY": "4096"}
    log = definition["containerProperties"]["logConfiguration"]["options"]
    assert log["awslogs-group"] == "/aws/batch/academy-video-worker"
    assert by_kind[Kind.JOB_QUEUE].name == "academy-video-batch-queue"


def test_lesson_27_the_container_gets_settings_that_the_worker_takes() -> None:
    (definition,) = [one.document for one in road().sound().resources if one.kind is Kind.JOB_DEFINITION]
    container = definition["containerProperties"]
    environment = {one["name"]: one["value"] for one in container["environment"]}
    secrets = {"WORKER_DATABASE__URL": "postgresql://db/x", "WORKER_REDIS__URL": "redis://cache/0"}
    assert {one["name"] for one in container["secrets"]} == set(secrets)
    settings = load({**environment, **secrets})
    assert (settings.storage.bucket, settings.storage.prefix) == ("media-bucket", "a/b")
    # AWS Batch stops a container with SIGTERM and, 30 s later, SIGKILL.
    assert settings.shutdown.grace_seconds < 30


def test_the_container_is_the_one_that_the_image_is_made_for() -> None:
    (definition,) = [one.document for one in road().sound().resources if one.kind is Kind.JOB_DEFINITION]
    recipe = (ROOT / "Dockerfile.worker").read_text()
    assert f"USER {definition['containerProperties']['user']}" in recipe
    (mount,) = definition["containerProperties"]["mountPoints"]
    assert f'VOLUME ["{mount["containerPath"]}"]' in recipe


def test_the_page_about_it_names_every_value_role_and_command() -> None:
    page = (ROOT / "docs/batch.md").read_text()
    roles = [role["RoleName"] for role in json.loads(texts()[ROLES])]
    parameters = [one["valueFrom"].partition("parameter")[2] for one in _secrets()]
    assert [
        name for name in (*VARIABLES, *roles, *parameters, "validate", "plan", "register") if name not in page
    ] == []


def test_the_environment_to_copy_agrees_with_the_container_and_the_files() -> None:
    page = (ROOT / "docs/batch.md").read_text()
    block = page.partition("<!-- environment -->")[2].partition("<!-- /environment -->")[0]
    lines = [line.removeprefix("export ") for line in block.splitlines() if line.startswith("export ")]
    said = load(dict(shlex.split(line, comments=True)[0].split("=", 1) for line in lines))
    resources = {one.kind: one.name for one in road().sound().resources}
    (definition,) = [one.document for one in road().sound().resources if one.kind is Kind.JOB_DEFINITION]
    container = {one["name"]: one["value"] for one in definition["containerProperties"]["environment"]}
    assert (said.lock.backend, said.progress.backend) == (
        container["WORKER_LOCK__BACKEND"],
        container["WORKER_PROGRESS__BACKEND"],
    )
    assert said.dispatch.backend == "batch"
    assert (said.batch.queue, said.batch.definition) == (resources[Kind.JOB_QUEUE], resources[Kind.JOB_DEFINITION])
    assert said.deletion.queue_name in [one.name for one in road().resources if one.kind is Kind.QUEUE]
    assert not queue_is_used(said)


def test_the_row_that_a_platform_writes_has_every_column_that_must_be_there() -> None:
    page = (ROOT / "docs/batch.md").read_text()
    named = {name.strip() for name in page.partition("INSERT INTO videos (")[2].partition(")")[0].split(",")}
    assert named == {column.name for column in videos.columns if not column.nullable}


def _secrets() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(texts()[DEFINITION])["containerProperties"]["secrets"]
    return found


# ------------------------------------------------------------------ our rules
WRONG = [
    (DEFINITION, "$.retryStrategy.attempts", 2, "must be 1"),
    (DEFINITION, "$.retryStrategy.attempts", GONE, "must be 1"),
    (DEFINITION, "$.retryStrategy.evaluateOnExit", [{"action": "RETRY"}], "must not be there"),
    (DEFINITION, "$.timeout.attemptDurationSeconds", GONE, "hang for ever"),
    (DEFINITION, "$.timeout.attemptDurationSeconds", 30, "hang for ever"),
    (DEFINITION, "$.containerProperties.command", ["python", "-m", "src.interfaces.workers.batch.main"], "Ref::job_id"),
    (DEFINITION, "$.parameters.job_id", GONE, "missing"),
    (DEFINITION, "$.containerProperties.image", "repo/worker", "pushed last"),
    (DEFINITION, "$.containerProperties.image", "repo:5000/worker:latest", "pushed last"),
    (DEFINITION, "$.containerProperties.image", "host:5000/worker", "pushed last"),
    (DEFINITION, "$.containerProperties.image", "repo/worker@sha256:12", "not a digest"),
    (DEFINITION, "$.containerProperties.environment[0]", {"name": "R2_SECRET_KEY", "value": "x"}, "is a secret"),
    (DEFINITION, "$.containerProperties.environment[0]", {"name": "X", "value": "redis://:pw@h/0"}, "is a secret"),
    (DEFINITION, "$.containerProperties.secrets[0].valueFrom", "postgresql://u:p@h/d", "is no reference"),
    (DEFINITION, "$.containerProperties.privileged", True, "strangers"),
    (DEFINITION, "$.containerProperties.user", "0:0", "other than 0"),
    (DEFINITION, "$.containerProperties.user", GONE, "other than 0"),
    (DEFINITION, "$.containerProperties.readonlyRootFilesystem", False, "must be true"),
    (DEFINITION, "$.containerProperties.mountPoints", [], "no writable volume"),
    (DEFINITION, "$.containerProperties.resourceRequirements", [{"type": "VCPU", "value": "2"}], "no MEMORY"),
    (DEFINITION, "$.containerProperties.logConfiguration", {"logDriver": "json-file"}, "/aws/batch/"),
    (DEFINITION, "$.containerProperties", GONE, "missing"),
    (DEFINITION, "$.containerProperties.jobRoleArn", "arn:aws:iam::123456789012:role/admin", "no file describes"),
    (COMPUTE, "$.computeResources.minvCpus", 2, "must be 0"),
    (COMPUTE, "$.computeResources.desiredvCpus", 2, "lesson 25"),
    (COMPUTE, "$.computeResources.instanceRole", "ecsInstanceRole", "no role has"),
    (COMPUTE, "$.computeResources.launchTemplate.launchTemplateName", "other", "no file describes"),
    (COMPUTE, "$.state", "DISABLED", "ENABLED"),
    (COMPUTE, "$.type", "UNMANAGED", "MANAGED"),
    (QUEUE, "$.computeEnvironmentOrder[0].computeEnvironment", "other", "no file describes"),
    (QUEUE, "$.computeEnvironmentOrder", [], "names no compute environment"),
    (QUEUE, "$.state", "DISABLED", "ENABLED"),
    (HOST, "$.LaunchTemplateData.MetadataOptions.HttpTokens", "optional", "credentials"),
    (HOST, "$.LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit", 2, "credentials"),
    (POLICY, "$.Statement[1].Action", "s3:*", "not one action"),
    (POLICY, "$.Statement[1].Action", ["s3:GetObject", "s3:Get*"], "not one action"),
    (POLICY, "$.Statement[1].Action", [], "names no action"),
    (POLICY, "$.Statement[1].Resource", "*", "`*` for s3:GetObject"),
    (POLICY, "$.Statement[1].Resource", "arn:aws:s3:::*", "names no resource"),
    (POLICY, "$.Statement[1].Resource", "arn:aws:sqs:eu-west-1::queue", "names no account"),
    (POLICY, "$.Statement[1].Resource", GONE, "names no resource"),
    (POLICY, "$.Statement[1].Sid", "FindObjects", "a name of its own"),
    (POLICY, "$.Statement[1].NotAction", "s3:PutObject", "permits what it does not name"),
    (POLICY, "$.Statement[1].Effect", "allow", "Allow or Deny"),
    (POLICY, "$.Statement[1].Principal", {"AWS": "*"}, "trust policy"),
    (POLICY, "$.Statement", {}, "list of statements"),
    (POLICY, "$.Version", "2008-10-17", "2012-10-17"),
    (TRUST, "$.Statement[0].Principal", {"AWS": "*"}, "service of AWS"),
    (TRUST, "$.Statement[0].Principal.Service", "*", "is not a service"),
    (TRUST, "$.Statement[0].Action", "sts:AssumeRoleWithSAML", "sts:AssumeRole alone"),
    (ROLES, "$[2].AttachedPolicies[0]", "arn:aws:iam::aws:policy/AdministratorAccess", "has wildcards"),
    (ROLES, "$[0].Policies[0]", "policy_absent.json", "no readable"),
    (ROLES, "$[0].Trust", "policy_submitter.json", "no readable"),
    (ROLES, "$[0].Extra", 1, "unknown: Extra"),
    (ROLES, "$[0].Policies", "policy_submitter.json", "lists of policies"),
]


@pytest.mark.parametrize(("file", "path", "value", "said"), WRONG)
def test_what_breaks_a_rule_is_named_with_file_and_path(file: str, path: str, value: Any, said: str) -> None:
    found = findings(changed(file, path, value))
    assert any((where == file and path.startswith(at.split("[")[0])) or at == path for where, at, _text in found), found
    assert any(said in text for _where, _at, text in found), found


# ------------------------------------------------------------------ the service's rules
@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        (DEFINITION, "$.type", "containers", "none of container"),
        (DEFINITION, "$.jobDefinitionName", 7, "must be of type string"),
        (DEFINITION, "$.retry", {"attempts": 1}, "no such member"),
        (DEFINITION, "$.retryStrategy.attempts", "1", "must be of type integer"),
        (DEFINITION, "$.timeout.attemptDurationSeconds", True, "must be of type integer"),
        (DEFINITION, "$.containerProperties.resourceRequirements[0].type", "CPU", "none of GPU"),
        (DEFINITION, "$.containerProperties.secrets[0].valueFrom", GONE, "is required"),
        (DEFINITION, "$.containerProperties.logConfiguration.logDriver", "syslogd", "none of"),
        (DEFINITION, "$.tags", {}, "0 is less than 1"),
        (DEFINITION, "$.parameters.job_id", None, "must be of type string"),
        (COMPUTE, "$.computeResources.maxvCpus", GONE, "is required"),
        (COMPUTE, "$.computeResources.subnets[0]", 1, "must be of type string"),
        (COMPUTE, "$.computeResources.allocationStrategy", "FASTEST", "none of"),
        (QUEUE, "$.priority", GONE, "is required"),
        (QUEUE, "$.computeEnvironmentOrder[0].order", GONE, "is required"),
        (HOST, "$.LaunchTemplateData.MetadataOptions.HttpEndpoint", "on", "none of"),
        (HOST, "$.LaunchTemplateData.BlockDeviceMappings[0].Ebs.VolumeType", "gp9", "none of"),
        (ROLES, "$[0].RoleName", "a b", "does not match"),
        (ROLES, "$[0].RoleName", "x" * 65, "65 is more than 64"),
        (ROLES, "$[0].Description", "x" * 1001, "1001 is more than 1000"),
        (ROLES, "$[2].AttachedPolicies[0]", "short", "less than 20"),
    ],
)
def test_what_the_service_would_refuse_is_named_with_file_and_path(file: str, path: str, value: Any, said: str) -> None:
    found = findings(changed(file, path, value))
    assert [(where, at) for where, at, text in found if said in text] == [(file, path)], found


def test_every_pattern_of_the_requests_can_be_read() -> None:
    seen: set[str] = set()

    def walk(shape: Any) -> int:
        if shape.name in seen:
            return 0
        seen.add(shape.name)
        inner = [*getattr(shape, "members", {}).values()] if shape.type_name == "structure" else []
        inner += [getattr(shape, name) for name in ("member", "key", "value") if hasattr(shape, name)]
        pattern = shape.metadata.get("pattern")
        return bool(pattern and re.compile(pattern)) + sum(map(walk, inner))

    requests = [
        *REQUESTS.values(),
        *(("iam", name) for name in ("CreateRole", "PutRolePolicy", "CreateInstanceProfile")),
    ]
    assert sum(walk(input_shape(service, operation)) for service, operation in requests) > 5


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("$.Attributes.RedrivePolicy", GONE, "missing, or not one"),
        ("$.Attributes.RedrivePolicy", "soon", "missing, or not one"),
        ("$.Attributes.RedrivePolicy", '{"deadLetterTargetArn":"a:other","maxReceiveCount":10}', "dead letters go to"),
        ("$.Attributes.RedrivePolicy", '{"deadLetterTargetArn":"a:x-dlq","maxReceiveCount":10}', "no file describes"),
        ("$.Attributes.RedrivePolicy", '{"deadLetterTargetArn":"a:b-dlq","maxReceiveCount":9}', "10 or more"),
        ("$.Attributes.MessageRetentionPeriod", "345600", "14 days"),
        ("$.Attributes.VisibilityTimeout", "30", "720 or more"),
        ("$.Attributes", [], "must be of type map"),
    ],
)
def test_lesson_30_a_queue_that_would_lose_requests_is_refused(path: str, value: Any, said: str) -> None:
    found = findings(changed(DELETIONS, path, value))
    assert any(where == DELETIONS and said in text for where, _at, text in found), found


def test_a_queue_is_made_after_the_one_for_its_dead_letters() -> None:
    files = {"sqs/a.json": texts()[DELETIONS].replace('academy-video-delete-r2"', 'another"')}
    names = [one.name for one in road(files).sound().resources if one.kind is Kind.QUEUE]
    assert names == ["academy-video-delete-r2-dlq", "another", "academy-video-delete-r2"]


# ------------------------------------------------------------------ texts and values
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ('{"jobQueueName": "a", "jobQueueName": "b"}', "twice"),
        ("[]", "has no name"),
        ("{}", "has no name"),
        ('{"jobQueueName": "a", "jobDefinitionName": "b"}', "has no name"),
        ('{"RoleName": "a"}', "has no name"),
        ('{"jobQueueName": 1}', "must be of type string"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_nothing_is_named(text: str, said: str) -> None:
    found = findings({QUEUE: text})
    assert any(where == QUEUE and said in what for where, _at, what in found), found


@pytest.mark.parametrize(
    ("file", "text"), [("iam/other.json", "{}"), ("batch/second.json", texts()[QUEUE]), (ROLES, "{}"), (POLICY, "1")]
)
def test_a_file_that_does_not_belong_is_named(file: str, text: str) -> None:
    assert any(where == file for where, _at, _text in findings({file: text}))


def test_a_placeholder_without_a_value_is_named_once() -> None:
    given = {name: value for name, value in VALUES.items() if name not in ("BUCKET", "IMAGE")}
    problems = road(values=given).problems
    assert [(one.text.partition(" ")[0], one.path) for one in problems] == [
        ("${IMAGE}", "$.containerProperties.image"),
        ("${BUCKET}", "$.containerProperties.environment[6].value"),
        ("${REPOSITORY}", "$.Statement[1].Resource"),
    ]
    assert "give --set BUCKET=... or INFRA_BUCKET" in problems[1].fix


@pytest.mark.parametrize(("name", "value"), [("ACCOUNT_ID", "12"), ("IMAGE", "no image"), ("SUBNETS", "subnet-1,x")])
def test_a_value_that_is_wrong_is_one_problem(name: str, value: str) -> None:
    given = {key: kept for key, kept in VALUES.items() if key != "REPOSITORY"}
    problems = road(values={**given, name: value}).problems
    assert [(one.file, one.path) for one in problems] == [("(values)", name)]


@pytest.mark.parametrize("file", [DEFINITION, QUEUE, POLICY, TRUST, ROLES, DELETIONS])
def test_a_file_that_is_not_json_is_one_problem(file: str) -> None:
    (only,) = road({file: '{\n "x": }'}).problems
    assert (only.file, only.text.partition(":")[0]) == (file, "is not JSON")
    assert "line 2" in only.text


def test_an_unknown_placeholder_is_named() -> None:
    found = findings(changed(QUEUE, "$.jobQueueName", "${STAGE}-queue"))
    assert found == [(QUEUE, "$.jobQueueName", "there is no placeholder ${STAGE}")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCOUNT_ID", "*"),
        ("ACCOUNT_ID", "12345678901"),
        ("REGION", "*"),
        ("BUCKET", "*"),
        ("BUCKET", "a/*"),
        ("PREFIX", "*"),
        ("PREFIX", "a/../?"),
        ("IMAGE", "a b"),
        ("REPOSITORY", "*"),
        ("SUBNETS", "subnet-1,*"),
        ("SECURITY_GROUPS", ""),
        ("STAGE", "x"),
    ],
)
def test_a_value_that_would_open_a_policy_is_refused(name: str, value: str) -> None:
    problems = road(values={**VALUES, name: value}).problems
    assert any((one.file, one.path) == ("(values)", name) for one in problems), problems


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("1.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1", "team/worker"),
        ("host:5000/worker@sha256:ab", "worker"),
        ("localhost/worker", "worker"),
        ("team/worker:1", "team/worker"),
        ("worker:1", "worker"),
    ],
)
def test_the_repository_is_found_in_the_image(image: str, name: str) -> None:
    assert repository(image) == name
