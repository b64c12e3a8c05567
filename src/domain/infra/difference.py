"""What AWS has, compared with what a file says: the whole of both, field by field (lesson 29)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from src.domain.infra.job_rules import LOGIN, SECRET_NAME
from src.domain.infra.resource import Change, Kind, Resource

KEYS: Mapping[str, str] = {
    "BlockDeviceMappings": "DeviceName",
    "Statement": "Sid",
    "computeEnvironmentOrder": "order",
    "ec2Configuration": "imageType",
    "environment": "name",
    "mountPoints": "containerPath",
    "resourceRequirements": "type",
    "secrets": "name",
    "ulimits": "name",
    "volumes": "name",
}
"""{list: what tells its items apart}: their order means nothing, and a change names the item."""

SETS = {
    *("Action", "AttachedPolicies", "Resource", "Service"),
    *("instanceTypes", "platformCapabilities", "securityGroupIds", "subnets"),
}
"""Lists whose order means nothing, and in policies a list of one may be a string."""

CHOSEN_BY_AWS: Mapping[Kind, frozenset[str]] = {
    Kind.ROLE: frozenset(),
    Kind.QUEUE: frozenset(),
    Kind.LAUNCH_TEMPLATE: frozenset(),
    Kind.COMPUTE_ENVIRONMENT: frozenset(
        {
            "computeResources.desiredvCpus",
            "computeResources.scalingPolicy",
            "containerOrchestrationType",
            "ecsSettings",
            "serviceRole",
            "unmanagedvCpus",
        }
    ),
    Kind.JOB_QUEUE: frozenset({"jobQueueType"}),
    Kind.JOB_DEFINITION: frozenset({"containerProperties.vcpus", "containerProperties.memory"}),
}
"""{kind: fields that AWS fills in or keeps moving}: left alone where the file does not name them. `desiredvCpus` follows the
jobs; `serviceRole` becomes Batch's own service-linked role; `vcpus` and `memory` are the old form of resourceRequirements,
answered as 0."""

HIDDEN = "(hidden)"

BY_ARN = re.compile(r"arn:[a-z-]+:batch:[^/]*:compute-environment/(.+)")


def difference(resource: Resource, found: Mapping[str, Any]) -> list[Change]:
    """The fields that differ; none when what is there is what the file says."""
    wanted, there = _normal(resource.document), _normal(found)
    changes = _changes(wanted, there, "")
    return [_hidden(one) for one in changes if one.wanted is not None or not _chosen_by_aws(resource.kind, one.path)]


def _hidden(change: Change) -> Change:
    """Without the secret that somebody put into the open by hand: plans are read by more people, and kept."""
    secret = SECRET_NAME.search(change.path) and ".environment[" in change.path and change.path.endswith(".value")
    wanted, found = (
        HIDDEN if isinstance(value, str) and (secret or LOGIN.search(value)) else value
        for value in (change.wanted, change.found)
    )
    return Change(change.path, wanted, found)


def _chosen_by_aws(kind: Kind, path: str) -> bool:
    return any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in CHOSEN_BY_AWS[kind])


def _changes(wanted: Any, found: Any, path: str) -> Iterator[Change]:
    if isinstance(wanted, dict) or isinstance(found, dict):
        if not isinstance(wanted, dict | None) or not isinstance(found, dict | None):
            yield Change(path, wanted, found)
            return
        ours, theirs = wanted or {}, found or {}
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            step = f"{path}.{name}" if path and not name.startswith("[") else f"{path}{name}"
            yield from _changes(ours.get(name), theirs.get(name), step)
    elif wanted != found:
        yield Change(path, wanted, found)


def _normal(value: Any, name: str = "") -> Any:
    """One form of what means the same: nothing empty, nothing false, no order that means nothing, names instead of ARNs."""
    if name in SETS and isinstance(value, str | list):
        items = value if isinstance(value, list) else [value]
        return sorted(map(str, items)) or None
    if isinstance(value, Mapping):
        inner = {key: _normal(one, key) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one is not None} or None
    if isinstance(value, list | tuple):
        items = [_normal(one) for one in value]
        key = KEYS.get(name)
        if key and all(isinstance(one, dict) and key in one for one in items):
            by_key = {f"[{one[key]}]": one for one in items if isinstance(one, dict)}
            if len(by_key) == len(items):
                return by_key or None
        return items or None
    if name == "computeEnvironment" and (arn := BY_ARN.fullmatch(str(value))):
        return arn[1]
    # AWS answers what was left out as empty or false, or not at all.
    return None if value == "" or value is False else value
