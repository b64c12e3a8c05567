"""Requests checked against botocore's own description of the services, without asking anybody.

botocore's validator knows members, types and lower limits. Enumerations, patterns and upper limits stand in the same
description, but botocore leaves them to the service; here they are checked as well, with the path of each finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from src.domain.infra.resource import Kind

REQUESTS: Mapping[Kind, tuple[str, str]] = {
    Kind.QUEUE: ("sqs", "CreateQueue"),
    Kind.LAUNCH_TEMPLATE: ("ec2", "CreateLaunchTemplate"),
    Kind.COMPUTE_ENVIRONMENT: ("batch", "CreateComputeEnvironment"),
    Kind.JOB_QUEUE: ("batch", "CreateJobQueue"),
    Kind.JOB_DEFINITION: ("batch", "RegisterJobDefinition"),
}
"""{kind: the request that makes it}"""

PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "float": (int, float),
    "double": (int, float),
}


class BotocoreShapes:
    """Shapes of the ports."""

    def problems(self, kind: Kind, document: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """A role is several requests."""
        if kind is Kind.ROLE:
            return _role_problems(document)
        service, operation = REQUESTS[kind]
        return list(_checked(service, operation, document, "$"))


@cache
def input_shape(service: str, operation: str) -> Any:
    """The description of a request."""
    # Reading one takes a tenth of a second, and nothing of it depends on who asks.
    return _model(service).operation_model(operation).input_shape


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def settable(shape: Any, answer: Any) -> Any:
    """Of what a service says of a resource: the members that a request could have set. All else is its bookkeeping."""
    if isinstance(answer, Mapping) and hasattr(shape, "members"):
        members = shape.members
        return {name: settable(members[name], value) for name, value in answer.items() if name in members}
    if isinstance(answer, list) and hasattr(shape, "member"):
        return [settable(shape.member, one) for one in answer]
    return answer


def policy_text(document: Any) -> str:
    """A policy as IAM takes it: text."""
    return json.dumps(document, sort_keys=True)


def _role_problems(role: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of the requests that make a role; what hangs on it is found where it stands in the role's document."""
    name, profile = role["RoleName"], role["InstanceProfileName"]
    made = {"RoleName": name, "AssumeRolePolicyDocument": policy_text(role["AssumeRolePolicyDocument"])}
    problems = list(_checked("iam", "CreateRole", {**made, "Description": role["Description"]}, "$"))
    if problems:
        # The other requests repeat the role's name.
        return problems
    hanging: list[tuple[str, str, dict[str, Any]]] = []
    for number, (policy, document) in enumerate(role["Policies"].items()):
        request = {"RoleName": name, "PolicyName": policy, "PolicyDocument": policy_text(document)}
        hanging.append((f"$.Policies[{number}]", "PutRolePolicy", request))
    for number, arn in enumerate(role["AttachedPolicies"]):
        hanging.append((f"$.AttachedPolicies[{number}]", "AttachRolePolicy", {"RoleName": name, "PolicyArn": arn}))
    if profile:
        hanging.append(("$.InstanceProfileName", "CreateInstanceProfile", {"InstanceProfileName": profile}))
    return [
        (path, text) for path, operation, request in hanging for _at, text in _checked("iam", operation, request, path)
    ]


def _checked(service: str, operation: str, request: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    shape = input_shape(service, operation)
    found = list(_walk(shape, request, path))
    report = ParamValidator().validate(request, shape)
    if report.has_errors() and not found:
        found.append((path, str(report.generate_report())))
    yield from found


def _walk(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    wanted = PYTHON_TYPES.get(shape.type_name)
    if wanted is None:
        yield path, f"a {shape.type_name} can't stand in a JSON file"
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        yield path, f"must be of type {shape.type_name}, is {json.dumps(value)[:80]}"
        return
    yield from _inside(shape, value, path)


def _inside(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if shape.type_name == "structure":
        yield from _structure(shape, value, path)
    else:
        yield from _limits(shape, value, path)
        if shape.type_name == "list":
            for number, one in enumerate(value):
                yield from _walk(shape.member, one, f"{path}[{number}]")
        elif shape.type_name == "map":
            for name, one in value.items():
                yield from _walk(shape.key, name, f"{path}.{name}")
                yield from _walk(shape.value, one, f"{path}.{name}")


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name}", "is required"
    for name, one in value.items():
        if name in shape.members:
            yield from _walk(shape.members[name], one, f"{path}.{name}")
        else:
            yield f"{path}.{name}", "no such member in this request"
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield path, f"must have exactly one of {', '.join(shape.members)}"


def _limits(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    rules = shape.metadata
    measured = value if isinstance(value, int | float) else len(value)
    if (least := rules.get("min")) is not None and measured < least:
        yield path, f"{measured} is less than {least}"
    if (most := rules.get("max")) is not None and measured > most:
        yield path, f"{measured} is more than {most}"
    if (allowed := rules.get("enum")) and value not in allowed:
        yield path, f"{value!r} is none of {', '.join(allowed)}"
    if (pattern := rules.get("pattern")) and not re.fullmatch(pattern, value):
        yield path, f"{value[:80]!r} does not match {pattern}"
