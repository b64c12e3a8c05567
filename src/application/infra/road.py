"""From texts of files to resources: parsed, filled in, and checked by the service's rules and by ours.

`batch/*.json` and `sqs/*.json` hold one request each, `iam/roles.json` puts roles together from `iam/trust_*.json` and `iam/policy_*.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application.ports.infrastructure import Shapes
from src.domain.infra.iam_rules import attached_problems, policy_problems
from src.domain.infra.job_rules import compute_problems, definition_problems, host_problems, queue_problems
from src.domain.infra.placeholders import Missing, complete, fill, merged
from src.domain.infra.problems import InfraInvalid, Problem
from src.domain.infra.queue_rules import message_queue_problems, redrive
from src.domain.infra.resource import NAMED_BY, Kind, Resource

ROLES = "iam/roles.json"
REQUESTS = ("batch/", "sqs/")
TRUST, POLICY = "iam/trust_", "iam/policy_"
ROLE_MEMBERS = {"RoleName", "Description", "Trust", "Policies", "AttachedPolicies", "InstanceProfileName"}
ROLE_LISTS = ("Policies", "AttachedPolicies")

RULES: Mapping[Kind, Callable[[Mapping[str, Any], str], list[Problem]]] = {
    Kind.QUEUE: message_queue_problems,
    Kind.LAUNCH_TEMPLATE: host_problems,
    Kind.COMPUTE_ENVIRONMENT: compute_problems,
    Kind.JOB_QUEUE: queue_problems,
    Kind.JOB_DEFINITION: definition_problems,
}


@dataclass(frozen=True, slots=True)
class Road:
    """What the files describe, in the order of making, and everything that is wrong with it."""

    resources: Sequence[Resource]
    files: Sequence[str]
    problems: Sequence[Problem]

    def sound(self) -> Road:
        """Itself. Raises InfraInvalid when anything is wrong."""
        if self.problems:
            raise InfraInvalid(self.problems)
        return self


@dataclass
class _Reading:
    texts: Mapping[str, str]
    values: Mapping[str, str]
    shapes: Shapes
    problems: list[Problem]
    documents: dict[str, Any] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    misshapen: set[str] = field(default_factory=set)
    """files that the service's own rules refuse: nothing else is said about what is in them"""
    unread: set[str] = field(default_factory=set)
    """files that are not JSON: nobody knows what they describe, so nothing that they may hold is called missing"""


def read_road(texts: Mapping[str, str], given: Mapping[str, str], shapes: Shapes) -> Road:
    """Everything in {file below the folder: its text}, with the values of the placeholders. Raises nothing: what is wrong
    is in `problems`, all of it at once."""
    values, problems = complete(given)
    wrong = {problem.path for problem in problems}
    if "IMAGE" in wrong and "REPOSITORY" not in values:
        wrong.add("REPOSITORY")
    reading = _Reading(texts, {name: value for name, value in values.items() if name not in wrong}, shapes, problems)
    for file in sorted(texts):
        _parse(reading, file)
    if reading.missing:
        # What a hole would break besides says nothing; nor does a hole where a value was given and is wrong.
        holes = [one for one in reading.missing if one.name not in wrong]
        return Road((), tuple(sorted(texts)), (*problems, *merged(holes)))
    for file in sorted(reading.documents):
        if file.startswith(REQUESTS):
            _request(reading, file)
        elif file.startswith((TRUST, POLICY)):
            reading.problems += policy_problems(reading.documents[file], file, trust=file.startswith(TRUST))
        elif file != ROLES:
            reading.problems.append(Problem(file, "$", "nothing is known about this file", _places()))
    _roles(reading)
    if not reading.unread:
        _whole(reading)
    order = list(Kind)
    # A queue names the one for its dead letters, which must be there.
    reading.resources.sort(key=lambda one: (order.index(one.kind), bool(_references(one)) and one.kind is Kind.QUEUE))
    return Road(tuple(reading.resources), tuple(sorted(texts)), tuple(sorted(set(reading.problems))))


def _parse(reading: _Reading, file: str) -> None:
    try:
        document = json.loads(reading.texts[file], object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        reading.problems.append(Problem(file, "$", f"is not JSON: {error}"))
        reading.unread.add(file)
        return
    filled, missing = fill(document, reading.values, file)
    reading.missing += missing
    reading.documents[file] = filled


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _value in pairs]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"{', '.join(doubles)} twice in one object: only the last would count")
    return dict(pairs)


def _request(reading: _Reading, file: str) -> None:
    document = reading.documents[file]
    kinds = [kind for kind, member in NAMED_BY.items() if isinstance(document, dict) and member in document]
    if len(kinds) != 1 or kinds[0] is Kind.ROLE:
        names = ", ".join(member for kind, member in NAMED_BY.items() if kind is not Kind.ROLE)
        reading.problems.append(Problem(file, "$", f"has no name to tell what it is: one of {names}"))
        return
    kind = kinds[0]
    if shape := [Problem(file, path, text) for path, text in reading.shapes.problems(kind, document)]:
        reading.problems += shape
        reading.misshapen.add(file)
    else:
        reading.problems += RULES[kind](document, file)
    reading.resources.append(Resource(kind, str(document[NAMED_BY[kind]]), file, document))


