"""Values of a document as they are filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Row = TypeVar("Row")

Ranked = tuple[int, float | str]
"""A value among others: numbers before texts, each in their own order."""


def same(value: object) -> str:
    """What a value is filtered by: 2024, 2024.0 and "2024" are one, and so are "WSOP" and "wsop"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value.strip().casefold()
        try:
            return same(int(text)) if text.isascii() and text.lstrip("-").isdigit() else text
        except ValueError:
            # More digits than Python turns into a number: it is compared as it stands.
            return text
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).casefold()


def all_of(value: object) -> list[str]:
    """Everything that a field's value, one or a list of them, is found by."""
    if value is None:
        return []
    return [same(each) for each in value if each is not None] if isinstance(value, (list, tuple)) else [same(value)]


def sortable(value: object) -> float | int | str | None:
    """What a value is sorted by; None for what has no order."""
    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None


def ranked(value: float | str) -> Ranked:
    """See Ranked."""
    return (1, value) if isinstance(value, str) else (0, value)


def sorted_by(rows: Sequence[Row], fields: Sequence[tuple[Callable[[Row], Any], bool]]) -> list[Row]:
    """By ((row -> value), descending), the first of them first; rows without a value last, the rest as it was."""
    done = list(rows)
    for value, descending in reversed(fields):
        there = [row for row in done if sortable(value(row)) is not None]
        there.sort(key=lambda row: ranked(value(row)), reverse=descending)
        done = there + [row for row in done if sortable(value(row)) is None]
    return done
