"""Job types: what a name in a message means. A new one is one handler and one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application.events.announce import Announcer, Announcing, tells_nothing
from src.application.ports.ledger import Effect
from src.domain.errors import ConfigError, UnknownJobType
from src.domain.job import Job


def no_effects(_old: Job | None, _new: Job) -> Sequence[Effect]:
    """For job types that write nothing beside their own row."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """One registration. `parse` turns a message's payload into the handler's request, or raises InvalidPayload; it runs
    in the worker before anything is claimed. `handler` is the class that the wiring assembles in the executor process,
    given as "module:Class" so that registering it imports nothing. `subject` names what a job is about (at most one
    active job per type and subject). `effects` says what else is committed with each move of the job."""

    name: str
    parse: Callable[[str, Mapping[str, Any]], Any]
    """(tenant, payload) -> request"""
    handler: str
    subject: Callable[[str, Mapping[str, Any]], str | None] = field(default=lambda _tenant, _payload: None)
    effects: Callable[[Job | None, Job], Sequence[Effect]] = no_effects
    announces: Announcing = tells_nothing
    """(job that has just succeeded) -> what other systems are told"""
    max_attempts: int = 5
    priority: int = 0
    """Of messages about its jobs: lower numbers are received first, on queues that can."""
    short: bool = False
    """Many such jobs fit into a second: a worker takes, claims, runs and settles them in batches, one after another in one
    process, and without the idempotency lock (the ledger's claim decides alone). For types without effects."""
    needs_rows: bool = False
    """Its handler asks the rows of jobs and videos, so it runs where they are: on the database ledger alone."""

    def __post_init__(self) -> None:
        if self.short and self.effects is not no_effects:
            raise ConfigError(
                f"job type {self.name!r} is short and has effects, which are written one job at a time",
                fix="take `short` away, or write what the effects write in the handler",
            )
        if self.short and self.announces is not tells_nothing:
            raise ConfigError(
                f"job type {self.name!r} is short and announces its success, which is written one job at a time",
                fix="take `short` away, or announce nothing",
            )


class Catalog:
    """The registered job types, and to whom their ends are announced."""

    def __init__(self, types: Iterable[JobType], announcer: Announcer | None = None) -> None:
        self._types = {job_type.name: job_type for job_type in types}
        self._announcer = announcer or Announcer()

    def get(self, name: str) -> JobType:
        """Raises UnknownJobType with the names that exist."""
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(sorted(self._types)) or "none"
            raise UnknownJobType(f"no job type {name[:80]!r}", fix=f"registered: {known}") from None

    def names(self) -> list[str]:
        """Registered names, sorted."""
        return sorted(self._types)

    def is_short(self, name: str) -> bool:
        """Whether the type is registered as short."""
        job_type = self._types.get(name)
        return job_type is not None and job_type.short

    def effects(self, old: Job | None, new: Job) -> Sequence[Effect]:
        """What must be committed with a job's move. A type that is not registered here has none."""
        job_type = self._types.get(new.type)
        if job_type is None:
            return ()
        return (*job_type.effects(old, new), *self._announcer.effects(old, new, job_type.announces))
