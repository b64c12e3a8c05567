"""What the files describe: one resource each, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kinds of resources, in the order of making: each may name those before it."""

    ROLE = "role"
    QUEUE = "queue"
    LAUNCH_TEMPLATE = "launch-template"
    COMPUTE_ENVIRONMENT = "compute-environment"
    JOB_QUEUE = "job-queue"
    JOB_DEFINITION = "job-definition"


NAMED_BY: Mapping[Kind, str] = {
    Kind.ROLE: "RoleName",
    Kind.QUEUE: "QueueName",
    Kind.LAUNCH_TEMPLATE: "LaunchTemplateName",
    Kind.COMPUTE_ENVIRONMENT: "computeEnvironmentName",
    Kind.JOB_QUEUE: "jobQueueName",
    Kind.JOB_DEFINITION: "jobDefinitionName",
}
"""{kind: the member with its name}; it also tells the kinds apart."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as wanted. A role's document holds its trust policy (`AssumeRolePolicyDocument`), its `Policies` by name,
    `AttachedPolicies` and perhaps an `InstanceProfileName`; the others are the request that makes them."""

    kind: Kind
    name: str
    file: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """One resource as it is. `ready` is None while AWS works on it; False when it can't be used, `said` says why."""

    document: Mapping[str, Any]
    ready: bool | None = True
    said: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One field. None: it is not there."""

    path: str
    wanted: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.found!r} -> {self.wanted!r}"
