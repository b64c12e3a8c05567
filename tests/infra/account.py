"""An account in memory, as the port sees it, which answers as AWS does: with more than was asked for, and in its own time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.domain.infra.resource import Change, Found, Kind, Resource

BY_ITSELF: Mapping[Kind, Mapping[str, Any]] = {
    Kind.ROLE: {},
    Kind.QUEUE: {},
    Kind.LAUNCH_TEMPLATE: {},
    Kind.COMPUTE_ENVIRONMENT: {"serviceRole": "arn:aws:iam::1:role/linked", "tags": {}, "unmanagedvCpus": 0},
    Kind.JOB_QUEUE: {"tags": {}, "jobQueueType": "ECS", "jobStateTimeLimitActions": []},
    Kind.JOB_DEFINITION: {"tags": {}, "propagateTags": False},
}


@dataclass
class Account:
    """Infrastructure of the ports. `settles`: looks at a new compute environment until it is VALID. `loses`: members that are
    lost on the way, as a deploy of the origin lost retry and timeout. `broken`: names that become INVALID."""

    settles: int = 2
    loses: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    there: dict[tuple[Kind, str], dict[str, Any]] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)
    looks: dict[str, int] = field(default_factory=dict)

    def find(self, resource: Resource) -> Found | None:
        document = self.there.get((resource.kind, resource.name))
        if document is None:
            return None
        left = self.looks.get(resource.name, 0)
        self.looks[resource.name] = left - 1
        if left > 0:
            return Found(copy.deepcopy(document), None, "CREATING")
        if resource.name in self.broken:
            return Found(copy.deepcopy(document), False, "INVALID: the instance role is unknown")
        return Found(copy.deepcopy(document), True, "VALID")

    def create(self, resource: Resource) -> None:
        if (resource.kind, resource.name) in self.there:
            raise AssertionError(f"{resource.name} is there already")
        self._write("create", resource)

    def change(self, resource: Resource, found: Found, changes: Sequence[Change]) -> None:
        if not changes:
            raise AssertionError(f"nothing to change in {resource.name}")
        self._write("change", resource)

    def _write(self, what: str, resource: Resource) -> None:
        kept = {name: value for name, value in resource.document.items() if name not in self.loses}
        self.there[resource.kind, resource.name] = copy.deepcopy({**kept, **BY_ITSELF[resource.kind]})
        self.written.append((what, resource.name))
        if resource.kind is Kind.COMPUTE_ENVIRONMENT:
            self.looks[resource.name] = self.settles
