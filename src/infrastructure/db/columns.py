"""Columns of values for PostgreSQL as one text each.

The driver writes an array element by element, in Python: for the thirteen values of a short job that costs more than all else
that is done with them. Texts are joined at once, and the server takes them apart as fast.
"""

from __future__ import annotations

from collections.abc import Sequence

from src.domain.errors import InvalidPayload

END = "\x1f"
NULL = "\x1e"
"""Control characters that no id and no JSON can hold: JSON writes them as escapes."""


def columns_of(*names: str, cast: str = "text") -> str:
    """The SQL of columns, from parameters that `column` made, of `count` values each."""
    return ", ".join(
        f"((string_to_array(%({name})s::text, E'\\x1f', E'\\x1e'))[1:%(count)s::int])::{cast}[]" for name in names
    )


def column(values: Sequence[str | None]) -> str:
    """The parameter: all values, each with its end, because an empty text alone would be no value at all. Raises
    InvalidPayload for a value that holds what stands between them."""
    joined = END.join([*(NULL if value is None else value for value in values), ""])
    if joined.count(END) != len(values) or joined.count(NULL) != sum(value is None for value in values):
        raise InvalidPayload("an id, subject or trace has control characters", fix="use printable characters")
    return joined
