"""Words for tables whose names and columns an operator chose: the platform's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from src.domain.errors import ConfigError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


def quoted(name: str) -> str:
    """A table or column, `schema.table` too, as SQL wants it. Raises ConfigError for anything that is no plain name."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name[:80]!r} is no name of a table or column", fix="letters, digits, _ and one dot")
    return ".".join(f'"{part}"' for part in name.split("."))


def plain(value: Any) -> Any:
    """A value of any column as JSON knows it."""
    match value:
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case Decimal() if value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            return str(value)


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """{their column: value}; a field that is mapped to "" is one that they don't have."""
    return {names.get(ours, ours): value for ours, value in values.items() if names.get(ours, ours)}
