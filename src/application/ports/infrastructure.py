"""What sets up and looks at the resources of the Batch road."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from src.domain.infra.resource import Change, Found, Kind, Resource


class Shapes(Protocol):
    """The service's own rules for requests: members, types, limits, enumerations, patterns."""

    def problems(self, kind: Kind, document: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """(JSON path from `$`, text) of everything that the service would refuse. Asks nobody."""


class Infrastructure(Protocol):
    """One account and region. Errors: InfraUnavailable when nobody answers, InfraRefused when the answer is no."""

    def find(self, resource: Resource) -> Found | None:
        """The resource of that kind and name as it is now; None only when the service said that there is none."""

    def create(self, resource: Resource) -> None:
        """Make it. The service may still be at it when this returns."""

    def change(self, resource: Resource, found: Found, changes: Sequence[Change]) -> None:
        """Make what is there as wanted. Raises InfraRefused naming the fields that can't be changed in place."""
