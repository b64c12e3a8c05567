"""Which shape a message has, and the jobs it asks for, checked against their types' rules before anything is claimed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from src.application.catalog import Catalog
from src.application.decoders import (
    ai_job,
    cloudevents,
    content_event,
    content_job,
    deletion,
    eventbridge,
    outbox_event,
    reference,
    s3_notification,
    sns,
    video_job,
    video_legacy,
)
from src.application.decoders.asked import Asked, Document, Found, Wrapped, trace_of
from src.application.decoders.body import read_body
from src.application.decoders.decoded import Decoded, Named, Newer, Reference, Requests
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import ConfigError, InvalidMessage, InvalidPayload, Permanent
from src.domain.ids import IDENTIFIER
from src.domain.job import JobDraft

SCHEMA_VERSION = 1
"""The newest `schema_version` that this build understands. A body without one is of version 1."""

VERSION_KEYS = ("schema_version", "schemaVersion", "v")

_VERSION = re.compile(r"[1-9][0-9]{0,18}(?:\.[0-9]{1,9}){0,3}")

Shape = Callable[[Document, DecoderSettings], Found | Newer | Reference | None]

SHAPES: tuple[tuple[Shape, tuple[str, ...]], ...] = (
    # Envelopes and events first: their own `id` and `type` must not be taken for a job's.
    (sns.read, ("TopicArn",)),
    (s3_notification.read, ("Records", "Event")),
    (eventbridge.read, ("detail-type",)),
    (content_event.read, ("specversion", "event_type")),
    (cloudevents.read, ("specversion",)),
    (outbox_event.read, ("jobType",)),
    (deletion.read, ("action",)),
    (video_job.read, ("video_id",)),
    (ai_job.read, ("job_id",)),
    (video_legacy.read, ("video_id",)),
    (content_job.read, ("id",)),
    (reference.read, ("job_id",)),
)
"""Each with its marks: a body without any of them has another shape. Asking all twelve would take as long as reading the right one."""

MARKS = frozenset(mark for _, marks in SHAPES for mark in marks)


@cache
def shapes_with(marks: frozenset[str]) -> Sequence[Shape]:
    """What a body may be that has these of the MARKS."""
    return [shape for shape, wanted in SHAPES if not marks.isdisjoint(wanted)]


@dataclass(frozen=True, slots=True)
class Decoders:
    """All shapes. Raises ConfigError when the key pattern in the settings is no usable pattern."""

    catalog: Catalog
    settings: DecoderSettings

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.settings.key_pattern).groupindex.keys()
        except re.error as error:
            raise ConfigError(f"the source key pattern is not a regular expression: {error}") from error
        if not {"tenant", "video_id"} <= groups:
            raise ConfigError(
                "the source key pattern lacks a group", fix="name both (?P<tenant>...) and (?P<video_id>...)"
            )

    def decode(self, body: bytes, attributes: Mapping[str, str]) -> Decoded:
        """What the message asks for. Raises InvalidMessage when it is none of ours or breaks a limit; UnknownJobType,
        InvalidPayload or TenantMismatch when its job may not run. All are permanent, nothing else is raised."""
        found = self._read(self._document(body), trace_of(attributes.get("traceparent")), frozenset())
        if not isinstance(found, tuple):
            return found
        asked, trace = found
        return Requests([self.draft(one, trace) for one in asked])

    def named(self, body: bytes) -> Named | None:
        """The one job that a refused message is about, where it says an id and a type, known here or not: whoever asked for it
        looks for it by these. Raises nothing."""
        try:
            document = self._document(body)
        except Permanent:
            return None
        try:
            match self._read(document, None, frozenset()):
                case [one], _:
                    found = Named(one.id, one.type, one.tenant)
                case _:
                    return None
        except Permanent:
            if (by_form := content_job.named(document)) is None:
                return None
            found = by_form
        if found.type in self.catalog.names():
            return found
        # Kept and shown as it stands, so it may be no more than a word.
        return replace(found, type=found.type if found.type and IDENTIFIER.fullmatch(found.type) else None, known=False)

    def _document(self, body: bytes) -> Document:
        return read_body(body, max_bytes=self.settings.max_bytes, max_depth=self.settings.max_depth)

    def _read(
        self, document: Document, trace: str | None, opened: frozenset[Shape]
    ) -> Newer | Reference | tuple[list[Asked], str | None]:
        later = newer(document)
        if later is not None:
            return later
        trace = trace or trace_of(document.get("traceparent"))
        for shape in shapes_with(MARKS.intersection(document)):
            found = shape(document, self.settings)
            if found is None:
                continue
            if isinstance(found, list):
                return found, trace
            match found:
                case Newer() | Reference() as decoded:
                    return decoded
                case Wrapped(inner, inner_trace):
                    if shape in opened:
                        raise InvalidMessage("envelopes of one kind inside each other", fix="wrap a message once")
                    unwrapped = self._document(inner) if isinstance(inner, bytes) else inner
                    return self._read(unwrapped, trace or inner_trace, opened | {shape})
        names = ", ".join(ascii(name[:40]) for name in sorted(document)[:10]) or "none"
        raise InvalidMessage(f"no known shape of message; its keys: {names}")

    def draft(self, asked: Asked, trace: str | None = None) -> JobDraft:
        """The job, by the rules of its type. Raises UnknownJobType, InvalidPayload, TenantMismatch."""
        job_type = self.catalog.get(asked.type)
        try:
            job_type.parse(asked.tenant, asked.payload)
            subject = job_type.subject(asked.tenant, asked.payload)
        except Permanent:
            raise
        except Exception as error:
            # A parser that trips over input must not take the worker down: the input is at fault until proven otherwise.
            raise InvalidPayload(
                f"{asked.type}: the payload could not be read: {type(error).__name__}: {str(error)[:200]}"
            ) from error
        return JobDraft(
            id=asked.id,
            type=asked.type,
            tenant=asked.tenant,
            payload=asked.payload,
            subject=subject,
            max_attempts=asked.max_attempts or job_type.max_attempts,
            priority=job_type.priority,
            trace=trace,
        )


def newer(document: Document) -> Newer | None:
    """A body is newer by its first number; what stands after a dot never breaks a reader."""
    for name in VERSION_KEYS:
        version = document.get(name)
        if version is None:
            continue
        if isinstance(version, bool) or not isinstance(version, (int, str)) or not _VERSION.fullmatch(str(version)):
            raise InvalidMessage(
                f"{name} must be a version, got {ascii(version)[:80]}", fix="send a whole number from 1 up"
            )
        if int(str(version).partition(".")[0]) > SCHEMA_VERSION:
            return Newer(f"{name} {version}")
    return None
