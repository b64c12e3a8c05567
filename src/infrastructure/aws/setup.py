"""One account's resources of the Batch road, through boto3: found, made, changed. Kept away from what workers import."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from src.domain.infra.problems import InfraRefused, InfraUnavailable
from src.domain.infra.resource import Change, Found, Kind, Resource
from src.infrastructure.aws.answers import code_of, refuse_cut_answers
from src.infrastructure.aws.queues import SqsQueues
from src.infrastructure.aws.roles import IamRoles
from src.infrastructure.aws.shapes import input_shape, settable

CONNECT_SECONDS = 5
READ_SECONDS = 30
TRIES = 4
TEXT = 300

SDK_ERRORS = (BotoCoreError, ClientError, ResponseParserError, OSError, ValueError)
NO_IDENTITY = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    ProfileNotFound,
    NoRegionError,
)
MAY_PASS = frozenset(
    {
        *("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"),
        *("ServerException", "ServiceFailure", "ServiceUnavailable", "InternalError", "InternalFailure", "Unavailable"),
        *("ConcurrentModification", "InternalServiceError"),
    }
)
"""Answers that another try may change; all others are about the request or its sender."""

NO_PERMISSION = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
NO_TEMPLATE = re.compile(r"InvalidLaunchTemplate(Name|Id)\.NotFound(Exception)?")
UNDER_WAY = frozenset({"CREATING", "UPDATING", "DELETING"})
UNUSABLE = frozenset({"INVALID", "DELETED"})


@dataclass
class AwsSetup:
    """Infrastructure of the ports. Used by one thread. Connects to nothing before the first call."""

    region: str
    endpoint_url: str | None = None
    make_session: Callable[[], Any] = boto3.session.Session
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def check(self, account: str) -> None:
        """The credentials are of this account: names are the same in all of them, so that the wrong one would be filled
        without a word. Raises InfraRefused, InfraUnavailable."""
        with translated("ask whose credentials these are"):
            found = self._client("sts").get_caller_identity()["Account"]
        if found != account:
            raise InfraRefused(
                f"the credentials are of account {found}, ACCOUNT_ID is {account}",
                fix="choose the profile or role of the account that is meant, or correct ACCOUNT_ID",
            )

    def find(self, resource: Resource) -> Found | None:
        """By name."""
        with translated(f"look at the {resource.kind} {resource.name}"):
            match resource.kind:
                case Kind.ROLE:
                    return IamRoles(self._client("iam")).find(resource)
                case Kind.QUEUE:
                    return SqsQueues(self._client("sqs")).find(resource)
                case Kind.LAUNCH_TEMPLATE:
                    return self._find_template(resource)
                case Kind.COMPUTE_ENVIRONMENT:
                    answer = self._client("batch").describe_compute_environments(computeEnvironments=[resource.name])
                    return _described(answer["computeEnvironments"], "CreateComputeEnvironment")
                case Kind.JOB_QUEUE:
                    answer = self._client("batch").describe_job_queues(jobQueues=[resource.name])
                    return _described(answer["jobQueues"], "CreateJobQueue")
                case Kind.JOB_DEFINITION:
                    return self._find_definition(resource)

    def create(self, resource: Resource) -> None:
        """By the request that the file holds."""
        document = resource.document
        with translated(f"create the {resource.kind} {resource.name}"):
            match resource.kind:
                case Kind.ROLE:
                    IamRoles(self._client("iam")).create(resource)
                case Kind.QUEUE:
                    SqsQueues(self._client("sqs")).create(resource)
                case Kind.LAUNCH_TEMPLATE:
                    self._client("ec2").create_launch_template(**document)
                case Kind.COMPUTE_ENVIRONMENT:
                    self._client("batch").create_compute_environment(**document)
                case Kind.JOB_QUEUE:
                    self._client("batch").create_job_queue(**document)
                case Kind.JOB_DEFINITION:
                    self._client("batch").register_job_definition(**document)

    def change(self, resource: Resource, found: Found, changes: Sequence[Change]) -> None:
        """A launch template and a job definition get a new version; the others are changed where they are."""
        with translated(f"change the {resource.kind} {resource.name}"):
            match resource.kind:
                case Kind.ROLE:
                    IamRoles(self._client("iam")).change(resource, found)
                case Kind.QUEUE:
                    SqsQueues(self._client("sqs")).change(resource, found)
                case Kind.LAUNCH_TEMPLATE:
                    self._new_template_version(resource)
                case Kind.COMPUTE_ENVIRONMENT:
                    request = _update(resource, "UpdateComputeEnvironment", changes)
                    self._client("batch").update_compute_environment(computeEnvironment=resource.name, **request)
                case Kind.JOB_QUEUE:
                    request = _update(resource, "UpdateJobQueue", changes)
                    self._client("batch").update_job_queue(jobQueue=resource.name, **request)
                case Kind.JOB_DEFINITION:
                    self._client("batch").register_job_definition(**resource.document)

    def close(self) -> None:
        """Let connections go."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _find_definition(self, resource: Resource) -> Found | None:
        """The newest active revision: it is what a job gets that names no revision."""
        pages = self._client("batch").get_paginator("describe_job_definitions")
        every = [
            one
            for page in pages.paginate(jobDefinitionName=resource.name, status="ACTIVE")
            for one in page["jobDefinitions"]
        ]
        newest = sorted(every, key=lambda one: int(one["revision"]))[-1:]
        return _described(newest, "RegisterJobDefinition")

    def _find_template(self, resource: Resource) -> Found | None:
        try:
            answer = self._client("ec2").describe_launch_template_versions(
                LaunchTemplateName=resource.name, Versions=["$Default"]
            )
        except ClientError as error:
            if NO_TEMPLATE.fullmatch(code_of(error)):
                return None
            raise
        (version,) = answer["LaunchTemplateVersions"]
        return Found(settable(input_shape("ec2", "CreateLaunchTemplate"), version))

    def _new_template_version(self, resource: Resource) -> None:
        ec2, data = self._client("ec2"), resource.document["LaunchTemplateData"]
        made = ec2.create_launch_template_version(LaunchTemplateName=resource.name, LaunchTemplateData=data)
        number = str(made["LaunchTemplateVersion"]["VersionNumber"])
        ec2.modify_launch_template(LaunchTemplateName=resource.name, DefaultVersion=number)

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            config = Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": TRIES},
            )
            made = self.make_session().client(
                name, region_name=self.region, endpoint_url=self.endpoint_url, config=config
            )
            self._clients[name] = refuse_cut_answers(made)
        return self._clients[name]


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raises InfraUnavailable or InfraRefused for what the SDK raises inside."""
    try:
        yield
    except SDK_ERRORS as error:
        said = code_of(error)
        if isinstance(error, ClientError) and said and said not in MAY_PASS:
            text = str(error.response.get("Error", {}).get("Message", ""))[:TEXT]
            fix = "scripts/infra/iam/policy_deployer.json is what it takes" if said in NO_PERMISSION else None
            raise InfraRefused(f"AWS refused to {action}: {said}: {text}", fix=fix) from error
        if isinstance(error, NO_IDENTITY):
            fix = "credentials come from AWS's own chain: a profile, a role, or AWS_ACCESS_KEY_ID and its secret"
            raise InfraRefused(f"can't {action}: no credentials ({type(error).__name__})", fix=fix) from error
        if isinstance(error, ParamValidationError):
            raise InfraRefused(f"can't {action}: the SDK takes no such request: {str(error)[:TEXT]}") from error
        raise InfraUnavailable(
            f"can't {action}: {said or type(error).__name__}",
            fix="is AWS reachable from here, and WORKER_AWS__ENDPOINT_URL right? Registering again goes on where it ended",
        ) from error


def _described(answers: Sequence[Mapping[str, Any]], operation: str) -> Found | None:
    """The members that a request could have set; all else is the service's own bookkeeping."""
    if not answers:
        return None
    answer = answers[0]
    status = str(answer.get("status", "VALID"))
    if status == "DELETED":
        return None
    return Found(
        document=settable(input_shape("batch", operation), answer),
        ready=None if status in UNDER_WAY else status not in UNUSABLE,
        said=": ".join(filter(None, (status, str(answer.get("statusReason") or "")))),
    )


