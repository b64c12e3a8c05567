"""What a message turned out to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.domain.job import JobDraft


@dataclass(slots=True)
class Requests:
    """Jobs asked for: usually one, several for an event with several records, none for a message that asks for nothing."""

    drafts: Sequence[JobDraft]


@dataclass(frozen=True, slots=True)
class Reference:
    """A hint that this job, already in the ledger, may run."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Newer:
    """A schema version above what this build knows: a newer worker will understand it."""

    version: str


@dataclass(frozen=True, slots=True)
class Named:
    """What a message that was refused says of its job. Only told, never acted on."""

    job_id: str
    type: str | None
    """None: what stands there can be no type's name"""
    tenant: str | None
    known: bool = True
    """whether this worker has that type; any other name is a sender's invention, of which there may be any number"""


Decoded = Requests | Reference | Newer
