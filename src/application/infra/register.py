"""Plan and register: compare with what is there, make or change what differs, read it back whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from src.application.infra.road import Road
from src.application.ports.clock import Clock
from src.application.ports.infrastructure import Infrastructure
from src.domain.infra.difference import difference
from src.domain.infra.problems import InfraDiffers, InfraRefused, InfraUnavailable
from src.domain.infra.resource import Change, Found, Resource

SETTLE_SECONDS = 600.0
"""How long AWS may take over one resource. A compute environment is usually VALID within a minute."""

LOOK_SECONDS = 5.0


class Action(StrEnum):
    """What registering does with a resource."""

    CREATE = "create"
    CHANGE = "change"
    EQUAL = "equal"


@dataclass(frozen=True, slots=True)
class Step:
    """One resource: what would be, or was, done. `note`: what AWS says of it where it can't be used."""

    resource: Resource
    action: Action
    changes: Sequence[Change] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """The files against one account and region."""

    there: Infrastructure
    clock: Clock
    settle_seconds: float = SETTLE_SECONDS
    told: Callable[[Step], None] = field(default=lambda _step: None)
    """hears of each step as it is done"""

    def plan(self, road: Road) -> list[Step]:
        """What `register` would do. Writes nothing. Raises InfraInvalid, InfraUnavailable, InfraRefused."""
        return [self._step(one, self.there.find(one))[0] for one in road.sound().resources]

    def register(self, road: Road) -> list[Step]:
        """Do it. Safe to repeat: what is equal stays, and a run that was cut off is taken up where it ended. Raises
        InfraInvalid before anything is written, InfraUnavailable, InfraRefused, and InfraDiffers when a resource reads back
        differently from its file."""
        steps = []
        for resource in road.sound().resources:
            # AWS refuses changes to what it still works on; what it was removing is gone then.
            step, found = self._step(resource, self._settled(resource))
            if step.action is Action.CREATE:
                self.there.create(resource)
            elif found is not None and step.action is Action.CHANGE:
                self.there.change(resource, found, step.changes)
            self._read_back(resource)
            steps.append(step)
            self.told(step)
        return steps

    def _step(self, resource: Resource, found: Found | None) -> tuple[Step, Found | None]:
        if found is None:
            return Step(resource, Action.CREATE), None
        changes = difference(resource, found.document)
        note = "" if found.ready else found.said or "AWS is still working on it"
        return Step(resource, Action.CHANGE if changes else Action.EQUAL, tuple(changes), note), found

    def _read_back(self, resource: Resource) -> None:
        found = self._settled(resource, appears=True)
        if found is None or found.ready is False:
            raise InfraRefused(
                f"{resource.file}: {resource.kind} {resource.name} can't be used: {found.said if found else 'it is gone'}",
                fix="mend what AWS names, then register again",
            )
        if changes := difference(resource, found.document):
            raise InfraDiffers(
                f"{resource.file}: {resource.kind} {resource.name} reads back differently: "
                + "; ".join(f"$.{change.path} is {change.found!r}, not {change.wanted!r}" for change in changes),
                fix="nothing may use it as it is: register again, or see who else registers it",
            )

    def _settled(self, resource: Resource, *, appears: bool = False) -> Found | None:
        """As it is when AWS has done with it. `appears`: what was just made may be listed late."""
        until = self.clock.monotonic() + self.settle_seconds
        while True:
            found = self.there.find(resource)
            if found is None and not appears:
                return None
            if found is not None and found.ready is not None:
                return found
            if self.clock.monotonic() >= until:
                said = found.said if found else "it is not listed"
                raise InfraUnavailable(
                    f"{resource.file}: {resource.kind} {resource.name} did not settle in {self.settle_seconds:.0f} s: {said}",
                    fix="look at it in the AWS console, then register again",
                )
            self.clock.sleep(LOOK_SECONDS)