def _update(resource: Resource, operation: str, changes: Sequence[Change]) -> dict[str, Any]:
    """The request with the changed members. Raises InfraRefused for those that AWS takes at the making alone."""
    members = input_shape("batch", operation).members
    fixed = [one for one in changes if not _takes(members, one.path, resource.document)]
    if fixed:
        raise InfraRefused(
            f"{resource.file}: {resource.kind} {resource.name} can't be changed in place: "
            + "; ".join(f"$.{change}" for change in fixed),
            fix="give it another name in the files: a new one is made, and the old one can be deleted when it is idle",
        )
    request: dict[str, Any] = {}
    for change in changes:
        top, inner = (step.partition("[")[0] for step in (f"{change.path}.".split(".")[:2]))
        wanted = resource.document[top]
        if hasattr(members[top], "members"):
            # Of the hosts' settings only what changed: naming others, even unchanged, may make AWS Batch replace the hosts.
            request.setdefault(top, {})[inner] = wanted[inner]
        else:
            request[top] = wanted
    return request


def _takes(members: Mapping[str, Any], path: str, document: Mapping[str, Any]) -> bool:
    """Whether an update can say it: it has the member, and so has the file (nothing can be unset by leaving it out)."""
    wanted: Any = document
    for step in path.split(".")[:2]:
        name = step.partition("[")[0]
        if name not in members or name not in wanted:
            return False
        shape, wanted = members[name], wanted[name]
        if not isinstance(wanted, Mapping) or not hasattr(shape, "members"):
            return True
        members = shape.members
    return True
