"""Which jobs the events of other systems ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
