"""Identifiers and storage keys that cannot escape their place (reliability.md T12)."""

from __future__ import annotations

import re
import uuid

from src.domain.errors import InvalidPayload, TenantMismatch

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_fits = IDENTIFIER.fullmatch

KEY_BYTES = 1024
"""The longest key S3 accepts, in UTF-8 bytes."""

NAMESPACE = uuid.UUID("6d9f1d0e-5a3b-5d0c-9a53-3c1f0b7c2a11")
"""Our own UUIDv5 namespace: ids derived from message content are the same on every worker."""


def identifier(value: object, what: str) -> str:
    """A job, video or tenant id: a short printable word or a whole number. Raises InvalidPayload."""
    if type(value) is str and _fits(value) and ".." not in value:  # the usual case, several times a message
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidPayload(f"{what} must be a string or a whole number, got {type(value).__name__}")
    text = str(value)
    if not _fits(text) or ".." in text:
        raise InvalidPayload(f"{what} {text[:80]!r} is not an id", fix="use 1-128 letters, digits and . _ : @ -")
    return text


def storage_key(value: object, what: str = "storage key") -> str:
    """A key relative to the storage root: no traversal, no control bytes, no empty parts. Raises InvalidPayload."""
    if not isinstance(value, str) or not value:
        raise InvalidPayload(f"{what} must be a non-empty string")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidPayload(f"{what} is not valid Unicode") from error
    if size > KEY_BYTES:
        raise InvalidPayload(f"{what} has {size} bytes, more than {KEY_BYTES}")
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in value:
        raise InvalidPayload(f"{what} {value[:80]!r} leaves its folder or has empty parts")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise InvalidPayload(f"{what} has control characters")
    return value


def tenant_of_key(key: str) -> str | None:
    """The tenant that a key of the form `tenants/{tenant}/...` belongs to, else None."""
    parts = key.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "tenants" else None


def check_tenant(key: str, tenant: str) -> str:
    """Refuse a key that lies under another tenant's prefix. Raises TenantMismatch."""
    owner = tenant_of_key(key)
    if owner is not None and owner != tenant:
        raise TenantMismatch(f"key {key[:80]!r} belongs to tenant {owner!r}, the job to {tenant!r}")
    return key


def derived_id(*parts: str) -> str:
    """A job id computed from what the message says, for bodies that carry none: duplicates then meet in one row."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))
