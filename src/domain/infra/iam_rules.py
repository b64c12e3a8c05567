"""Rules for trust and permission policies: no wildcard action, no wildcard resource but where AWS has nothing narrower."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from src.domain.infra.problems import Problem

VERSION = "2012-10-17"
ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:(\d{12})?:[^*?].*")
"""A resource that names its service, and something of the part that says which one."""

WITHOUT_ACCOUNT = ("arn:aws:s3:::",)
"""Names that are unique in the world carry no account."""

NO_RESOURCE: Mapping[str, str] = {
    "batch:DescribeComputeEnvironments": "AWS Batch knows no resource for describing",
    "batch:DescribeJobDefinitions": "AWS Batch knows no resource for describing",
    "batch:DescribeJobQueues": "AWS Batch knows no resource for describing",
    "batch:DescribeJobs": "AWS Batch knows no resource for describing",
    "batch:ListJobs": "AWS Batch knows no resource for listing",
    "ec2:DescribeLaunchTemplateVersions": "EC2 knows no resource for describing",
    "ecr:GetAuthorizationToken": "the token is the whole registry's",
}
"""{action: why its resource is `*`}. Everything else names what it acts on."""

MANAGED: Mapping[str, str] = {
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role": (
        "what ECS's agent on a host calls is ECS's to say, and changes with the agent"
    ),
}
"""{policy of AWS's own: why a role may carry it}. They hold wildcards that we don't see."""

STATEMENT = {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}


def policy_problems(document: Any, file: str, *, trust: bool = False) -> list[Problem]:
    """What is wrong with a policy document, or with a trust policy."""
    return list(_problems(document, file, trust))


def attached_problems(policies: Any, file: str, path: str) -> list[Problem]:
    """Policies of AWS's own are taken only where there is a reason."""
    return [
        Problem(file, f"{path}[{number}]", f"{arn} has wildcards", "write what the role needs into a policy of its own")
        for number, arn in enumerate(policies)
        if arn not in MANAGED
    ]


def listed(value: Any) -> list[Any]:
    """IAM takes one string for a list of one."""
    return value if isinstance(value, list) else [value]


def _problems(document: Any, file: str, trust: bool) -> Iterator[Problem]:
    if not isinstance(document, dict) or not isinstance(document.get("Statement"), list):
        yield Problem(file, "$.Statement", "a policy is an object with a list of statements")
        return
    if document.get("Version") != VERSION:
        yield Problem(file, "$.Version", f"must be {VERSION}: older versions take ${{...}} literally")
    sids = [one.get("Sid") for one in document["Statement"] if isinstance(one, dict)]
    for number, statement in enumerate(document["Statement"]):
        path = f"$.Statement[{number}]"
        if not isinstance(statement, dict):
            yield Problem(file, path, "a statement is an object")
            continue
        if not statement.get("Sid") or sids.count(statement["Sid"]) > 1:
            yield Problem(file, f"{path}.Sid", "every statement has a name of its own")
        for name in sorted(statement.keys() - STATEMENT):
            yield Problem(file, f"{path}.{name}", "not taken: it permits what it does not name", "name what is needed")
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield Problem(file, f"{path}.Effect", "must be Allow or Deny")
        elif statement["Effect"] == "Allow":
            yield from _actions(statement, file, path)
            yield from _principal(statement, file, path) if trust else _resources(statement, file, path)


def _actions(statement: Mapping[str, Any], file: str, path: str) -> Iterator[Problem]:
    actions = listed(statement.get("Action") or [])
    if not actions:
        yield Problem(file, f"{path}.Action", "names no action")
    for action in actions:
        if not isinstance(action, str) or not ACTION.fullmatch(action):
            yield Problem(file, f"{path}.Action", f"{action!r} is not one action", "name each action that is called")


def _resources(statement: Mapping[str, Any], file: str, path: str) -> Iterator[Problem]:
    if "Principal" in statement:
        yield Problem(file, f"{path}.Principal", "belongs into a trust policy")
    actions, resources = listed(statement.get("Action") or []), listed(statement.get("Resource") or [])
    if not resources:
        yield Problem(file, f"{path}.Resource", "names no resource")
    for resource in resources:
        if resource == "*":
            for action in actions:
                if action not in NO_RESOURCE:
                    yield Problem(file, f"{path}.Resource", f"`*` for {action}", "name the resources it acts on")
        elif not isinstance(resource, str) or not (found := ARN.fullmatch(resource)):
            yield Problem(file, f"{path}.Resource", f"{resource!r} names no resource", "give its ARN")
        elif not found[1] and not resource.startswith(WITHOUT_ACCOUNT):
            yield Problem(file, f"{path}.Resource", f"{resource!r} names no account", "put the account into the ARN")


def _principal(statement: Mapping[str, Any], file: str, path: str) -> Iterator[Problem]:
    principal = statement.get("Principal")
    if not isinstance(principal, dict) or set(principal) != {"Service"}:
        yield Problem(file, f"{path}.Principal", "a role is taken by a service of AWS", 'write {"Service": "..."}')
        return
    for one in listed(principal["Service"]):
        if not isinstance(one, str) or not re.fullmatch(r"[a-z0-9-]+\.amazonaws\.com", one):
            yield Problem(file, f"{path}.Principal.Service", f"{one!r} is not a service")
    if listed(statement.get("Action")) != ["sts:AssumeRole"]:
        yield Problem(file, f"{path}.Action", "a trust policy permits sts:AssumeRole alone")