def _roles(reading: _Reading) -> None:
    roles = reading.documents.get(ROLES)
    if not isinstance(roles, list) or not all(isinstance(role, dict) for role in roles):
        if ROLES in reading.documents or ROLES not in reading.texts:
            reading.problems.append(Problem(ROLES, "$", "must be there, a list of roles"))
        return
    for number, role in enumerate(roles):
        path = f"$[{number}]"
        unknown = sorted(role.keys() - ROLE_MEMBERS)
        name = role.get("RoleName")
        if unknown or not isinstance(name, str) or not all(isinstance(role.get(one, []), list) for one in ROLE_LISTS):
            text = f"unknown: {', '.join(unknown)}" if unknown else "needs a RoleName and lists of policies"
            reading.problems.append(Problem(ROLES, path, text, f"known: {', '.join(sorted(ROLE_MEMBERS))}"))
            continue
        document = {
            "RoleName": name,
            "Description": role.get("Description", ""),
            "AssumeRolePolicyDocument": _named(reading, role.get("Trust"), TRUST, f"{path}.Trust"),
            "Policies": {
                str(file).removeprefix("policy_").removesuffix(".json"): _named(
                    reading, file, POLICY, f"{path}.Policies[{place}]"
                )
                for place, file in enumerate(role.get("Policies", []))
            },
            "AttachedPolicies": role.get("AttachedPolicies", []),
            "InstanceProfileName": role.get("InstanceProfileName", ""),
        }
        reading.problems += attached_problems(document["AttachedPolicies"], ROLES, f"{path}.AttachedPolicies")
        for below, text in reading.shapes.problems(Kind.ROLE, document):
            reading.problems.append(Problem(ROLES, path + below.removeprefix("$"), text))
        reading.resources.append(Resource(Kind.ROLE, name, ROLES, document))


def _named(reading: _Reading, file: object, start: str, path: str) -> Any:
    document = reading.documents.get(f"iam/{file}") if f"iam/{file}".startswith(start) else None
    if document is None and f"iam/{file}" not in reading.unread:
        folder, _, prefix = start.rpartition("/")
        reading.problems.append(
            Problem(ROLES, path, f"there is no readable {file!r}", f"a {prefix}*.json in {folder}/")
        )
    return document or {}


def _whole(reading: _Reading) -> None:
    """What only the files together can say."""
    for kind in Kind:
        of_kind = [one for one in reading.resources if one.kind is kind]
        if not of_kind:
            reading.problems.append(
                Problem({Kind.ROLE: ROLES, Kind.QUEUE: "sqs/"}.get(kind, "batch/"), "$", f"no {kind} is described")
            )
        names = [one.name for one in of_kind]
        for one in of_kind:
            if names.count(one.name) > 1:
                reading.problems.append(Problem(one.file, "$", f"two {kind}s are called {one.name}"))
    known = {kind: {one.name for one in reading.resources if one.kind is kind} for kind in Kind}
    for one in reading.resources:
        for path, kind, name in () if one.file in reading.misshapen else _references(one):
            if name not in known[kind]:
                text = f"names the {kind} {name!r}, which no file describes"
                reading.problems.append(Problem(one.file, path, text, f"described: {', '.join(sorted(known[kind]))}"))
    _profiles(reading)


def _references(one: Resource) -> list[tuple[str, Kind, str]]:
    document = one.document
    if one.kind is Kind.QUEUE:
        aside = redrive(document.get("Attributes") or {}) if isinstance(document.get("Attributes"), dict) else None
        return [("$.Attributes.RedrivePolicy", Kind.QUEUE, aside[0])] if aside else []
    if one.kind is Kind.JOB_QUEUE:
        order = document.get("computeEnvironmentOrder") or []
        path = "$.computeEnvironmentOrder[{}].computeEnvironment"
        return [
            (path.format(number), Kind.COMPUTE_ENVIRONMENT, str(entry.get("computeEnvironment")))
            for number, entry in enumerate(order)
            if isinstance(entry, dict)
        ]
    if one.kind is Kind.COMPUTE_ENVIRONMENT:
        template = (document.get("computeResources") or {}).get("launchTemplate") or {}
        name = template.get("launchTemplateName")
        path = "$.computeResources.launchTemplate.launchTemplateName"
        return [(path, Kind.LAUNCH_TEMPLATE, str(name))] if name else []
    if one.kind is Kind.JOB_DEFINITION:
        container = document.get("containerProperties") or {}
        return [
            (f"$.containerProperties.{member}", Kind.ROLE, str(container.get(member, "")).rpartition("/")[2])
            for member in ("jobRoleArn", "executionRoleArn")
        ]
    return []


def _profiles(reading: _Reading) -> None:
    profiles = {one.document["InstanceProfileName"] for one in reading.resources if one.kind is Kind.ROLE}
    for one in reading.resources:
        if one.kind is not Kind.COMPUTE_ENVIRONMENT or one.file in reading.misshapen:
            continue
        name = str((one.document.get("computeResources") or {}).get("instanceRole", "")).rpartition("/")[2]
        if name not in profiles:
            text = f"names the instance profile {name!r}, which no role has"
            reading.problems.append(Problem(one.file, "$.computeResources.instanceRole", text))


def _places() -> str:
    return f"batch/*.json, sqs/*.json, {ROLES}, {TRUST}*.json or {POLICY}*.json"
