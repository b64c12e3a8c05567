"""The settings as a document: a page for people, a schema for programs, and the values in effect."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from src.infrastructure.observability.redaction import HIDDEN, redacted
from src.interfaces.wiring.aliases import ALIASES, REDIS_PARTS
from src.interfaces.wiring.environment import Loaded, fields, variable
from src.interfaces.wiring.settings import Settings

Row = dict[str, Any]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")

HEAD = """# Settings

Printed from the settings classes by `mediaworker config schema --markdown`; a test checks that this page is current.

Every setting is an environment variable. Times are seconds, sizes bytes. An unknown `WORKER_*` variable, a value that can't
be read, or two values that contradict each other end the program with exit code 4 before anything is received.
`mediaworker config show` lists the values in effect and where each comes from; secrets are never shown.

An alias is a name from one of the systems this worker replaces. The `WORKER_*` name wins.
"""


def rows() -> Iterator[Row]:
    """One row per setting: setting, variable, type, default, aliases, description."""
    for setting, field in fields():
        yield {
            "setting": setting,
            "variable": variable(setting),
            "type": _type(field.annotation, field),
            "default": _default(field),
            "aliases": list(REDIS_PARTS if setting == "redis.url" else ALIASES.get(setting, ())),
            "description": field.description or "",
        }


def markdown() -> str:
    """docs/settings.md."""
    parts = [HEAD]
    group = None
    for row in rows():
        inside = row["setting"].rpartition(".")[0]
        if inside != group:
            group = inside
            parts.append(f"\n## {_title(inside)}\n\n| variable | type | default | meaning |\n|---|---|---|---|\n")
        names = ", ".join(f"`{name}`" for name in row["aliases"])
        meaning = row["description"] + (f" Alias: {names}." if names else "")
        cells = (f"`{row['variable']}`", row["type"], f"`{row['default']}`" if row["default"] != "" else "", meaning)
        parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(parts)


def effective(loaded: Loaded) -> Iterator[Row]:
    """One row per setting: value in effect, and where it comes from. Secrets are masked, credentials in URLs hidden."""
    for setting, _field in fields():
        origin = loaded.origins.get(setting)
        yield {
            "setting": setting,
            "variable": variable(setting),
            "value": _shown(setting, loaded.settings),
            "origin": "default" if origin is None else origin.variable,
            "alias": bool(origin and origin.alias),
            "source": None if origin is None else origin.source or "environment",
        }


def _shown(setting: str, settings: Settings) -> object:
    value: Any = settings
    for part in setting.split("."):
        value = getattr(value, part)
    if isinstance(value, SecretStr):
        # A URL is worth seeing without its password; any other secret is not worth seeing at all.
        if not setting.endswith("url"):
            return HIDDEN
        address = shown_address(value.get_secret_value())
        # The path of a chat service's address is what permits to post there.
        return _host_of(address) if setting == "notify.webhook_url" else address
    if isinstance(value, tuple):
        return [shown_address(str(part)) for part in value]
    if isinstance(value, (Path, str)):
        return shown_address(str(value))
    return value


def shown_address(text: str) -> str:
    """Any setting's text, for display: of an address no login, and no more than the host where a password may go on behind it."""
    scheme, found, rest = text.partition("://")
    if not found or not SCHEME.fullmatch(scheme) or scheme.startswith("sqlite"):
        return redacted(text)
    authority = re.split("[/?#]", rest)[0]
    colon, port = authority.rpartition("]")[2].rpartition(":")[1:]
    beyond = rest[len(authority) :]
    # A / or @ of the password's own: the last @ is the one before the host.
    goes_on = ("@" in authority or (bool(colon) and not port.isdigit())) and "@" in beyond
    login, _, host = (rest if goes_on else authority).rpartition("@")
    kept = host if goes_on else host + beyond
    return redacted(f"{scheme}://{HIDDEN}@{kept}" if login else f"{scheme}://{kept}")


def _host_of(address: str) -> str:
    scheme, found, rest = address.partition("://")
    return f"{scheme}{found}{re.split('[/?#]', rest)[0]}/{HIDDEN}" if found else HIDDEN


def _title(group: str) -> str:
    if not group:
        return "General"
    doc = (Settings.model_fields[group].annotation.__doc__ or "").strip()
    first = doc[0] if doc[:2].isupper() else doc[0].lower()
    return f"{group}: {first}{doc[1:].rstrip('.')}"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _type(annotation: Any, field: FieldInfo) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return _type(next(kind for kind in typing.get_args(annotation) if kind is not type(None)), field)
    if typing.get_origin(annotation) is tuple:
        return "list, comma separated"
    name = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}
    return name[annotation] + _limits(field)


def _limits(field: FieldInfo) -> str:
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    found = []
    for rule in _flat(field.metadata):
        for attribute, word in words.items():
            limit = getattr(rule, attribute, None)
            if limit is not None:
                found.append(f"{word} {limit:g}" if isinstance(limit, float) else f"{word} {limit}")
    return f", {', '.join(found)}" if found else ""


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for rule in metadata:
        yield from _flat(rule.metadata) if isinstance(rule, FieldInfo) else (rule,)
