"""An entry: which job is made when, and what becomes of moments that were missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from src.application.catalog import Catalog
from src.application.cron.schedule import Schedule
from src.application.decoders.settings import DecoderSettings
from src.domain.cron import Policy
from src.domain.errors import ConfigError, InvalidPayload, TenantMismatch
from src.domain.job import JobDraft

DEFAULT_TENANT = DecoderSettings().default_tenant


@dataclass(frozen=True, slots=True)
class Occasion:
    """The moment for which a job is made: `at` as the entry's zone shows it; `late` when it was missed at first."""

    at: datetime
    late: bool = False


Payload = Callable[[Occasion], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`origin` says where it is written, for errors. `max_attempts` and `priority` None: what the job type says. `queue` is the
    queue that its jobs are meant for, when it names one."""

    name: str
    type: str
    schedule: Schedule
    payload: Payload
    policy: Policy = field(default_factory=Policy)
    tenant: str = DEFAULT_TENANT
    max_attempts: int | None = None
    priority: int | None = None
    queue: str | None = None
    origin: str = ""

    def draft(self, catalog: Catalog, job_id: str, at: float, *, late: bool = False) -> JobDraft:
        """The job of this moment. Raises UnknownJobType."""
        job_type = catalog.get(self.type)
        payload = self.payload(Occasion(self.schedule.local(at), late))
        return JobDraft(
            id=job_id,
            type=self.type,
            tenant=self.tenant,
            payload=payload,
            subject=job_type.subject(self.tenant, payload),
            max_attempts=job_type.max_attempts if self.max_attempts is None else self.max_attempts,
            priority=job_type.priority if self.priority is None else self.priority,
        )

    def check(self, catalog: Catalog, now: float) -> None:
        """Raises ConfigError when the job type does not read what this entry gives it: else every job would be a dead letter."""
        draft = self.draft(catalog, "check", now)
        try:
            catalog.get(self.type).parse(draft.tenant, draft.payload)
        except (InvalidPayload, TenantMismatch) as error:
            raise ConfigError(
                f"{self.origin}: job type {self.type!r} refuses the payload: {error.message}",
                fix=error.fix or "give the payload that the type reads",
            ) from error
