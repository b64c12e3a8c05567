"""What a shape finds in a document, and the few ways of looking for it that all shapes share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.application.decoders.body import kind
from src.domain.errors import InvalidMessage
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.moments import moment

Document = Mapping[str, Any]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True, kw_only=True)
class Asked:
    """One job, before its type's rules were applied. (Not frozen: a frozen one takes three times as long to make, and one is made
    for each message. Nobody changes it.)"""

    id: str
    type: str
    tenant: str
    payload: Document
    max_attempts: int | None = None
    """The sender's wish; None: what the job type says."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An envelope: the message proper is inside, as an object or as JSON text."""

    inner: Document | bytes
    trace: str | None = None


Found = list[Asked] | Wrapped


def text(document: Document, name: str) -> str:
    """A non-empty string. Raises InvalidMessage."""
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidMessage(f"{name} must be a non-empty string, got {_kind(value)}")
    return value


def mapping(document: Document, name: str) -> Document:
    """An object. Raises InvalidMessage."""
    value = document.get(name)
    if not isinstance(value, dict):
        raise InvalidMessage(f"{name} must be an object, got {_kind(value)}")
    return value


def count(document: Document, name: str, default: int) -> int:
    """A whole number from 0 up; `default` when absent. Raises InvalidMessage."""
    if name not in document:
        return default
    value = document[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidMessage(f"{name} must be a whole number from 0 up, got {_kind(value)}")
    return value


def tenant_in(document: Document, *names: str) -> str | None:
    """The tenant under the first of `names` that is there. Raises InvalidPayload when it is not an id."""
    for name in names:
        if (value := document.get(name)) is not None:
            return identifier(value, name)
    return None


def required_tenant(document: Document, *names: str) -> str:
    """The same, for shapes in which a job without an owner is never run. Raises InvalidMessage."""
    tenant = tenant_in(document, *names)
    if tenant is None:
        raise InvalidMessage(f"no tenant: {' or '.join(names)} is missing")
    return tenant


def source_key(document: Document, tenant: str) -> str:
    """The file_key, of this tenant. Raises InvalidPayload when it is no key, TenantMismatch when it is another's."""
    return check_tenant(storage_key(document.get("file_key"), "file_key"), tenant)


def check_created_at(document: Document) -> None:
    """created_at, when given, is a moment. Raises InvalidMessage."""
    if (value := document.get("created_at")) is not None:
        moment(value, "created_at")


def trace_of(value: object) -> str | None:
    """A well-formed W3C traceparent, else None: a trace is never a reason to refuse work."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def _kind(value: object) -> str:
    return "nothing" if value is None else kind(value)
