"""Which jobs the events of other systems ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.domain.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job that an event asks for; `extra` is added to the event's payload."""

    type: str
    extra: Mapping[str, Any] = field(default_factory=dict)


ROUTES: Mapping[str, Sequence[Wanted]] = {
    "content.created": (Wanted("thumbnail"), Wanted("metadata")),
    "content.updated": (Wanted("index"),),
    "content.deleted": (Wanted("index", {"removed": True}),),
    "cache.warm_request": (Wanted("cache_warm"),),
}
"""{type of an event: what it asks for} (seed 000, section 6; contracts.md 4.1 for what is deleted)."""

TENANT_NAMES = ("tenant", "tenantid", "tenant_id")
"""Of what says whose an event is, beside its payload or, where that is all there is, in it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What an event says, whatever it was wrapped in."""

    type: str
    id: str | None
    payload: Mapping[str, Any]
    origin: str
    """who made it, as it says: its id is one of theirs"""


def kind_of(document: Mapping[str, Any], named: str | None) -> object:
    """Its type, which may be anything: the sender wrote it."""
    if "specversion" in document:
        return document.get("type")
    return document.get("event_type") if "event_type" in document else named


def opened(document: Mapping[str, Any], named: str | None) -> Event:
    """CloudEvents (`specversion`), the bus's envelope (`event_type` and `payload`), or the payload alone, whose type the road
    `named`. Raises InvalidMessage."""
    kind = kind_of(document, named)
    if "specversion" in document:
        name, payload = document.get("id"), document.get("data")
    elif "event_type" in document:
        name, payload = document.get("event_id"), document.get("payload")
    else:
        name, payload = document.get("event_id"), document
    if not isinstance(kind, str) or not kind:
        raise InvalidMessage("an event without a type", fix="send event_type, or use a channel named after the type")
    if not isinstance(payload, Mapping):
        raise InvalidMessage(f"{kind[:80]!a}: the payload must be an object, got {type(payload).__name__}")
    event_id = str(name) if isinstance(name, (str, int)) and not isinstance(name, bool) and str(name) else None
    origin = str(document.get("source", document.get("source_block")))
    return Event(kind, event_id, {key: value for key, value in payload.items() if key != "event_id"}, origin)
