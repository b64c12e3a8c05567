"""Jobs that a program asks for: the row first, then the message."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from src.application.decoders import content_job
from src.application.decoders.body import read_body
from src.application.decoders.registry import Decoders
from src.application.dispatch import set_going
from src.application.ports.dispatch import Dispatch
from src.application.ports.ledger import JobLedger, Limits
from src.domain.errors import Conflict, InvalidMessage, InvalidPayload
from src.domain.job import Job, JobDraft


class Rejected(Conflict):
    """A limit is reached. `reason` is one of contracts.md 1.8; asking again later may help."""

    code = "rejected"

    def __init__(self, message: str, *, reason: str, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.reason = reason


def _any_road(_job_type: str) -> None:
    """Every type has one."""


def _nothing_more(_draft: JobDraft) -> None:
    """The type's own rules are all."""


@dataclass(frozen=True, slots=True)
class EnqueueJob:
    """The rules are those of a message (size, depth, the type's own), so that what is taken here is never a dead letter for its
    form."""

    ledger: JobLedger
    dispatch: Dispatch
    decoders: Decoders
    limits: Limits = field(default_factory=Limits)
    check_road: Callable[[str], None] = _any_road
    """raises ConfigError for a job type that has no way to a worker; asked before anything is written"""
    check: Callable[[JobDraft], None] = _nothing_more
    """raises Permanent for what workers with these settings would refuse when they run it"""

    def ask(
        self, job_type: str, payload: Mapping[str, Any], job_id: str, *, tenant: str | None, delay_seconds: float = 0.0
    ) -> Job:
        """The row: a new one, the one with this id, or the active one about the same subject. Raises UnknownJobType,
        InvalidPayload, InvalidMessage, TenantMismatch, what `check_road` raises; Conflict for an id that is another's job, Rejected; DatabaseUnavailable:
        then the job may be there, and asking again under the same id is safe. A queue that is away raises nothing: the row is
        there, and its recovery owner publishes it."""
        draft = self._draft(job_type, payload, job_id, tenant)
        if not (math.isfinite(delay_seconds) and delay_seconds >= 0):
            raise InvalidPayload(f"delay_seconds must be 0 or more seconds, got {delay_seconds!r}")
        self.check_road(draft.type)
        limits = self.limits if self.limits != Limits() else None
        admission = self.ledger.admit(replace(draft, delay_seconds=float(delay_seconds)), limits)
        job = admission.job
        if job is None:
            reason = admission.rejected or "rejected"
            raise Rejected(
                f"{draft.type} for tenant {draft.tenant}: {reason}",
                reason=reason,
                fix="ask again when others have ended, or raise WORKER_LIMITS__*",
            )
        if job.id == draft.id and (job.type, job.tenant) != (draft.type, draft.tenant):
            raise Conflict(f"job {draft.id} is there already, and is another's", fix="use an id of your own")
        if admission.created or (job.id == draft.id and job.is_untouched):
            # Also one that was asked for before: whoever did may have died before the message.
            set_going(job, self.ledger, self.dispatch)
        return job

    def _draft(self, job_type: str, payload: Mapping[str, Any], job_id: str, tenant: str | None) -> JobDraft:
        limits = self.decoders.settings
        try:
            said = {"id": job_id, "type": job_type, "payload": dict(payload), "tenant_id": tenant}
            body = json.dumps(said, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidPayload(
                f"{job_type}: the payload is no JSON object: {error}", fix="words, numbers, lists and objects"
            ) from error
        document = read_body(body, max_bytes=limits.max_bytes, max_depth=limits.max_depth)
        found = content_job.read(document, limits)
        if not isinstance(found, Sequence):
            raise InvalidMessage(f"{job_type}: asks for no job")
        (asked,) = found
        draft = self.decoders.draft(asked)
        self.check(draft)
        return draft
